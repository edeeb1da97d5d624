"""What a server said on its standard error, whichever process it said it to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from toolcrib_registry.types import ServerName, StdioTransport
from toolcrib_server.runtime import Runtime

from .options import AsJson
from .output import print_json, print_line, print_note
from .running import run


def logs(
    name: Annotated[str, typer.Argument(help="A server that is run as a command.")],
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=1, help="At most so many, the last ones.")
    ] = 50,
    as_json: AsJson = False,
) -> None:
    """Show what a server said on its standard error, restarts included; secrets are masked."""

    async def work(runtime: Runtime) -> tuple[Sequence[str], bool]:
        server = runtime.store.get_server(ServerName(name))
        said = runtime.stderr_logs.read(server.name, lines=lines)
        return said, isinstance(server.transport, StdioTransport)

    said, is_command = run(work)
    if as_json:
        print_json({"lines": said})
        return
    for line in said:
        print_line(line)
    if not said:
        print_note("It has said nothing." if is_command else "A remote server keeps its own log.")
