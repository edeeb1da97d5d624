"""Putting models to the test: ``models test``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from toolcrib_registry.errors import InvalidInput, NotPermitted
from toolcrib_server.aptitude.examining import TIMEOUT_S, Examiner, Sitting
from toolcrib_server.aptitude.report import Report, Share
from toolcrib_server.aptitude.suite import Task, built_in_suite, load_suite
from toolcrib_server.learning.mode import EVERYONE
from toolcrib_server.runtime import Runtime

from .options import AsJson
from .output import print_json, print_line, print_note, print_table, progress
from .running import EXIT_FAILED, run

_LOCAL = "local"
_SHOWN = 20

app = typer.Typer(
    name="models",
    help="What models can do, found out by asking them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def _root() -> None:
    """Hold the verbs of this group."""


@app.command("test")
def examine(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Models, or NAME@PROVIDER.")
    ],
    suite: Annotated[
        Path | None,
        typer.Option(help="Questions of your own: JSON lines of id, area, prompt and verify."),
    ] = None,
    area: Annotated[
        list[str] | None, typer.Option(help="Only this area. May be given again.")
    ] = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=1, help="Seconds to wait for each answer.")
    ] = TIMEOUT_S,
    tenant: Annotated[
        str | None,
        typer.Option(help="Only for this API key's selections; for all unless given."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before it costs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask models questions whose answers can be checked, and remember how they did.

    What it may cost is said beforehand. `select` starts from the results where a model has no
    other outcomes; test those that you have beside it too, so that they can be compared.

    Example: toolcrib models test small-writer large-writer
    """
    tasks = _tasks(suite, area or [])
    reports: list[Report] = []

    def kept() -> str:
        done = ", ".join(report.model for report in reports) or "no model"
        return f"The results of {done} are kept; a model that was not through begins anew."

    async def work(runtime: Runtime) -> None:
        desk = runtime.desk
        examiner = Examiner(desk.picker, desk.invoker, runtime.routing)
        given = dict.fromkeys(names)
        sittings = [await examiner.prepare(name, tasks, principal=_LOCAL) for name in given]
        _agree(sittings, yes=yes)
        for sitting in sittings:
            with progress(f"Testing {sitting.model}", quiet=as_json) as bar:
                report = await examiner.examine(
                    sitting, principal=_LOCAL, timeout_s=timeout_s, on_progress=bar
                )
            await _keep(examiner, report, tenant or EVERYONE)
            reports.append(report)

    run(work, kept=kept)
    if as_json:
        print_json({"models": [_view(report) for report in reports]})
    else:
        _show(reports)
    if any(report.stopped or not report.answered for report in reports):
        raise typer.Exit(EXIT_FAILED)


def _tasks(suite: Path | None, areas: Sequence[str]) -> tuple[Task, ...]:
    tasks = built_in_suite() if suite is None else load_suite(suite)
    known = dict.fromkeys(task.area for task in tasks)
    unknown = [area for area in areas if area not in known]
    if unknown:
        raise InvalidInput(f"There is no area {unknown[0]!r}; there are {', '.join(known)}.")
    return tuple(task for task in tasks if not areas or task.area in areas)


def _agree(sittings: Sequence[Sitting], *, yes: bool) -> None:
    """Say what it may cost, and ask, unless it is known to be free."""
    for sitting in sittings:
        cost = sitting.most_usd
        said = "costs what nobody registered" if cost is None else f"costs at most {cost:.4g} USD"
        offer = sitting.picks[0].candidate.label
        print_note(f"{sitting.model}: {len(sitting.tasks)} questions to {offer}; that {said}.")
    if yes or all(sitting.most_usd == 0 for sitting in sittings):
        return
    if not sys.stdin.isatty():
        raise InvalidInput("Nobody is there to ask whether that is all right: say so with --yes.")
    if not typer.confirm("Go on?", err=True):
        raise InvalidInput("Nothing was asked.")


async def _keep(examiner: Examiner, report: Report, tenant: str) -> None:
    try:
        await examiner.record(report, principal=_LOCAL, tenant=tenant)
    except NotPermitted as error:
        print_note(f"The results are shown and not kept. {error.detail}")


def _show(reports: Sequence[Report]) -> None:
    columns = ("model", "area", "right", "asked", "share", "90 % between")
    rows = [
        (report.model, share.area, share.right, share.asked, *_range(share))
        for report in reports
        for share in (*report.areas, report.total)
    ]
    print_table(columns, rows, empty="Nothing was asked.")
    for report in reports:
        cost = "unknown" if report.cost_usd is None else f"{report.cost_usd:.6g} USD"
        print_line(f"{report.model}: it cost {cost}.")
        missed = [one for one in report.results if one.passed is not True]
        for result in missed[:_SHOWN]:
            print_note(f"{report.model} {result.task.id}: {result.detail}")
        if report.stopped:
            print_note(f"{report.model}: stopped, for {report.stopped}")


def _range(share: Share) -> tuple[str, str]:
    if not share.asked:
        return "-", "-"
    return f"{share.right / share.asked:.0%}", f"{share.low:.0%} and {share.high:.0%}"


def _view(report: Report) -> dict[str, object]:
    return {
        "model": report.model,
        "total": report.total,
        "areas": report.areas,
        "costUsd": report.cost_usd,
        "stopped": report.stopped,
        "questions": [
            {"id": one.task.id, "area": one.task.area, "passed": one.passed, "detail": one.detail}
            for one in report.results
        ],
    }
