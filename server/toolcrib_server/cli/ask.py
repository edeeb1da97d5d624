"""Asking: ``search``, and the hard limits of a selection as they are written."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from toolcrib_registry.errors import ArgumentProblem, InvalidArguments, InvalidInput
from toolcrib_registry.types import Entry, EntryId, EntryKind
from toolcrib_server.gateway.answers import Detail, Wanted, show_answer
from toolcrib_server.gateway.constraints import CONSTRAINTS_SCHEMA
from toolcrib_server.gateway.sentences import say_rerank_off
from toolcrib_server.gateway.spelling import plain_limit
from toolcrib_server.invocation.schemas.arguments import ArgumentCheck
from toolcrib_server.runtime import Runtime
from toolcrib_server.selection.question import Filters, Question, Rerank, Stages, ask
from toolcrib_server.selection.selector import Answer

from .answers import print_answer
from .batch import Batch, Format, answer_batch, open_index
from .options import AsJson, Count, parse_value
from .output import print_json, print_note
from .running import EXIT_FAILED, run


def search(
    query: Annotated[
        list[str] | None,
        typer.Argument(help="The task, in plain words; several are the steps of one task."),
    ] = None,
    k: Count = 5,
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
        Rerank, typer.Option(help="Order the best by a second stage; auto: where it is prepared.")
    ] = Rerank.AUTO,
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
        view = show_answer(answer, wanted, entries=entries).view
        off = {"rerankOff": answer.rerank_off} if answer.rerank_off else {}
        took = {"reranked": answer.reranked, **off, "tookMs": round(answer.took_ms, 3)}
        print_json(view | took)
    else:
        print_answer(answer, explained=explain, grouped=group)
        if rerank is Rerank.ON and not explain:
            for line in say_rerank_off(answer):
                print_note(line)
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


def parse_limits(pairs: Iterable[str]) -> dict[str, Any]:
    """Read limits written as NAME=VALUE.

    Raises:
        InvalidInput: There is no such limit, or its value makes no sense.
    """
    known = cast("Mapping[str, Mapping[str, Any]]", CONSTRAINTS_SCHEMA["properties"])
    limits: dict[str, Any] = {}
    for pair in pairs:
        given, separator, value = pair.partition("=")
        name = plain_limit(given)
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
        wrong = "; ".join(_told(problem) for problem in error.problems)
        raise InvalidInput(f"These limits make no sense: {wrong}.") from error
    return limits


def _told(problem: ArgumentProblem) -> str:
    fits = f", not {problem.expected}" if problem.expected else ""
    return f"{problem.path} {problem.problem}{fits}"


def _parse_as(schema: Mapping[str, Any], value: str) -> Any:
    if schema["type"] == "array":
        return [part.strip() for part in value.split(",") if part.strip()]
    return parse_value(value)
