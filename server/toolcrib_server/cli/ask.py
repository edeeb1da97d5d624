"""Asking: ``search``, ``select`` and ``call``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from toolcrib_registry.errors import InvalidInput, NotFound
from toolcrib_registry.types import EntryKind, ServerName
from toolcrib_server.gateway.constraints import CONSTRAINTS_SCHEMA, read_constraints
from toolcrib_server.gateway.views import Detail, render_answer, render_selection
from toolcrib_server.invocation.arguments import ArgumentCheck
from toolcrib_server.runtime import Runtime
from toolcrib_server.selection.models import Objective
from toolcrib_server.selection.selector import Answer, Found

from .options import AsJson
from .output import print_json, print_line, print_note, print_table, progress
from .running import EXIT_FAILED, EXIT_TOOL_ERROR, run


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
        yield json.dumps({"id": qid, **view}, ensure_ascii=False)
        return
    for rank, found in enumerate(answer.found, start=1):
        document = found.entry.source_id or found.entry.name
        # White space separates the columns of a TREC run.
        document = "_".join(document.split())
        yield f"{'_'.join(qid.split())} Q0 {document} {rank} {found.score:.6f} toolcrib"


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

    async def work(runtime: Runtime) -> tuple[dict[str, Any], str]:
        await _open_index(runtime, quiet=as_json)
        selection = await runtime.models.select(
            task, constraints=constraints, objective=objective, k=k
        )
        return render_selection(selection)

    view, text = run(work)
    if as_json:
        print_json(view)
    else:
        print_line(text)
    if not view["choices"]:
        raise typer.Exit(EXIT_FAILED)


def _parse_limits(pairs: Iterable[str]) -> dict[str, Any]:
    known = cast("Mapping[str, Mapping[str, Any]]", CONSTRAINTS_SCHEMA["properties"])
    limits: dict[str, Any] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or name not in known:
            raise InvalidInput(
                f"{pair!r} is no limit: write NAME=VALUE with one of {', '.join(known)}."
            )
        limits[name] = _parse_as(known[name], value)
    ArgumentCheck("select", CONSTRAINTS_SCHEMA).check(limits)
    return limits


def _parse_as(schema: Mapping[str, Any], value: str) -> Any:
    if schema["type"] == "array":
        return [part.strip() for part in value.split(",") if part.strip()]
    return _parse_value(value)


def _parse_value(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def call(
    name: Annotated[str, typer.Argument(help="A tool's name, as `search` gives it.")],
    pairs: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Arguments of the tool.")
    ] = None,
    args: Annotated[
        str | None, typer.Option("--args", help="All arguments as a JSON object; - reads stdin.")
    ] = None,
    timeout_s: Annotated[float | None, typer.Option("--timeout", help="Seconds to wait.")] = None,
    as_json: AsJson = False,
) -> None:
    """Call a tool. Values that are JSON are taken as JSON, all others as text."""
    arguments = _parse_arguments(pairs or [], args)

    async def work(runtime: Runtime) -> dict[str, Any]:
        try:
            return await runtime.invoker.call(
                name, arguments, face="cli", principal="local", timeout_s=timeout_s
            )
        except NotFound as error:
            print_note("Find a tool's name with `toolcrib search`.")
            raise error from None

    result = run(work)
    if as_json:
        print_json(result)
    else:
        for block in cast("list[Mapping[str, Any]]", result.get("content") or []):
            print_line(_block_text(block))
    if result.get("isError"):
        raise typer.Exit(EXIT_TOOL_ERROR)


def _parse_arguments(pairs: Iterable[str], args: str | None) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if args is not None:
        text = sys.stdin.read() if args == "-" else args
        try:
            decoded = json.loads(text)
        except ValueError as error:
            raise InvalidInput(f"--args is not JSON: {error}") from error
        if not isinstance(decoded, dict):
            raise InvalidInput('--args must be a JSON object, as \'{"path": "/tmp"}\'.')
        arguments = cast("dict[str, Any]", decoded)
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise InvalidInput(f"{pair!r} is no argument: write KEY=VALUE.")
        arguments[key] = _parse_value(value)
    return arguments


def _block_text(block: Mapping[str, Any]) -> str:
    match block.get("type"):
        case "text":
            return str(block.get("text", ""))
        case "image" | "audio" as kind:
            size = len(str(block.get("data", ""))) * 3 // 4
            return f"[{kind}, {block.get('mimeType', 'unknown type')}, {size} bytes; see --json]"
        case "resource_link":
            return f"[resource {block.get('uri')}]"
        case "resource":
            inner = cast("Mapping[str, Any]", block.get("resource") or {})
            return str(inner.get("text") or f"[resource {inner.get('uri')}]")
        case other:
            return f"[{other}; see --json]"


__all__ = ["call", "search", "select"]
