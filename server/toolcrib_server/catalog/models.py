"""Reads model catalogues in the shapes that are about, told apart by what is in them.

models.dev's models and provider offers, litellm's price map, OpenRouter's list, and our own
(`ModelIn`, one or a list). A row that cannot be read is a `Problem`; the others are read on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, cast

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import JsonObject, Model
from toolcrib_registry.wire import ModelIn

from .facts import Facts
from .litellm import is_litellm, litellm_model
from .modelsdev import base_model, join_offers
from .openrouter import openrouter_model
from .own import model_of
from .problem import Malformed, Problem, as_object, parse_rows

_PLAIN_LIST = frozenset(
    {"context", "modalities_in", "open_weights", "params_b", "price_in_per_1m", "price_out_per_1m"}
)
"""Keys that tell a plain list of models: models.dev's, or one that comes with outcomes."""


@dataclass(frozen=True, slots=True)
class ModelCatalog:
    """The models that were read, by name and once each, and the rows that were left out."""

    models: tuple[Model, ...]
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class _Rows:
    """Located rows with what their facts will bear as source and date."""

    items: tuple[tuple[str, object], ...]
    source: str
    as_of: date


def read_models(
    source: Path | object,
    *,
    base: Path | object | None = None,
    name: str = "api",
    as_of: date | None = None,
) -> ModelCatalog:
    """Read a catalogue from a file, or from its decoded JSON.

    ``base`` is the catalogue of models that provider offers refer to. Facts bear the file's name
    and date; for decoded JSON ``name`` and ``as_of`` (today).

    Raises:
        InvalidInput: The file cannot be read or is no JSON, or no row has a known shape.
    """
    rows = _load(source, name=name, as_of=as_of)
    joined = _load(base, name=name, as_of=as_of) if base is not None else None
    catalog = _Reader().read(rows, joined)
    if not catalog.models and catalog.problems and len(catalog.problems) == len(rows.items):
        raise InvalidInput(f"{rows.source} holds no model that can be read: {catalog.problems[0]}")
    return catalog


class _Reader:
    """Sorts rows by shape; offers wait until every model they may belong to is known."""

    def __init__(self) -> None:
        self._models: dict[str, Model] = {}
        self._offers: list[Facts] = []
        self._problems: list[Problem] = []

    def read(self, rows: _Rows, base: _Rows | None) -> ModelCatalog:
        for part in (base, rows):
            if part is not None:
                self._read_rows(part)
        self._models.update(join_offers(self._models, self._offers))
        return ModelCatalog(tuple(self._models.values()), tuple(self._problems))

    def _read_rows(self, rows: _Rows) -> None:
        for where, item in rows.items:
            try:
                if isinstance(item, Problem):
                    raise Malformed(item.reason)
                self._read_row(where, Facts(as_object(item), rows.source, rows.as_of))
            except Malformed as malformed:
                self._problems.append(Problem(where, str(malformed)))

    def _read_row(self, where: str, facts: Facts) -> None:
        row = facts.row
        if is_litellm(row):
            self._add(litellm_model(where, facts))
        elif "provider" in row and "model" in row:
            _check_offer(facts)
            self._offers.append(facts)
        elif "supported_parameters" in row:
            self._add(openrouter_model(facts))
        elif "id" in row and row.keys() & _PLAIN_LIST:
            self._add(base_model(facts))
        elif "name" in row:
            self._add(_own(facts))
        else:
            keys = ", ".join(sorted(map(str, row))[:8]) or "nothing"
            raise Malformed(f"not a model in any known shape (it has {keys})")

    def _add(self, model: Model) -> None:
        if model.name in self._models:
            raise Malformed(f"{model.name!r} is listed twice")
        self._models[model.name] = model


def _check_offer(facts: Facts) -> None:
    """Refuse an offer now, while its line is known; joining comes when all rows are."""
    join_offers({}, [facts])


def _own(facts: Facts) -> Model:
    try:
        given = ModelIn.parse(dict(facts.row))
    except InvalidInput as error:
        raise Malformed(error.detail) from error
    return model_of(given, today=facts.as_of, source=facts.source)


def _load(source: Path | object, *, name: str, as_of: date | None) -> _Rows:
    if not isinstance(source, Path):
        day = as_of or datetime.now(UTC).date()
        return _Rows(tuple(_located(source)), name, day)
    try:
        raw = source.read_bytes()
        modified = datetime.fromtimestamp(source.stat().st_mtime, UTC).date()
    except OSError as error:
        raise InvalidInput(f"{source} cannot be read: {error.strerror}.") from error
    return _Rows(tuple(_parse(raw, source)), source.name, as_of or modified)


def _parse(raw: bytes, path: Path) -> Iterator[tuple[str, object]]:
    if path.suffix in {".jsonl", ".ndjson"}:
        for number, row in parse_rows(raw.splitlines()):
            yield f"line {number}", row
        return
    try:
        decoded: object = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is not JSON ({error}).") from error
    yield from _located(decoded)


def _located(decoded: object) -> Iterable[tuple[str, object]]:
    """Find the rows of a decoded catalogue: a list, a map by name, ``models``, or one model."""
    if isinstance(decoded, list):
        items = cast("list[object]", decoded)
        return [(f"item {number}", item) for number, item in enumerate(items, start=1)]
    if not isinstance(decoded, Mapping):
        raise InvalidInput("A model catalogue is a JSON object or list.")
    whole = cast("Mapping[str, Any]", decoded)
    if isinstance(listed := whole.get("models"), list):
        return _located(cast("object", listed))
    if any(_is_litellm(item) for item in whole.values()):
        return list(whole.items())
    return [("item 1", dict(whole))]


def _is_litellm(item: object) -> bool:
    return isinstance(item, Mapping) and is_litellm(cast("JsonObject", item))
