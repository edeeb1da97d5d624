"""Outcomes of models: ``outcomes import|list|status|forget``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import anyio
import anyio.to_thread
import typer

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import Model, ModelOutcome, RatingSource
from toolcrib_server.learning.mode import EVERYONE
from toolcrib_server.routing.desk import (
    Recorded,
    RoutingDesk,
    bare_models,
    nearest_registered,
    unknown_models,
)
from toolcrib_server.routing.mode import RoutingMode
from toolcrib_server.routing.rows import OutcomeRow, ReadOutcomes, read_outcomes
from toolcrib_server.routing.standing import TenantRouting
from toolcrib_server.runtime import Runtime

from .batch import open_index
from .options import AsJson
from .output import (
    Progress,
    clipped,
    counted,
    plain,
    print_json,
    print_line,
    print_note,
    print_table,
    progress,
)
from .running import ACTOR, EXIT_FAILED, run

_LOCAL = "local"
_SHOWN = 10
_NONE_KNOWN = "No outcome is known. Import some: toolcrib outcomes import"
_NO_FIT = (
    "No outcome fits that. `toolcrib outcomes list` shows whose there are, and of which models."
)

app = typer.Typer(
    name="outcomes",
    help="How models did on past queries: what `select` expects of them comes from it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("import")
def import_outcomes(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|DIR",
            help="JSON lines of query, model, score, cost, latency_ms; or a folder with "
            "queries.jsonl, outcomes.csv and models.jsonl.",
        ),
    ],
    tenant: Annotated[
        str | None,
        typer.Option(help="Only for this API key's selections; for all unless given."),
    ] = None,
    known_only: Annotated[
        bool, typer.Option("--known-only", help="Refuse rows of models that are not registered.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Import how models did on past queries. The same file again changes nothing.

    Models that are not registered are registered: as models.jsonl describes them, else by name.
    """
    read = read_outcomes(source)
    stage = _Stage()

    async def work(runtime: Runtime) -> Recorded:
        registered: tuple[str, ...] = ()
        if not known_only:
            registered = await _register(runtime, read)
        recorded = await stage.record(runtime.routing, read.rows, tenant or EVERYONE)
        await _encode(runtime, read.rows, stage, quiet=as_json)
        refusals = (*read.refusals, *recorded.refusals)
        return replace(recorded, refusals=refusals, registered=registered)

    _show_recorded(source, run(work, kept=partial(stage.say, source)), as_json=as_json)


@dataclass(slots=True)
class _Stage:
    """How far an import is, for whoever ends it."""

    recorded: Recorded | None = None
    encoding: Progress | None = None

    async def record(self, desk: RoutingDesk, rows: Sequence[OutcomeRow], tenant: str) -> Recorded:
        """Record outcomes: one transaction, which is seen to its end once it has begun."""

        async def record() -> None:
            self.recorded = await desk.record(
                rows, principal=_LOCAL, tenant=tenant, source=RatingSource.IMPORT, limited=False
            )

        # A task group waits for its threads; whoever is cancelled by himself does not.
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(record)
        assert self.recorded is not None
        return self.recorded

    def say(self, source: Path) -> str:
        """Say what is in already."""
        if self.recorded is None:
            return f"No outcome of {source.name} was recorded: run it again."
        encoded = str(self.encoding or "")
        how_far = f" {encoded} new queries are encoded." if encoded else ""
        kept = f"All of {source.name} is kept ({counted(self.recorded.taken, 'outcome')})."
        return f"{kept}{how_far} Run it again to encode the rest."


async def _register(runtime: Runtime, read: ReadOutcomes) -> tuple[str, ...]:
    """Register the models that outcomes name and that are not registered."""
    missing = await anyio.to_thread.run_sync(unknown_models, runtime.store, read.rows)
    described = {model.name: model for model in read.models}
    new: list[Model] = []
    for name in missing:
        new.append(described.get(name) or bare_models([name])[0])
        if name not in described and (near := nearest_registered(runtime.store, name)):
            print_note(f"warning: {name!r} is registered now; was {near!r} meant?")
    if new:
        await runtime.registrar.import_models(new, actor=ACTOR)
    return missing


async def _encode(
    runtime: Runtime, rows: Sequence[OutcomeRow], stage: _Stage, *, quiet: bool
) -> None:
    """Encode the queries now, with a bar: then a selection does not have to."""
    if runtime.routing.learner.mode is RoutingMode.OFF:
        return
    with progress("Encoding queries", quiet=quiet) as bar:
        stage.encoding = bar
        await open_index(runtime, quiet=True)
        await runtime.routing.learner.prepare({row.query for row in rows}, on_progress=bar)


def _show_recorded(source: Path, recorded: Recorded, *, as_json: bool) -> None:
    if as_json:
        report: dict[str, Any] = plain(recorded)
        # By the name that REST has.
        report["refused"] = report.pop("refusals")
        print_json({"file": str(source), "taken": recorded.taken, "report": report})
    else:
        print_line(
            f"{source.name}: {recorded.added} added, {recorded.updated} updated, "
            f"{recorded.unchanged} unchanged, {len(recorded.refusals)} refused."
        )
        _note_details(recorded)
    if not recorded.taken:
        raise typer.Exit(EXIT_FAILED)


def _note_details(recorded: Recorded) -> None:
    """Say beside the answer which models were registered, and which rows were refused."""
    if recorded.registered:
        count = counted(len(recorded.registered), "model")
        names = ", ".join(recorded.registered[:_SHOWN])
        print_note(f"Registered {count} that the rows name: {names}.")
    for refusal in recorded.refusals[:_SHOWN]:
        print_note(f"refused {refusal}")
    if len(recorded.refusals) > _SHOWN:
        print_note(f"{len(recorded.refusals) - _SHOWN} more were refused; --json lists them all.")


@app.command("list")
def list_outcomes(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    model: Annotated[str | None, typer.Option(help="Only of this model.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the latest outcomes, the latest first."""

    async def work(runtime: Runtime) -> tuple[ModelOutcome, ...]:
        return await runtime.routing.list_outcomes(tenant=tenant, model=model, limit=limit)

    found = run(work)
    if as_json:
        print_json(found)
        return
    columns = ("at", "tenant", "by", "model", "score", "USD", "ms", "source", "query")
    rows = [
        (
            *(o.at, o.tenant, o.principal, o.model, o.score, o.cost_usd, o.latency_ms, o.source),
            clipped(o.query),
        )
        for o in found
    ]
    print_table(columns, rows, empty=_NO_FIT if tenant or model else _NONE_KNOWN)


@app.command()
def status(
    learn: Annotated[
        bool, typer.Option("--learn/--no-learn", help="Learn and judge now, to see the verdict.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Show what is known, what selection makes of it, and why."""

    async def work(runtime: Runtime) -> tuple[RoutingMode, tuple[TenantRouting, ...]]:
        if learn:
            with progress("Encoding past queries", quiet=as_json) as bar:
                await runtime.routing.learner.look(at_once=True, on_progress=bar)
        return runtime.routing.learner.mode, await runtime.routing.states()

    mode, states = run(work, kept=lambda: "What was encoded is kept: run it again to go on.")
    if as_json:
        print_json({"mode": mode, "tenants": states})
        return
    print_line(f"Routing is {mode} (TOOLCRIB_ROUTING).")
    columns = ("tenant", "outcomes", "queries", "models", "state")
    rows = [(s.tenant, s.outcomes, s.queries, len(s.models), s.state) for s in states]
    print_table(columns, rows, empty=_NONE_KNOWN)
    for state in states:
        for said in (state.reason, *state.drifts, *state.set_aside):
            print_line(f"{state.tenant}: {said}")


@app.command()
def forget(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    model: Annotated[str | None, typer.Option(help="Only of this model.")] = None,
    principal: Annotated[str | None, typer.Option(help="Only those that came from this one.")] = (
        None
    ),
    before: Annotated[
        datetime | None, typer.Option(help="Only those before this time, in UTC unless it says.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget outcomes, and what was learned from them."""
    if everything == bool(tenant or model or principal or before):
        raise InvalidInput(
            "Say which to forget: --tenant, --model, --principal, --before; or --all alone."
        )
    until = datetime.now(UTC) + timedelta(days=1) if everything else _aware(before)

    async def work(runtime: Runtime) -> int:
        return await runtime.routing.forget(
            tenant=tenant, model=model, principal=principal, before=until
        )

    gone = run(work)
    if as_json:
        print_json({"forgotten": gone})
    else:
        print_line(f"Forgot {counted(gone, 'outcome')}.")
        if not gone and not everything:
            print_note(_NO_FIT)


def _aware(at: datetime | None) -> datetime | None:
    return at if at is None or at.tzinfo else at.replace(tzinfo=UTC)
