"""Choosing models: ``select``, for one task or for a file of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import Known
from toolcrib_server.evaluation.queries import read_queries
from toolcrib_server.gateway.constraints import read_constraints
from toolcrib_server.gateway.rendering import render_selection
from toolcrib_server.gateway.routings import render_routing
from toolcrib_server.learning.mode import EVERYONE
from toolcrib_server.routing.stages import stages_of
from toolcrib_server.routing.weights import Weights
from toolcrib_server.runtime import Runtime
from toolcrib_server.selection.candidate import Candidate
from toolcrib_server.selection.constraint import Constraints
from toolcrib_server.selection.models import Choice, Objective, Selection

from .ask import parse_limits
from .batch import open_index
from .options import AsJson, Count
from .output import plain, print_json, print_line, print_table, progress
from .running import EXIT_FAILED, run

_LOCAL = "local"


def select(
    task: Annotated[
        str | None, typer.Argument(help="What the model has to do, in plain words.")
    ] = None,
    limits: Annotated[
        list[str] | None,
        typer.Argument(help="Hard limits as NAME=VALUE; an unknown name lists them."),
    ] = None,
    objective: Annotated[
        Objective, typer.Option(help="What to rank by, within the limits.")
    ] = Objective.RELEVANCE,
    k: Count = 5,
    quality: Annotated[float, typer.Option(help="How much the expected score counts.")] = 1.0,
    cost: Annotated[
        float, typer.Option(help="How much the cost counts, as a share of the dearest model's.")
    ] = 0.0,
    latency: Annotated[
        float, typer.Option(help="How much the time counts, as a share of the slowest model's.")
    ] = 0.0,
    max_cost: Annotated[
        float | None, typer.Option(help="USD that a call may be expected to cost.")
    ] = None,
    max_latency: Annotated[
        float | None, typer.Option(help="Milliseconds that a call may be expected to take.")
    ] = None,
    default: Annotated[
        str | None,
        typer.Option(help="The model that is kept unless another's gain exceeds its uncertainty."),
    ] = None,
    batch: Annotated[
        Path | None, typer.Option(help="A JSON lines file of queries with id and text.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Choose a model for a task under hard limits, by what past outcomes let expect.

    Example: toolcrib select "summarise a contract" max_price_in_usd=1 min_context_tokens=100000

    With --batch FILE, choose for every query of the file: with --json a line each.
    """
    if batch is not None and task is not None:
        limits, task = [task, *(limits or [])], None
    if (task is None) == (batch is None):
        raise InvalidInput("Give a task, or --batch FILE with many; one of the two.")
    constraints = read_constraints(parse_limits(limits or []))
    weights = Weights(
        quality=quality,
        cost=cost,
        latency=latency,
        max_cost_usd=max_cost,
        max_latency_ms=max_latency,
        default=default,
    )
    weights.check()
    if batch is not None:
        if objective is not Objective.RELEVANCE:
            raise InvalidInput("--batch takes weights and limits, and no --objective.")
        run(
            partial(
                _select_batch, file=batch, constraints=constraints, weights=weights, as_json=as_json
            )
        )
        return
    assert task is not None
    selection = run(
        partial(
            _select,
            task=task,
            constraints=constraints,
            objective=objective,
            weights=weights,
            k=k,
            quiet=as_json,
        )
    )
    view, text = render_selection(selection)
    if as_json:
        print_json(view)
    elif selection.choices:
        _print_selection(selection)
    else:
        print_line(text)
    if not selection.choices:
        raise typer.Exit(EXIT_FAILED)


async def _select(
    runtime: Runtime,
    *,
    task: str,
    constraints: Constraints,
    objective: Objective,
    weights: Weights,
    k: int,
    quiet: bool,
) -> Selection:
    await open_index(runtime, quiet=quiet)
    if objective is Objective.RELEVANCE:
        await learn_now(runtime, quiet=quiet)
    return await runtime.models.select(
        task, constraints=constraints, objective=objective, k=k, weights=weights
    )


async def learn_now(runtime: Runtime, *, quiet: bool) -> None:
    """Learn what this process will use: what a serving one has ready, each command learns anew."""
    learner = runtime.routing.learner
    tenants = {EVERYONE, learner.sharing.tenant_of(_LOCAL)}
    with progress("Encoding past queries", quiet=quiet) as bar:
        await learner.look(tenants=tenants, at_once=True, on_progress=bar)


async def _select_batch(
    runtime: Runtime, *, file: Path, constraints: Constraints, weights: Weights, as_json: bool
) -> None:
    queries = read_queries(file)
    await open_index(runtime)
    await learn_now(runtime, quiet=False)
    with progress("Encoding queries") as bar:
        routed = await runtime.models.select_many(
            list(queries.values()), constraints=constraints, weights=weights, on_progress=bar
        )
    if routed and any(one.choice.ranked for one in routed):
        rows = [
            {"id": qid, **render_routing(one)} for qid, one in zip(queries, routed, strict=True)
        ]
    else:
        domains = [render_routing(one)["domain"] for one in routed] or [None] * len(queries)
        rows = await _plain_rows(runtime, queries, domains, constraints, weights)
    _print_rows(rows, as_json=as_json)


async def _plain_rows(
    runtime: Runtime,
    queries: Mapping[str, str],
    domains: Sequence[Any],
    constraints: Constraints,
    weights: Weights,
) -> list[dict[str, Any]]:
    """Answer each query by relevance, where no outcome says anything."""
    rows: list[dict[str, Any]] = []
    with progress("Selecting") as bar:
        for (qid, text), domain in zip(queries.items(), domains, strict=True):
            selection = await runtime.models.select(text, constraints=constraints, weights=weights)
            ranked = [
                {"model": c.candidate.model.name, "relevance": round(c.candidate.relevance, 4)}
                for c in selection.choices
            ]
            rows.append(
                {
                    "id": qid,
                    "choice": ranked[0]["model"] if ranked else None,
                    "default": None,
                    "domain": domain,
                    "reasons": list(selection.notes),
                    "ranked": ranked,
                }
            )
            bar(len(rows), len(queries))
    return rows


def _print_rows(rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            sys.stdout.write(json.dumps(plain(row), ensure_ascii=False) + "\n")
        return
    shown = [(row["id"], row["choice"], _expected(row), _domain(row)) for row in rows]
    print_table(("id", "model", "expected", "domain"), shown, empty="")


def _expected(row: dict[str, Any]) -> str | None:
    ranked: list[dict[str, Any]] = row["ranked"]
    chosen = next((one for one in ranked if one["model"] == row["choice"]), None)
    return f"{chosen['quality']:.2f}" if chosen and "quality" in chosen else None


def _domain(row: dict[str, Any]) -> str | None:
    verdict: dict[str, Any] | None = row["domain"]
    return None if verdict is None else verdict["name"] or "outside"


def _print_selection(selection: Selection) -> None:
    routed = selection.routing is not None and bool(selection.routing.choice.ranked)
    rows = [_row(i, choice, routed=routed) for i, choice in enumerate(selection.choices, start=1)]
    columns = (
        "#",
        "model",
        "provider",
        "expected" if routed else "score",
        "USD in",
        "USD out",
        "context",
        "licence",
    )
    print_table(columns, rows, empty="", spare=("licence", "context"))
    for stage in stages_of(selection):
        print_line(f"{stage.name}: {stage.said}")
    print_line(
        f"{selection.passed} of {selection.considered} offers meet every limit. Prices are per "
        "million tokens; --json says where each figure is from."
    )


def _row(place: int, choice: Choice, *, routed: bool) -> tuple[object, ...]:
    candidate, expected = choice.candidate, choice.expected
    score: str | None = f"{candidate.relevance:.2f}"
    if routed:
        score = (
            f"{expected.quality:.2f} ({expected.low:.2f}-{expected.high:.2f})" if expected else None
        )
    names = (place, candidate.model.name, candidate.provider, score)
    return (*names, *map(_fact, _facts(candidate)))


def _facts(candidate: Candidate) -> tuple[Known[Any] | None, ...]:
    descriptor = candidate.model.descriptor
    return (
        candidate.price_in_usd,
        candidate.price_out_usd,
        candidate.context_tokens,
        descriptor.license,
    )


def _fact(known: Known[Any] | None) -> object:
    return known.value if known else "unknown"
