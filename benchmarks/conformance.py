"""How many scored scenarios of the official conformance suite fail, directly and through Toolcrib.

The run is that of ``make conformance``; this puts its figures into the dated file.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import _command

ROOT = Path(__file__).parent.parent


def main() -> None:
    parser = _command.parser(__doc__)
    args = parser.parse_args()
    wanted = ["--json", str(args.json.resolve())] if args.json else []
    command = [sys.executable, "-m", "tests.conformance", *wanted]
    sys.exit(subprocess.run(command, cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    _command.run(main)
