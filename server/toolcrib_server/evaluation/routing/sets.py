"""Routing sets in folders: queries, models and what each model made of each query; guard sets.

A guard set is a `queries.jsonl` alone, whose rows bear a label and a split. Knows no policy.
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.catalog.problem import Problem, parse_rows
from toolcrib_server.evaluation.rows import iter_lines, wrong
from toolcrib_server.selection.routing.arrays import Floats
from toolcrib_server.selection.routing.features import count_words
from toolcrib_server.selection.routing.profile import Profile

QUERIES: Final = "queries.jsonl"
MODELS: Final = "models.jsonl"
OUTCOMES: Final = "outcomes.csv"
OUTSIDE: Final = "ood"
"""The label of queries that are of no domain."""
_NEEDED: Final = f"{QUERIES}, {MODELS} and {OUTCOMES}"
_COLUMNS: Final = ("query_id", "model_id", "score", "cost", "latency_ms")
_TOKENS_A_WORD: Final = 1.35
_TOKENS_OUT: Final = 250
_PER_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingSet:
    """One folder, read. Arrays have a row a query and a column a model, NaN where unknown."""

    name: str
    folder: Path
    queries: tuple[str, ...]
    groups: tuple[str, ...]
    """The domain label of each query, for the look-up alone; empty where there is none."""
    models: tuple[str, ...]
    profiles: Mapping[str, Profile]
    scores: Floats
    costs_usd: Floats
    latencies_ms: Floats
    has_costs: bool
    """Whether costs are measured; else they are estimated from prices, for the curves."""
    data_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSet:
    """Labelled queries; those of ``train`` are examples."""

    name: str
    folder: Path
    queries: tuple[str, ...]
    labels: tuple[str, ...]
    is_example: tuple[bool, ...]
    data_hash: str


def find_sets(paths: Sequence[Path]) -> list[RoutingSet | GuardSet]:
    """Read the sets in folders: each a set, or one that holds sets.

    Raises:
        InvalidInput: A path is no folder, there is no set in it, or a file is not as it should be.
    """
    folders = list(dict.fromkeys(found.resolve() for path in paths for found in _folders(path)))
    return [_read(folder) for folder in folders]


def _folders(path: Path) -> list[Path]:
    if not path.is_dir():
        raise InvalidInput(f"{path} is no folder. Name one that holds {_NEEDED}.")
    if (path / QUERIES).is_file():
        return [path]
    inner = [place for place in sorted(path.iterdir()) if (place / QUERIES).is_file()]
    if not inner:
        raise InvalidInput(
            f"{path} holds no set to judge: a set is a folder with {_NEEDED}, or with a {QUERIES} "
            "whose rows have a label and a split."
        )
    return inner


def _read(folder: Path) -> RoutingSet | GuardSet:
    rows = list(_rows(folder / QUERIES))
    if (folder / OUTCOMES).is_file():
        return _read_routing(folder, rows)
    if all("label" in row for _, row in rows):
        return _read_guard(folder, rows)
    raise InvalidInput(
        f"{folder} has no {OUTCOMES}, and its queries have no label: it is neither a routing set "
        "nor a guard set."
    )


def _rows(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    found = False
    for number, row in parse_rows(iter_lines(file)):
        if isinstance(row, Problem):
            raise InvalidInput(f"{file}, {row}.")
        found = True
        yield number, row
    if not found:
        raise InvalidInput(f"{file} is empty.")


def _read_routing(folder: Path, rows: list[tuple[int, Mapping[str, Any]]]) -> RoutingSet:
    texts = _texts(folder / QUERIES, rows)
    if not (folder / MODELS).is_file():
        raise InvalidInput(f"{folder} has no {MODELS}; a set needs {_NEEDED}.")
    described = {_text(folder / MODELS, n, row, "id"): row for n, row in _rows(folder / MODELS)}
    queries, models = list(texts), list(described)
    table = _read_outcomes(folder / OUTCOMES, queries, models)
    kept = ~np.isnan(table[0]).all(axis=1)
    if not kept.any():
        raise InvalidInput(f"{folder / OUTCOMES} has no score for any query of {QUERIES}.")
    groups = [str(row.get("group") or "") for _, row in rows]
    chosen = np.flatnonzero(kept).tolist()
    words = np.array([count_words(texts[queries[place]]) for place in chosen], dtype=np.float64)
    has_costs = bool((~np.isnan(table[1])).any())
    return RoutingSet(
        name=folder.name,
        folder=folder,
        queries=tuple(texts[queries[place]] for place in chosen),
        groups=tuple(groups[place] for place in chosen) if any(groups) else (),
        models=tuple(models),
        profiles={name: _profile(name, row) for name, row in described.items()},
        scores=table[0][kept],
        costs_usd=table[1][kept] if has_costs else _estimated(words, list(described.values())),
        latencies_ms=table[2][kept],
        has_costs=has_costs,
        data_hash=_hash(folder / QUERIES, folder / MODELS, folder / OUTCOMES),
    )


def _texts(file: Path, rows: list[tuple[int, Mapping[str, Any]]]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for number, row in rows:
        id_ = _text(file, number, row, "id")
        if id_ in texts:
            raise wrong(file, number, f"the id {id_!r} is there twice")
        texts[id_] = _text(file, number, row, "text")
    return texts


def _text(file: Path, number: int, row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise wrong(file, number, f"no {name!r}, or an empty one")
    return value


def _read_outcomes(file: Path, queries: Sequence[str], models: Sequence[str]) -> Floats:
    """Read scores, costs and latencies; shape ``(3, queries, models)``."""
    rows = {query: row for row, query in enumerate(queries)}
    columns = {model: column for column, model in enumerate(models)}
    table = np.full((3, len(rows), len(columns)), np.nan)
    lines = (line.decode("utf-8", "replace") for line in iter_lines(file))
    reader = csv.DictReader(lines)
    if missing := [name for name in _COLUMNS[:3] if name not in (reader.fieldnames or ())]:
        raise InvalidInput(f"{file} has no column {', '.join(missing)}.")
    for line in reader:
        row, column = rows.get(line["query_id"]), columns.get(line["model_id"])
        if row is None or column is None:
            unknown = line["query_id"] if row is None else line["model_id"]
            raise wrong(file, reader.line_num, f"{unknown!r} is in neither {QUERIES} nor {MODELS}")
        for layer, name in enumerate(_COLUMNS[2:]):
            table[layer, row, column] = _number(file, reader.line_num, line.get(name), name)
    return table


def _number(file: Path, number: int, cell: str | None, name: str) -> float:
    if cell is None or not cell.strip():
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        value = math.inf
    most = 1.0 if name == "score" else math.inf
    if not 0 <= value <= most or math.isinf(value):
        bound = "from 0 to 1" if name == "score" else "0 or more"
        raise wrong(file, number, f"{name} is {cell!r}, and must be {bound}")
    return value


def _profile(name: str, row: Mapping[str, Any]) -> Profile:
    prices = [row.get("price_in_per_1m"), row.get("price_out_per_1m")]
    known = [float(price) for price in prices if isinstance(price, int | float)]
    size = row.get("params_b")
    family = row.get("family")
    return Profile(
        name=name,
        family=family if isinstance(family, str) else None,
        parameters_b=float(size) if isinstance(size, int | float) else None,
        price_usd=sum(known) / len(known) if known else None,
    )


def _estimated(words: Floats, described: Sequence[Mapping[str, Any]]) -> Floats:
    """Estimate costs from prices: the query's words in, and 250 tokens out."""
    columns: list[Floats] = []
    for row in described:
        sent, received = row.get("price_in_per_1m"), row.get("price_out_per_1m")
        if isinstance(sent, int | float) and isinstance(received, int | float):
            columns.append((words * _TOKENS_A_WORD * sent + _TOKENS_OUT * received) / _PER_MILLION)
        else:
            columns.append(np.full(len(words), np.nan))
    return np.stack(columns, axis=1)


def _read_guard(folder: Path, rows: list[tuple[int, Mapping[str, Any]]]) -> GuardSet:
    file = folder / QUERIES
    texts = [_text(file, number, row, "text") for number, row in rows]
    labels = [_text(file, number, row, "label") for number, row in rows]
    examples = [row.get("split") == "train" for _, row in rows]
    known = {label for label, is_one in zip(labels, examples, strict=True) if is_one} - {OUTSIDE}
    judged = {label for label, is_one in zip(labels, examples, strict=True) if not is_one}
    if not known or OUTSIDE not in judged or not judged & known:
        raise InvalidInput(
            f"{file} needs examples (split 'train') of domains, and other rows of those domains "
            f"and of the label {OUTSIDE!r} to judge by."
        )
    return GuardSet(
        name=folder.name,
        folder=folder,
        queries=tuple(texts),
        labels=tuple(labels),
        is_example=tuple(examples),
        data_hash=_hash(file),
    )


def _hash(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()[:12]
