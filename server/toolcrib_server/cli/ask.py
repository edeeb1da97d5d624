"""Asking: ``search`` and ``select``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from toolcrib_registry.errors import InvalidArguments, InvalidInput
from toolcrib_registry.types import Entry, EntryId, EntryKind, Known
from toolcrib_server.gateway.answers import Detail, Wanted, show_answer
from toolcrib_server.gateway.constraints import CONSTRAINTS_SCHEMA, read_constraints
from toolcrib_server.gateway.views import render_selection
from toolcrib_server.invocation.arguments import ArgumentCheck
from toolcrib_server.runtime import Runtime
from toolcrib_server.selection.candidate import Candidate
from toolcrib_server.selection.models import Objective, Selection
from toolcrib_server.selection.question import Filters, Question, Rerank, Stages, ask
from toolcrib_server.selection.selector import Answer

from .answers import print_answer
from .batch import Batch, Format, answer_batch, open_index
from .options import AsJson, parse_value
from .output import print_json, print_line, print_table
from .running import EXIT_FAILED, run


def search(
    query: Annotated[
        list[str] | None,
        typer.Argument(help="The task, in plain words; several are the steps of one task."),
    ] = None,
    k: Annotated[int, typer.Option("-k", "--limit", help="How many results.")] = 5,
    kind: Annotated[EntryKind | None, typer.Option(help="Only this kind of entry.")] = None,
    server: Annotated[
        list[str] | None, typer.Option(help="Only entries of this server; may be repeated.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="Only what has this tag, or whose server has it.")
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Only tools that say that they only read.")
    ] = False,
    no_destructive: Annotated[
        bool,
        typer.Option("--no-destructive", help="Only tools that say that they destroy nothing."),
    ] = False,
    detail: Annotated[Detail, typer.Option(help="How much --json says of each.")] = Detail.BRIEF,
    rerank: Annotated[
        Rerank, typer.Option(help="Order the best by a second stage; auto: where there is time.")
    ] = Rerank.OFF,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say why each result is where it is.")
    ] = False,
    group: Annotated[bool, typer.Option("--group", help="Show results by server.")] = False,
    no_fold: Annotated[
        bool, typer.Option("--no-fold", help="List near-duplicates as results of their own.")
    ] = False,
    no_split: Annotated[
        bool, typer.Option("--no-split", help="Take the task as one step, whatever it says.")
    ] = False,
    batch: Annotated[
        Path | None, typer.Option(help="A JSON lines file of queries with id and text.")
    ] = None,
    format: Annotated[  # noqa: A002  # the option's name
        Format, typer.Option(help="How a batch is written.")
    ] = Format.TREC,
    as_json: AsJson = False,
) -> None:
    """Find what fits a task.

    With --batch FILE, answer every query of the file; --format trec writes the run format of
    trec_eval (query, Q0, document, rank, score, tag): the plain ranking, near-duplicates unfolded.
    """
    if bool(query) == (batch is not None):
        raise InvalidInput("Give a query, or --batch FILE with many; one of the two.")
    filters = Filters.of(
        kinds=[kind] if kind else None,
        servers=server or None,
        tags=tag,
        read_only=read_only,
        destructive=not no_destructive,
    )
    stages = Stages(rerank=rerank, split=not no_split, fold=not no_fold)
    wanted = Wanted(detail=detail, explain=explain, group_by_server=group)
    if batch is not None:
        asked = Batch(batch, Format.JSONL if as_json else format, k, filters, stages)
        run(lambda runtime: answer_batch(runtime, asked, wanted))
        return
    # What makes no sense is said before the model is loaded.
    question = ask(query or [], k=k, filters=filters, stages=stages)
    answer, entries = run(partial(_search, question=question, quiet=as_json, detail=detail))
    if as_json:
        took = {"reranked": answer.reranked, "tookMs": round(answer.took_ms, 3)}
        print_json(show_answer(answer, wanted, entries=entries).view | took)
    else:
        print_answer(answer, explained=explain, grouped=group)
    if not answer.found:
        raise typer.Exit(EXIT_FAILED)


async def _search(
    runtime: Runtime, *, question: Question, quiet: bool, detail: Detail
) -> tuple[Answer, Mapping[EntryId, Entry]]:
    await open_index(runtime, quiet=quiet)
    # What is in use was learned by the serving process: this one only takes it up.
    await runtime.learner.look(learn=False)
    answer = await runtime.selector.search(
        question.query,
        k=question.k,
        filters=question.filters,
        stages=question.stages,
        principal="local",
    )
    if detail is not Detail.FULL:
        return answer, {}
    return answer, await runtime.selector.read(answer.found)


def select(
    task: Annotated[str, typer.Argument(help="What the model has to do, in plain words.")],
    limits: Annotated[
        list[str] | None,
        typer.Argument(help="Hard limits as NAME=VALUE; an unknown name lists them."),
    ] = None,
    objective: Annotated[
        Objective, typer.Option(help="What to rank by, within the limits.")
    ] = Objective.RELEVANCE,
    k: Annotated[int, typer.Option("-k", "--limit", help="How many choices.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Choose a model for a task under hard limits.

    Example: toolcrib select "summarise a contract" max_price_in_usd=1 min_context_tokens=100000
    """
    constraints = read_constraints(_parse_limits(limits or []))

    async def work(runtime: Runtime) -> Selection:
        await open_index(runtime, quiet=as_json)
        return await runtime.models.select(task, constraints=constraints, objective=objective, k=k)

    selection = run(work)
    view, text = render_selection(selection)
    if as_json:
        print_json(view)
    elif selection.choices:
        _print_selection(selection)
    else:
        print_line(text)
    if not selection.choices:
        raise typer.Exit(EXIT_FAILED)


def _print_selection(selection: Selection) -> None:
    rows = [
        (i, c.model.name, c.provider, c.relevance, *map(_fact, _facts(c)))
        for i, c in enumerate((choice.candidate for choice in selection.choices), start=1)
    ]
    columns = ("#", "model", "provider", "score", "USD in", "USD out", "context", "licence")
    print_table(columns, [(*row[:3], f"{row[3]:.2f}", *row[4:]) for row in rows], empty="")
    print_line(
        f"{selection.passed} of {selection.considered} offers meet every limit. Prices are per "
        "million tokens; --json says where each figure is from."
    )


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


def _parse_limits(pairs: Iterable[str]) -> dict[str, Any]:
    known = cast("Mapping[str, Mapping[str, Any]]", CONSTRAINTS_SCHEMA["properties"])
    limits: dict[str, Any] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise InvalidInput(
                f"{pair!r} is no limit.{hint} Write NAME=VALUE with one of {', '.join(known)}."
            )
        limits[name] = _parse_as(known[name], value)
    try:
        ArgumentCheck("select", CONSTRAINTS_SCHEMA).check(limits)
    except InvalidArguments as error:
        wrong = "; ".join(f"{p.path} {p.problem}, not {p.expected}" for p in error.problems)
        raise InvalidInput(f"These limits make no sense: {wrong}.") from error
    return limits


def _parse_as(schema: Mapping[str, Any], value: str) -> Any:
    if schema["type"] == "array":
        return [part.strip() for part in value.split(",") if part.strip()]
    return parse_value(value)
