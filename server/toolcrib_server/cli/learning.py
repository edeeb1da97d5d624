"""Learning from use: ``learning status|replay|forget``, and ``eval learning``.

No logic: what is printed was decided in `toolcrib_server.learning`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio.to_thread
import typer

from toolcrib_registry.errors import InvalidInput, NotFound
from toolcrib_registry.types import JsonObject
from toolcrib_server.learning.mode import LearningMode
from toolcrib_server.learning.refusing import Needs
from toolcrib_server.learning.simulation import (
    JudgedQueries,
    Plan,
    SetResult,
    Trial,
    query_hash,
    simulate,
)
from toolcrib_server.learning.standing import TenantState
from toolcrib_server.runtime import Runtime

from .needing import print_needs, refuse
from .options import AsJson
from .output import Progress, counted, print_json, print_line, print_note, print_table, progress
from .running import interruptible, read_settings, run

if TYPE_CHECKING:
    from toolcrib_embeddings import Encoder, FloatVector
    from toolcrib_server.evaluation.sets import RetrievalSet
    from toolcrib_server.evaluation.vectors import VectorCache

_FEWEST_QUERIES = 200

app = typer.Typer(
    name="learning",
    help="What search learned from use: how it stands, judging it again, forgetting.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command()(refuse)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show what is recorded, what searches use of it, and why."""

    async def work(
        runtime: Runtime,
    ) -> tuple[LearningMode, tuple[TenantState, ...], Needs]:
        states = await runtime.feedback.states()
        return runtime.feedback.mode, states, await runtime.needs.read(now=True)

    mode, states, needs = run(work)
    if as_json:
        print_json(
            {"mode": mode, "tenants": states, "needs": needs.learned, "refused": needs.refused}
        )
        return
    print_line(f"Learning is {mode} (TOOLCRIB_LEARNING).")
    columns = ("tenant", "outcomes", "in use", "judged at")
    rows = [(s.tenant, s.outcomes, s.in_use or "nothing", s.judged_at) for s in states]
    print_table(columns, rows, empty="Nothing was recorded yet.")
    for state in states:
        if state.reason:
            print_line(f"{state.tenant}: {state.reason}.")
        print_line(f"{state.tenant}: abstains by {state.abstains_by}.")
        for wait in state.waits:
            print_line(f"{state.tenant}: {wait}.")
    print_needs(needs)


@app.command()
def replay(
    tenant: Annotated[str | None, typer.Argument(help="One tenant; all unless given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Judge now what was recorded, and use what gains from here on.

    Learns from the older outcomes and asks the newer queries, with and without what was learned.
    """
    reports: dict[str, JsonObject] = {}

    def kept() -> str:
        done = ", ".join(reports) or "no tenant"
        return f"What was learned of {done} is kept; run it again for the others."

    async def work(runtime: Runtime) -> None:
        counts = await anyio.to_thread.run_sync(runtime.store.count_outcomes)
        if tenant is not None and tenant not in counts:
            raise NotFound("tenant", tenant, near=difflib.get_close_matches(tenant, counts))
        for name in counts if tenant is None else [tenant]:
            with progress(f"replaying {name}") as bar:
                reports[name] = (await runtime.learner.learn(name, on_progress=bar)).report

    run(work, kept=kept)
    if as_json:
        print_json(reports)
    else:
        _print_reports(reports)


@app.command()
def forget(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's outcomes.")] = None,
    principal: Annotated[str | None, typer.Option(help="Only those that came from this one.")] = (
        None
    ),
    before: Annotated[
        datetime | None, typer.Option(help="Only those before this time, in UTC unless it says.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that was recorded.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget outcomes, and all that was learned from them."""
    if everything == bool(tenant or principal or before):
        raise InvalidInput(
            "Say whose outcomes to forget: --tenant, --principal, --before; or --all alone."
        )
    until = datetime.now(UTC) + timedelta(days=1) if everything else _aware(before)

    async def work(runtime: Runtime) -> int:
        return await runtime.feedback.forget(tenant=tenant, principal=principal, before=until)

    forgotten = run(work)
    if as_json:
        print_json({"forgotten": forgotten})
    else:
        print_line(f"Forgot {counted(forgotten, 'outcome')}.")
        if not forgotten and not everything:
            print_note("No outcome fits that. `toolcrib learning status` shows whose there are.")


def _aware(at: datetime | None) -> datetime | None:
    return at if at is None or at.tzinfo else at.replace(tzinfo=UTC)


def _print_reports(reports: Mapping[str, JsonObject]) -> None:
    columns = ("tenant", "way", "before", "after", "gain (95 %)", "in use")
    rows = [
        (tenant, gain["arm"], f"{100 * report['before']:.1f}", *_gain_cells(gain), in_use)
        for tenant, report in reports.items()
        for gain in report["gains"]
        for in_use in [gain["arm"] == report["inUse"]]
    ]
    print_table(columns, rows, empty="Nothing can be judged yet.")
    for tenant, report in reports.items():
        print_line(f"{tenant}: {report['cases']} queries judge; {report['reason']}.")


def _gain_cells(gain: JsonObject) -> tuple[str, str]:
    low, high = 100 * gain["low"], 100 * gain["high"]
    return f"{100 * gain['after']:.1f}", f"{100 * gain['gain']:+.1f} ({low:+.1f} to {high:+.1f})"


# --- eval learning -----------------------------------------------------------------------------


def evaluate(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Judged sets, or folders of them.")
    ],
    outcomes: Annotated[int, typer.Option(min=1, help="Outcomes to learn from, at most.")] = 2_000,
    unseen: Annotated[int, typer.Option(min=1, help="Unseen queries to judge by, at most.")] = 400,
    seed: Annotated[int, typer.Option(help="Of the split and of the attackers.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Simulate learning from use on judged sets, with and without attackers.

    At most 60 % of a set's queries are asked and have outcomes; the others are unseen and judge.
    Sets with fewer than 200 queries are left out.
    """
    plan = Plan(outcomes=outcomes, unseen=unseen, seed=seed)
    with interruptible(lambda: "What was encoded is kept: run it again to go on."):
        results = _simulate_all(folders, plan)
    if as_json:
        print_json({"plan": plan, "sets": results, "macro": _macro(results)})
    else:
        _print_results(results)


def _simulate_all(folders: Sequence[Path], plan: Plan) -> list[SetResult]:
    from toolcrib_embeddings import SentenceTransformerEncoder  # noqa: PLC0415  # slow to import
    from toolcrib_server.evaluation.sets import find_sets, read_set  # noqa: PLC0415  # the same

    settings = read_settings()
    cache = settings.cache_dir
    encoder = SentenceTransformerEncoder.open(
        cache / "encoders", model=settings.encoder, head=settings.token_head
    )
    results: list[SetResult] = []
    for name, folder in find_sets(folders).items():
        judged = read_set(name, folder)
        if len(judged.queries) < _FEWEST_QUERIES:
            print_note(
                f"{name} has {len(judged.queries)} queries: too few to learn from and judge."
            )
            continue
        results.append(_simulate(judged, encoder, cache / "evaluation", plan))
    return results


def _simulate(read: RetrievalSet, encoder: Encoder, cache: Path, plan: Plan) -> SetResult:
    from toolcrib_embeddings.queries.negation import read_query  # noqa: PLC0415  # slow to import
    from toolcrib_server.evaluation.vectors import VectorCache  # noqa: PLC0415  # the same
    from toolcrib_server.learning.replay import Vectors  # noqa: PLC0415  # the same
    from toolcrib_server.learning.retrieval import IndexRetriever  # noqa: PLC0415  # the same

    texts = {query: read_query(query).text for query in read.queries.values()}
    with VectorCache(encoder, cache) as vectors, progress(f"encoding {read.name}") as encoding:
        documents = _embed(read, vectors, encoding)
        asked = vectors.encode(list(texts.values()), on_progress=encoding)
    known = dict(zip(texts.values(), asked, strict=True))
    retriever = IndexRetriever(list(zip(read.documents, documents, strict=True)), encoder, known)
    by_entry = {d.id: v for d, v in zip(read.documents, documents, strict=True)}
    by_hash = {query_hash(query): known[text] for query, text in texts.items()}
    judged = _judged(read)
    with progress(f"simulating {read.name}") as simulating:
        return simulate(
            judged,
            retriever,
            Vectors(encoder_id=encoder.id, queries=by_hash, entries=by_entry),
            plan=plan,
            on_progress=simulating,
        )


def _embed(read: RetrievalSet, vectors: VectorCache, bar: Progress) -> list[FloatVector]:
    """Give each document its vector, as an index has it."""
    from toolcrib_embeddings.documents.representation import DEFAULT_REPRESENTATION  # noqa: PLC0415  # slow

    parts = [DEFAULT_REPRESENTATION.parts(document) for document in read.documents]
    texts = {part.text_hash: part.text for listed in parts for part in listed}
    rows = vectors.encode(list(texts.values()), on_progress=bar)
    known = dict(zip(texts, rows, strict=True))
    return [DEFAULT_REPRESENTATION.combine(listed, known) for listed in parts]


def _judged(read: RetrievalSet) -> JudgedQueries:
    by_own = {own: entry for entry, own in read.ids.items()}
    relevant = {
        query: frozenset(by_own[tool] for tool, grade in grades.items() if grade and tool in by_own)
        for query, grades in read.judgements.items()
    }
    return JudgedQueries(
        name=read.name,
        entries=tuple(sorted(read.ids)),
        queries={query: text for query, text in read.queries.items() if relevant[query]},
        relevant=relevant,
    )


def _print_results(results: Sequence[SetResult]) -> None:
    columns = ("set", "queries", "outcomes", "unseen", "attack", "in use", "before", "after")
    rows = [_row(result, trial) for result in results for trial in result.trials]
    print_table((*columns, "gain (95 %)"), rows, empty="No set was large enough.")
    for attack, gain in _macro(results).items():
        print_line(f"macro, {attack}: {100 * gain:+.1f} points NDCG@10")


def _row(result: SetResult, trial: Trial) -> tuple[object, ...]:
    gain = trial.gain
    points = f"{100 * gain.gain:+.1f} ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
    return (
        result.name,
        result.asked,
        trial.outcomes,
        result.unseen,
        trial.attack,
        trial.used or "nothing",
        f"{100 * result.before:.1f}",
        f"{100 * gain.after:.1f}",
        points,
    )


def _macro(results: Sequence[SetResult]) -> Mapping[str, float]:
    """Average the gains over sets, for each attack and without one."""
    gains: dict[str, list[float]] = {}
    for result in results:
        for trial in result.trials:
            gains.setdefault(trial.attack or "no attack", []).append(trial.gain.gain)
    return {attack: sum(found) / len(found) for attack, found in gains.items()}
