"""What every measurement has in common: its help, where its figures are written, how it ends."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

INTERRUPTED = 130


def parser(about: str | None, *, data: bool = False) -> argparse.ArgumentParser:
    """Make a parser that shows all of a script's docstring and takes ``--json FILE``."""
    made = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--json", type=new_file, metavar="FILE", help="write the figures here too")
    if data:
        made.add_argument(
            "--data", type=folder, required=True, metavar="FOLDER", help="of the data sets"
        )
    return made


def folder(text: str) -> Path:
    """Read an option that names a folder which must be there."""
    if not (place := Path(text)).is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {text}")
    return place


def new_file(text: str) -> Path:
    """Read an option that names a file to write: what cannot be written is refused beforehand."""
    if not (file := Path(text)).parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {file.parent} to write it to")
    return file


def write(figures: Any, file: Path | None) -> None:
    """Write what was measured, where ``--json`` was given."""
    if file:
        shown = json.dumps(figures, indent=1, ensure_ascii=False)
        file.write_text(shown + "\n", encoding="utf-8")


def run(main: Callable[[], None]) -> None:
    """Run a script's ``main``. Ctrl-C ends it with one line, and exit code 130."""
    try:
        main()
    except KeyboardInterrupt:
        sys.stdout.flush()
        sys.stderr.write("\nInterrupted: nothing more is measured.\n")
        sys.stderr.flush()
        sys.exit(INTERRUPTED)
