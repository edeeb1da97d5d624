"""Reads outcomes of models from files: JSON lines, or a folder in the shared routing format.

A row that cannot be read is a problem with its place; the others are read on. Knows no store.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import Model

MAX_QUERY_CHARS: Final = 16_000
_FIELDS: Final = ("query", "model", "score", "cost", "latency_ms")
_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "query": ("query", "text", "prompt"),
    "model": ("model", "model_id", "modelId"),
    "score": ("score",),
    "cost": ("cost", "cost_usd", "costUsd"),
    "latency_ms": ("latency_ms", "latencyMs"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRow:
    """One outcome, and where it was said."""

    where: str
    query: str
    model: str
    score: float | None = None
    cost_usd: float | None = None
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that was left out: where it stands and why."""

    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


@dataclass(frozen=True, slots=True)
class ReadOutcomes:
    """What a file or folder holds."""

    rows: tuple[OutcomeRow, ...]
    refusals: tuple[Refusal, ...]
    models: tuple[Model, ...] = field(default=())
    """Those that a folder describes."""


class Unfit(Exception):
    """A row cannot be taken; the message is the reason. Never leaves this room."""


def read_outcomes(path: Path) -> ReadOutcomes:
    """Read JSON lines, or a folder with queries.jsonl, outcomes.csv and, maybe, models.jsonl.

    Raises:
        InvalidInput: It cannot be read, or holds no outcome.
    """
    read = _read_folder(path) if path.is_dir() else _read_lines(path)
    if not read.rows:
        first = f" {read.refusals[0]}." if read.refusals else ""
        raise InvalidInput(
            f"{path} holds no outcome that can be read.{first} An outcome is a line of JSON with "
            "query, model and one of score (0 to 1), cost (USD) and latency_ms."
        )
    return read


def read_row(row: object, *, where: str) -> OutcomeRow:
    """Read one decoded row.

    Raises:
        Unfit: A field is missing or of the wrong kind.
    """
    if not isinstance(row, Mapping):
        raise Unfit(f"a JSON object was expected, not {type(row).__name__}")
    given = cast("Mapping[str, Any]", row)
    values = {name: _first(given, _ALIASES[name]) for name in _FIELDS}
    made = OutcomeRow(
        where=where,
        query=_text(values["query"], "query")[:MAX_QUERY_CHARS],
        model=_text(values["model"], "model"),
        score=_number(values["score"], "score", most=1.0),
        cost_usd=_number(values["cost"], "cost"),
        latency_ms=_number(values["latency_ms"], "latency_ms"),
    )
    if made.score is None and made.cost_usd is None and made.latency_ms is None:
        raise Unfit("says nothing: give score, cost or latency_ms")
    return made


def _read_lines(path: Path) -> ReadOutcomes:
    rows: list[OutcomeRow] = []
    refusals: list[Refusal] = []
    for number, line in enumerate(_lines(path), start=1):
        where = f"line {number}"
        if line.strip():
            _take(rows, refusals, where, lambda: read_row(_decoded(line), where=where))  # noqa: B023
    return ReadOutcomes(tuple(rows), tuple(refusals))


def _read_folder(folder: Path) -> ReadOutcomes:
    texts = dict(_texts(folder / "queries.jsonl"))
    rows: list[OutcomeRow] = []
    refusals: list[Refusal] = []
    lines = list(_lines(folder / "outcomes.csv"))
    reader = csv.DictReader(lines)
    missing = {"query_id", "model_id", "score"} - set(reader.fieldnames or ())
    if missing:
        raise InvalidInput(
            f"{folder / 'outcomes.csv'} has no column {', '.join(sorted(missing))}: its first line "
            "names query_id,model_id,score,cost,latency_ms."
        )
    for row in reader:
        where = f"outcomes.csv line {reader.line_num}"
        _take(rows, refusals, where, lambda: _joined(row, texts, where))  # noqa: B023
    return ReadOutcomes(tuple(rows), tuple(refusals), _models(folder / "models.jsonl"))


def _take(
    rows: list[OutcomeRow],
    refusals: list[Refusal],
    where: str,
    read: Callable[[], OutcomeRow],
) -> None:
    try:
        rows.append(read())
    except Unfit as unfit:
        refusals.append(Refusal(where, str(unfit)))


def _joined(row: Mapping[str, str | None], texts: Mapping[str, str], where: str) -> OutcomeRow:
    query = row.get("query_id") or ""
    if query not in texts:
        raise Unfit(f"queries.jsonl has no query {query[:80]!r}")
    return read_row(
        {
            "query": texts[query],
            "model": row.get("model_id"),
            "score": _cell(row, "score"),
            "cost": _cell(row, "cost"),
            "latency_ms": _cell(row, "latency_ms"),
        },
        where=where,
    )


def _cell(row: Mapping[str, str | None], name: str) -> float | str | None:
    text = (row.get(name) or "").strip()
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        return text


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            row = cast("Mapping[str, Any]", _decoded(line))
            yield str(row["id"]), _text(row["text"], "text")
        except (Unfit, KeyError, TypeError) as error:
            raise InvalidInput(
                f"{path}: line {number} is not a JSON object with id and text ({error})."
            ) from error


def _models(path: Path) -> tuple[Model, ...]:
    from toolcrib_server.catalog.models import read_models  # noqa: PLC0415  # slow to import

    return read_models(path).models if path.is_file() else ()


def _lines(path: Path) -> Iterable[str]:
    try:
        # Not `splitlines`: it also ends a line at U+0085 or U+2028, which JSON has within strings.
        return path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} cannot be read: it is not text in UTF-8.") from error


def _decoded(line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Unfit(f"not JSON ({error})") from error


def _first(given: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((given[name] for name in names if given.get(name) is not None), None)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Unfit(f"{name} must be text, and not empty")
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _number(value: object, name: str, *, most: float = math.inf) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise Unfit(f"{name} must be a number, not {str(value)[:40]!r}")
    if not 0 <= value <= most or math.isinf(value):
        limit = f"from 0 to {most:g}" if math.isfinite(most) else "0 or more"
        raise Unfit(f"{name} is {value:g}; it must be {limit}")
    return float(value)
