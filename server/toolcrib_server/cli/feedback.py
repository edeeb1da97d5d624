"""Saying what came of a search: ``feedback``."""

from __future__ import annotations

from typing import Annotated

import typer

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import Outcome, Verdict
from toolcrib_server.runtime import Runtime

from .options import AsJson
from .output import print_json, print_line
from .running import run


def feedback(
    query: Annotated[str, typer.Argument(help="What was searched for.")],
    name: Annotated[str, typer.Argument(help="An entry's name, as `search` gives it.")],
    worked: Annotated[bool, typer.Option("--worked", help="It did what was asked.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="It did not.")] = False,
    chosen: Annotated[bool, typer.Option("--chosen", help="It is the right one to try.")] = False,
    rejected: Annotated[bool, typer.Option("--rejected", help="It does not fit.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what came of an entry for a query, so that search learns from it.

    The query, the name and the verdict are kept in the registry; `learning forget` drops them.
    """
    given = {
        Verdict.WORKED: worked,
        Verdict.FAILED: failed,
        Verdict.CHOSEN: chosen,
        Verdict.REJECTED: rejected,
    }
    verdicts = [verdict for verdict, is_given in given.items() if is_given]
    if len(verdicts) != 1:
        raise InvalidInput("Say one of --worked, --failed, --chosen and --rejected.")

    async def work(runtime: Runtime) -> Outcome:
        return await runtime.feedback.tell("local", query, name, verdicts[0])

    outcome = run(work)
    if as_json:
        print_json(outcome)
    else:
        print_line(f"Noted: {name} {outcome.verdict} for {outcome.query!r}.")
