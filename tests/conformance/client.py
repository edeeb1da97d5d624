"""Our half as a client: the suite runs this with the URL of a server of its own.

It is registered with Toolcrib over the REST API and used at ``/servers/{name}/mcp``: what the
suite sees is Toolcrib. Where a scenario is about logging in, it is Toolcrib's own login.
TOOLCRIB_URL says where it is, MCP_CONFORMANCE_SCENARIO what to do.
"""

from __future__ import annotations

import os
import sys

from .kit import FOLDER
from .scope import is_about_signing_in
from .turns import turn


def main() -> None:
    """Play one scenario."""
    scenario = os.environ["MCP_CONFORMANCE_SCENARIO"]
    with turn(FOLDER / "turns"):
        play(scenario, sys.argv[1])


def play(scenario: str, url: str) -> None:
    """Play it; what is needed is imported when there is a processor for that."""
    import anyio

    if is_about_signing_in(scenario):
        from .signing_in import sign_in

        anyio.run(sign_in, url, scenario)
    else:
        from .playing import use

        anyio.run(use, url, scenario, os.environ["TOOLCRIB_URL"])


if __name__ == "__main__":
    main()
