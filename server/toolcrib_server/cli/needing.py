"""Tools that bring others along: what was learned of them, and ``learning refuse``.

No logic: what is printed was decided in `toolcrib_server.learning`.
"""

from __future__ import annotations

from typing import Annotated, Any

import anyio.to_thread
import typer

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import EntryKind, entry_id, split_id
from toolcrib_server.runtime import Runtime

from .options import AsJson
from .output import print_json, print_line, print_note, print_table
from .running import run


async def read_needs(runtime: Runtime) -> dict[str, Any]:
    """Read what was learned from calls, by tenant, and what was refused."""
    await runtime.companions.look(now=True)
    pairs = [
        {
            "tenant": tenant,
            "tool": split_id(tool)[1],
            "needs": split_id(one.entry)[1],
            "why": one.why,
        }
        for tenant, its in sorted(runtime.companions.pairs().items())
        for tool, followed in sorted(its.items())
        for one in followed
    ]
    refused = [[split_id(one)[1] for one in pair] for pair in sorted(runtime.companions.refused)]
    return {"needs": pairs, "refused": refused}


def print_needs(found: dict[str, Any]) -> None:
    """Print what `read_needs` read; nothing where there is nothing."""
    rows = [tuple(each.values()) for each in found["needs"]]
    if rows:
        print_table(("TENANT", "TOOL", "BRINGS", "BECAUSE"), rows, empty="")
    for tool, needed in found["refused"]:
        print_line(f"{tool} never brings {needed}: it was refused.")


def refuse(
    tool: Annotated[str, typer.Argument(help="The tool that is found.")],
    needed: Annotated[str, typer.Argument(help="What it is not to bring along.")],
    undo: Annotated[bool, typer.Option("--undo", help="Take the refusal back.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let a tool no longer bring another one along, whatever was learned.

    What its owner declares stays. A server that runs takes it up within a minute.
    """
    if tool == needed and not undo:
        raise InvalidInput("No tool brings itself along: name two different ones.")
    done, declared = run(lambda runtime: _settle(runtime, tool, needed, undo=undo))
    if as_json:
        print_json({"tool": tool, "needed": needed, "refused": not undo, "changed": done})
    elif undo:
        print_line(f"{tool} may bring {needed}." if done else "That was not refused.")
    else:
        print_line(f"{tool} never brings {needed}." if done else "That is refused already.")
    if declared:
        print_note(f"Its owner declares that {tool} needs {needed}: that stays.")


async def _settle(runtime: Runtime, tool: str, needed: str, *, undo: bool) -> tuple[bool, bool]:
    """Refuse or allow; say whether that changed anything, and whether the owner declares it."""
    pair = (entry_id(EntryKind.TOOL, tool), entry_id(EntryKind.TOOL, needed))
    # A refusal outlives its tools, so it can be taken back without them.
    if undo and await runtime.companions.allow(*pair):
        return True, False
    get = runtime.store.get_named
    first = await anyio.to_thread.run_sync(get, tool)
    second = await anyio.to_thread.run_sync(get, needed)
    if undo:
        return await runtime.companions.allow(first.id, second.id), False
    done = await runtime.companions.refuse(first.id, second.id, actor="cli")
    its = await runtime.companions.needs(first)
    return done, any(one.name == second.name and one.how == "declared" for one in its)
