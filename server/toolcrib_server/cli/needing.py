"""Tools that bring others along: what was learned of them, and ``learning refuse``.

No logic: what is printed was decided in `toolcrib_server.learning`.
"""

from __future__ import annotations

from typing import Annotated

import typer

from toolcrib_server.learning.refusing import Needs, Settled
from toolcrib_server.runtime import Runtime

from .options import AsJson
from .output import print_json, print_line, print_note, print_table
from .running import ACTOR, run


def print_needs(found: Needs) -> None:
    """Print what was learned and refused; nothing where there is nothing."""
    rows = [(each.tenant, each.tool, each.needs, each.why) for each in found.learned]
    if rows:
        print_table(("tenant", "tool", "brings", "because"), rows, empty="")
    for pair in found.refused:
        print_line(f"{pair.tool} never brings {pair.needed}: it was refused.")


def refuse(
    tool: Annotated[str, typer.Argument(help="The tool that is found.")],
    needed: Annotated[str, typer.Argument(help="What it is not to bring along.")],
    undo: Annotated[bool, typer.Option("--undo", help="Take the refusal back.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let a tool no longer bring another one along, whatever was learned.

    What its owner declares stays. A server that runs takes it up within a minute.
    """

    async def work(runtime: Runtime) -> Settled:
        if undo:
            return await runtime.needs.allow(tool, needed)
        return await runtime.needs.refuse(tool, needed, actor=ACTOR)

    settled = run(work)
    if as_json:
        print_json(settled)
    elif undo:
        print_line(f"{tool} may bring {needed}." if settled.changed else "That was not refused.")
    else:
        never = f"{tool} never brings {needed}."
        print_line(never if settled.changed else "That is refused already.")
    if settled.declared:
        print_note(f"Its owner declares that {tool} needs {needed}: that stays.")
