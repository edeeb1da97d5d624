"""Training data: folders of the shared format, and catalogues of tools that bring no queries.

Reads files and renders documents as the product does; knows neither vectors nor torch.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from toolcrib_embeddings.documents.corpus import Document, render_document
from toolcrib_registry.types import ServerName, Tool

_PAIRS_PER_SERVER: Final = 6
_MAX_SENTENCE_WORDS: Final = 40
_SHORTEST_SENTENCE: Final = 16
_SHORTEST_DOCUMENT: Final = 12
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+|\n+")


class DataError(Exception):
    """A file that is not what it should be; the message names it and its line."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query and the rows of the documents that answer it."""

    text: str
    relevant: frozenset[int]


@dataclass(frozen=True, slots=True)
class QuerySet:
    """One folder: ``tools.jsonl``, ``queries.jsonl``, ``qrels.tsv``."""

    name: str
    documents: tuple[Document, ...]
    queries: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """A sentence of a tool's description, and the document without that sentence."""

    query: str
    text: str


def read_query_set(folder: Path) -> QuerySet:
    """Read a folder; queries without a known answer are left out.

    Raises:
        DataError: a file is missing or a line is not what it must be.
    """
    tools = {_string(row, "id", "tools.jsonl"): row for row in _rows(folder / "tools.jsonl")}
    place = {id_: row for row, id_ in enumerate(tools)}
    relevant: dict[str, set[int]] = {}
    for query, tool in _judgements(folder / "qrels.tsv"):
        if tool in place:
            relevant.setdefault(query, set()).add(place[tool])
    queries = [
        Query(_string(row, "text", "queries.jsonl"), frozenset(relevant[row["id"]]))
        for row in _rows(folder / "queries.jsonl")
        if row.get("id") in relevant
    ]
    documents = tuple(render_document(_tool(row)) for row in tools.values())
    return QuerySet(folder.resolve().name, documents, tuple(queries))


def read_documents(catalogue: Path) -> tuple[Document, ...]:
    """Read a ``tools.jsonl`` without queries.

    Raises:
        DataError: the file is missing or a line is not what it must be.
    """
    return tuple(render_document(_tool(row)) for row in _rows(catalogue))


def read_pairs(catalogue: Path, *, limit: int, seed: int) -> list[Pair]:
    """Make up to ``limit`` pairs from the descriptions of a ``tools.jsonl``.

    Tools of one server stay neighbours, so that a batch has them to tell apart.

    Raises:
        DataError: the file is missing or a line is not what it must be.
    """
    chance = random.Random(seed)  # noqa: S311  # reproducible, not secret
    servers: dict[str, list[Tool]] = {}
    for row in _rows(catalogue):
        tool = _tool(row)
        servers.setdefault(tool.server, []).append(tool)
    pairs: list[Pair] = []
    for server in chance.sample(sorted(servers), len(servers)):
        some = chance.sample(servers[server], min(_PAIRS_PER_SERVER, len(servers[server])))
        pairs += [pair for tool in some if (pair := _pair(tool, chance)) is not None]
        if len(pairs) >= limit:
            break
    return pairs[:limit]


def _pair(tool: Tool, chance: random.Random) -> Pair | None:
    sentences = [s for s in _SENTENCE_END.split(tool.description) if len(s) >= _SHORTEST_SENTENCE]
    if not sentences or "not available" in tool.description.lower():
        return None
    rest = " ".join(sentences[1:]) if chance.random() < 0.6 else ""  # noqa: PLR2004  # most keep it
    text = render_document(replace(tool, description=rest)).text
    query = " ".join(sentences[0].split()[:_MAX_SENTENCE_WORDS])
    if chance.random() < 0.5:  # noqa: PLR2004  # half are written as people type
        query = query[0].lower() + query[1:]
    return Pair(query, text) if len(text) >= _SHORTEST_DOCUMENT else None


def _tool(row: Mapping[str, Any]) -> Tool:
    return Tool(
        name=str(row.get("id") or row.get("name") or ""),
        description=str(row.get("description") or "").strip(),
        server=ServerName(str(row.get("server") or row.get("group") or "")),
        local_name=str(row.get("name") or ""),
        definition={"inputSchema": row.get("input_schema")},
    )


def _judgements(file: Path) -> Iterator[Sequence[str]]:
    for number, line in enumerate(_lines(file), start=1):
        fields = line.rstrip("\n").split("\t")
        if len(fields) < 2:  # noqa: PLR2004
            raise DataError(f"{file}:{number}: expected query id, tool id, 1, tab separated.")
        yield fields[:2]


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_lines(file), start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{file}:{number}: {error}") from error
        if not isinstance(row, dict):
            raise DataError(f"{file}:{number}: expected a JSON object.")
        yield row


def _lines(file: Path) -> Iterator[str]:
    try:
        with file.open(encoding="utf-8") as lines:
            yield from (line for line in lines if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error


def _string(row: Mapping[str, Any], key: str, file: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value:
        raise DataError(f"{file}: a row has no {key!r}: {str(row)[:80]}")
    return value
