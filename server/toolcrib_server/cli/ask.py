"""Asking: ``search`` and ``select``."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from toolcrib_registry.errors import InvalidArguments, InvalidInput
from toolcrib_registry.types import EntryKind, Known, ServerName
from toolcrib_server.gateway.constraints import CONSTRAINTS_SCHEMA, read_constraints
from toolcrib_server.gateway.views import Detail, render_answer, render_selection
from toolcrib_server.invocation.arguments import ArgumentCheck
from toolcrib_server.runtime import Runtime
from toolcrib_server.selection.candidate import Candidate
from toolcrib_server.selection.models import Objective, Selection
from toolcrib_server.selection.selector import Answer, Found

from .options import AsJson, parse_value
from .output import print_json, print_line, print_table, progress
from .running import EXIT_FAILED, run


class Format(StrEnum):
    """How a batch is written."""

    TREC = "trec"
    JSONL = "jsonl"


def search(
    query: Annotated[str | None, typer.Argument(help="The task, in plain words.")] = None,
    k: Annotated[int, typer.Option("-k", "--limit", help="How many results.")] = 5,
    kind: Annotated[EntryKind | None, typer.Option(help="Only this kind of entry.")] = None,
    server: Annotated[str | None, typer.Option(help="Only entries of this server.")] = None,
    detail: Annotated[Detail, typer.Option(help="How much to say of each.")] = Detail.BRIEF,
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
    trec_eval (query, Q0, document, rank, score, tag).
    """
    if (query is None) == (batch is None):
        raise InvalidInput("Give a query, or --batch FILE with many; one of the two.")
    if batch is not None:
        run(lambda runtime: _batch(runtime, batch, k, kind, server, format))
        return

    async def work(runtime: Runtime) -> Answer:
        await _open_index(runtime, quiet=as_json)
        return await runtime.selector.search(query or "", k=k, **_filters(runtime, kind, server))

    answer = run(work)
    if as_json:
        print_json(render_answer(answer, detail, count_tokens=len))
    else:
        _print_answer(answer)
    if not answer.found:
        raise typer.Exit(EXIT_FAILED)


def _filters(runtime: Runtime, kind: EntryKind | None, server: str | None) -> dict[str, Any]:
    if server is not None:
        runtime.store.get_server(ServerName(server))
    return {
        "kinds": [kind] if kind else None,
        "servers": [ServerName(server)] if server else None,
    }


async def _open_index(runtime: Runtime, *, quiet: bool = False) -> None:
    with progress("Embedding", quiet=quiet) as bar:
        await runtime.indexer.catch_up(on_progress=bar)


def _print_answer(answer: Answer) -> None:
    empty = (
        f"Nothing fits among {answer.searched} entries."
        if answer.searched
        else "The registry is empty. Add a server with `toolcrib add`, or import a catalogue."
    )
    rows = [
        (
            i,
            found.entry.name,
            found.entry.kind,
            f"{found.score:.3f}",
            _why(found),
            found.entry.description,
        )
        for i, found in enumerate(answer.found, start=1)
    ]
    columns = ("#", "name", "kind", "score", "found by", "description")
    print_table(columns, rows, empty=empty)


def _why(found: Found) -> str:
    return ", ".join(f"{name} #{signal.rank}" for name, signal in sorted(found.signals.items()))


async def _batch(
    runtime: Runtime,
    file: Path,
    k: int,
    kind: EntryKind | None,
    server: str | None,
    format: Format,  # noqa: A002
) -> None:
    queries = list(_read_queries(file))
    await _open_index(runtime)
    filters = _filters(runtime, kind, server)
    with progress("Searching") as bar:
        for done, (qid, text) in enumerate(queries, start=1):
            answer = await runtime.selector.search(text, k=k, **filters)
            for line in _lines(qid, answer, format):
                sys.stdout.write(line + "\n")
            bar(done, len(queries))


def _read_queries(file: Path) -> Iterator[tuple[str, str]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            yield str(row["id"]), str(row["text"])
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(
                f"{file}: line {number} is not a JSON object with id and text ({error})."
            ) from error


def _lines(qid: str, answer: Answer, format: Format) -> Iterator[str]:  # noqa: A002
    if format is Format.JSONL:
        view = render_answer(answer, Detail.BRIEF, count_tokens=len)
        for result, found in zip(view["results"], answer.found, strict=True):
            result["document"] = _document(found)
        yield json.dumps({"id": qid, **view}, ensure_ascii=False)
        return
    for rank, found in enumerate(answer.found, start=1):
        # White space separates the columns of a TREC run.
        document = "_".join(_document(found).split())
        yield f"{'_'.join(qid.split())} Q0 {document} {rank} {found.score:.6f} toolcrib"


def _document(found: Found) -> str:
    """Name a document as the file it was imported from does."""
    return found.entry.source_id or found.entry.name


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
        await _open_index(runtime, quiet=as_json)
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
