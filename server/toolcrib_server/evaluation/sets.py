"""Judged sets in folders: tools, queries, and which tools answer which query.

Tools are read as `toolcrib import` reads them, so that what is judged is what users get.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import EntryId, Tool
from toolcrib_server.catalog.problem import Problem
from toolcrib_server.catalog.tools import read_tools_jsonl

from .judgements import NAMES, Judgements, read_judgements
from .queries import read_queries
from .rows import iter_lines

if TYPE_CHECKING:
    from toolcrib_embeddings import Document

TOOLS: Final = "tools.jsonl"
QUERIES: Final = "queries.jsonl"
_NEEDED: Final = f"{TOOLS}, {QUERIES} and {NAMES[0]}"
_FILES: Final = 3
_SHOWN_PROBLEMS: Final = 3
_HASH_DIGITS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What of a folder is not judged, counted; and judgements that nothing can fulfil."""

    tools: int = 0
    """Rows of tools that cannot be read."""
    queries_without_judgement: int = 0
    judgements_of_unknown_queries: int = 0
    judgements_of_unknown_tools: int = 0
    """These count: a tool that is not there is a tool that is not found."""
    queries_beyond_limit: int = 0
    problems: tuple[str, ...] = ()
    """The first few rows of tools that cannot be read, with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalSet:
    """One folder, read: documents, judged queries, and judgements by the tools' own ids."""

    name: str
    folder: Path
    documents: tuple[Document, ...]
    ids: Mapping[EntryId, str]
    """The id that the folder gives a tool, by the id that the index gives it."""
    queries: Mapping[str, str]
    judgements: Judgements
    """Of the queries that are here, and only those."""
    left_out: LeftOut
    data_hash: str
    """Of all three files: two results with one hash are of the same data."""


def find_sets(paths: Sequence[Path]) -> dict[str, Path]:
    """Find the sets in folders: each a set, or one that holds sets. Names by folder, unique.

    Raises:
        InvalidInput: A path is no folder, or there is no set in it, or a set lacks a file.
    """
    folders = list(dict.fromkeys(found.resolve() for path in paths for found in _sets_in(path)))
    depth = 1
    while len(names := {"-".join(f.parts[-depth:]): f for f in folders}) < len(folders):
        depth += 1
    return names


def _sets_in(path: Path) -> list[Path]:
    if not path.is_dir():
        raise InvalidInput(f"{path} is no folder. Name one that holds {_NEEDED}.")
    lacking = _lacking(path)
    if not lacking:
        return [path]
    if len(lacking) < _FILES:
        raise InvalidInput(f"{path} has no {' and no '.join(lacking)}; a set needs {_NEEDED}.")
    inner = [place for place in sorted(path.iterdir()) if (place / QUERIES).is_file()]
    if not inner:
        raise InvalidInput(f"{path} holds no set to judge: a set is a folder with {_NEEDED}.")
    return [found for folder in inner for found in _sets_in(folder)]


def _lacking(folder: Path) -> list[str]:
    lacking = [name for name in (TOOLS, QUERIES) if not (folder / name).is_file()]
    return lacking if _find_judgements(folder) else [*lacking, NAMES[0]]


def _find_judgements(folder: Path) -> Path | None:
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def read_set(name: str, folder: Path, *, limit: int | None = None, seed: int = 7) -> RetrievalSet:
    """Read a set; with ``limit``, a sample of its judged queries, the same for the same seed.

    Raises:
        InvalidInput: A file cannot be read, or no tool, query or judged query is in it.
    """
    from toolcrib_embeddings import render_document  # noqa: PLC0415  # slow to import

    tools, problems = _read_tools(folder / TOOLS)
    texts = read_queries(folder / QUERIES)
    file = _find_judgements(folder) or folder / NAMES[0]
    judgements = read_judgements(file)
    judged = [query for query in texts if any(judgements.get(query, {}).values())]
    if not judged:
        raise InvalidInput(
            f"{file} names no relevant tool for any query of {folder / QUERIES}: are the ids alike?"
        )
    chosen = _sample(judged, limit, seed)
    kept = {query: judgements[query] for query in chosen}
    ids = {tool.id: tool.source_id or tool.name for tool in tools}
    known = set(ids.values())
    return RetrievalSet(
        name=name,
        folder=folder,
        documents=tuple(render_document(tool) for tool in tools),
        ids=ids,
        queries={query: texts[query] for query in chosen},
        judgements=kept,
        left_out=LeftOut(
            tools=len(problems),
            queries_without_judgement=len(texts) - len(judged),
            judgements_of_unknown_queries=len(judgements.keys() - texts.keys()),
            judgements_of_unknown_tools=sum(
                grade > 0 and tool not in known
                for grades in kept.values()
                for tool, grade in grades.items()
            ),
            queries_beyond_limit=len(judged) - len(chosen),
            problems=tuple(f"{folder / TOOLS}, {p}" for p in problems[:_SHOWN_PROBLEMS]),
        ),
        data_hash=_hash(folder / TOOLS, folder / QUERIES, file),
    )


def _read_tools(file: Path) -> tuple[list[Tool], list[Problem]]:
    tools: list[Tool] = []
    problems: list[Problem] = []
    for row in read_tools_jsonl(iter_lines(file), default_server=file.stem):
        if isinstance(row, Problem):
            problems.append(row)
        else:
            tools.append(row.tool)
    if not tools:
        reason = f": {problems[0]}" if problems else ", it is empty"
        raise InvalidInput(f"{file} holds no tool that can be read{reason}.")
    return tools, problems


def _sample(queries: list[str], limit: int | None, seed: int) -> list[str]:
    if limit is None or limit >= len(queries):
        return queries
    chosen = set(random.Random(seed).sample(queries, limit))  # noqa: S311  # a sample, no secret
    return [query for query in queries if query in chosen]


def _hash(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()[:_HASH_DIGITS]
