"""Candidates by column, so that a limit is one operation over all of them, however many there are.

Each field is kept as codes into its distinct values. A limit is asked once for each distinct value,
by the same test that a single candidate meets, so that the two can never disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from toolcrib_registry.types import Known, Model

from .candidate import MEASURED_FACTS, Candidate, candidates_of
from .constraint import Exclusion, Limit, violations_of
from .measured import NOTHING_MEASURED, Measurements, key_of

Floats: TypeAlias = NDArray[np.float64]
Booleans: TypeAlias = NDArray[np.bool_]
Integers: TypeAlias = NDArray[np.int64]

_PER_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Column:
    """One field of all candidates: the place of each value in ``values``; -1 is unknown."""

    codes: Integers
    values: tuple[Any, ...]


class Columns:
    """Candidates that stay the same for many selections. For any number of threads."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self.candidates = tuple(candidates)
        names = dict.fromkeys(candidate.model.name for candidate in self.candidates)
        places = {name: place for place, name in enumerate(names)}
        self.model_names = tuple(names)
        self.model_codes: Integers = np.array(
            [places[candidate.model.name] for candidate in self.candidates], dtype=np.int64
        )
        self.by_name = _ranks(self.candidates)
        self.relevance: Floats = np.array([c.relevance for c in self.candidates], dtype=np.float64)
        self.measurements = NOTHING_MEASURED
        self.measured: Mapping[int, Candidate] = {}
        """By row, the candidates of which something was measured, with their figures."""
        self._columns: dict[str, Column] = {}
        self._numbers: dict[str, Floats] = {}
        self._rows: dict[str, list[int]] | None = None
        self._patches: dict[str, Column] = {}
        self._stated: Columns | None = None
        """The same candidates without what was measured."""

    @classmethod
    def of_models(cls, models: Iterable[Model], *, callable_only: bool = False) -> Columns:
        """Lay out every offer of models; ``callable_only``: those at which something is called."""
        return cls(
            candidate
            for model in models
            for candidate in candidates_of(model)
            if candidate.callable or not callable_only
        )

    def with_measured(self, measurements: Measurements) -> Columns:
        """Give the same candidates with what was measured; all that does not change is shared."""
        made = copy(self)
        made.measurements = measurements
        made.measured = {
            row: replace(self.candidates[row], figures=figures)
            for key, figures in measurements.by_offer.items()
            for row in self._rows_of(key)
        }
        made._patches, made._stated = {}, self
        return made

    def __len__(self) -> int:
        return len(self.candidates)

    def at(self, row: int) -> Candidate:
        """Give one candidate, with its figures."""
        return self.measured.get(row) or self.candidates[row]

    def take(self, row: int, relevance: Floats) -> Candidate:
        """Give one candidate with its relevance."""
        return replace(self.at(row), relevance=float(relevance[row]))

    def fails(self, limit: Limit) -> Booleans:
        """Mark the candidates that a limit excludes; an unknown value is one that fails."""
        if limit.cost_of is not None:
            costs = self.costs(*limit.cost_of)
            return np.array(~(costs <= limit.most_cost), dtype=np.bool_)
        column = self.column(limit.field, limit.read)
        # The last place answers for -1, the unknown.
        failed = np.array([*(not limit.passes(value) for value in column.values), True])
        return failed[column.codes]

    def costs(self, tokens_in: int, tokens_out: int) -> Floats:
        """Estimate what a call costs; NaN where a price that it needs is unknown."""
        total = np.zeros(len(self))
        for name, read, tokens in (
            ("price_in_usd", _price_in, tokens_in),
            ("price_out_usd", _price_out, tokens_out),
        ):
            if tokens:
                total = total + self.numbers(name, read) * tokens
        return total / _PER_MILLION

    def numbers(self, name: str, read: Callable[[Candidate], Known[Any] | None]) -> Floats:
        """Give a field as numbers, as it is stated; NaN where unknown."""
        if name not in self._numbers:
            column = (self._stated or self).column(name, read)
            self._numbers[name] = np.array([*column.values, np.nan], dtype=np.float64)[column.codes]
        return self._numbers[name]

    def column(self, name: str, read: Callable[[Candidate], Known[Any] | None]) -> Column:
        """Give a field; it is read from the candidates once."""
        if name in MEASURED_FACTS and self._stated is not None:
            if name not in self._patches:
                self._patches[name] = self._patched(self._stated.column(name, read), read)
            return self._patches[name]
        if name not in self._columns:
            self._columns[name] = self._read(read)
        return self._columns[name]

    def _read(self, read: Callable[[Candidate], Known[Any] | None]) -> Column:
        values: dict[Any, int] = {}
        known = (read(candidate) for candidate in self.candidates)
        codes = [-1 if k is None else values.setdefault(k.value, len(values)) for k in known]
        return Column(np.array(codes, dtype=np.int64), tuple(values))

    def _patched(self, stated: Column, read: Callable[[Candidate], Known[Any] | None]) -> Column:
        """Put what was measured in the place of what is stated: few rows of many."""
        values = {value: place for place, value in enumerate(stated.values)}
        codes = stated.codes.copy()
        for row, candidate in self.measured.items():
            known = read(candidate)
            codes[row] = -1 if known is None else values.setdefault(known.value, len(values))
        return Column(codes, tuple(values))

    def _rows_of(self, key: str) -> Sequence[int]:
        if self._rows is None:
            rows: dict[str, list[int]] = {}
            for row, candidate in enumerate(self.candidates):
                rows.setdefault(key_of(candidate.model.name, candidate.offer), []).append(row)
            self._rows = rows
        return self._rows.get(key, ())


class Exclusions(Sequence[Exclusion]):
    """Candidates that were excluded; why is worked out for those that are looked at."""

    def __init__(
        self, columns: Columns, rows: Integers, limits: tuple[Limit, ...], relevance: Floats
    ) -> None:
        self._columns = columns
        self._rows = rows
        self._limits = limits
        self._relevance = relevance

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Exclusion: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Exclusion, ...]: ...

    def __getitem__(self, index: int | slice) -> Exclusion | tuple[Exclusion, ...]:
        if isinstance(index, slice):
            return tuple(self._explain(int(row)) for row in self._rows[index])
        return self._explain(int(self._rows[index]))

    def _explain(self, row: int) -> Exclusion:
        candidate = self._columns.take(row, self._relevance)
        return Exclusion(candidate, violations_of(candidate, self._limits))


@dataclass(frozen=True, slots=True)
class Sieve:
    """What limits leave of candidates, and how often each field excludes one."""

    passed: Integers
    """Rows, in the order of the candidates."""
    excluded: Integers
    by_field: dict[str, int]
    """Candidates that fail a field, most first. A candidate may fail several."""
    alone: dict[str, int]
    """Candidates that fail that field and no other."""


def sieve(columns: Columns, limits: Sequence[Limit]) -> Sieve:
    """Hold all candidates against all limits."""
    failed: dict[str, Booleans] = {}
    for limit in limits:
        fails = columns.fails(limit)
        failed[limit.field] = failed[limit.field] | fails if limit.field in failed else fails
    table = np.array(list(failed.values()), dtype=np.bool_).reshape(len(failed), len(columns))
    count = table.sum(axis=0)
    return Sieve(
        np.flatnonzero(count == 0),
        np.flatnonzero(count),
        _most_first(failed, table),
        _most_first(failed, table & (count == 1)),
    )


def _most_first(fields: Iterable[str], table: Booleans) -> dict[str, int]:
    """Count by field; of equals, the one whose first candidate comes first."""
    rows = [
        (-int(row.sum()), int(row.argmax()), place, name)
        for place, (name, row) in enumerate(zip(fields, table, strict=True))
        if row.any()
    ]
    return {name: -count for count, _, _, name in sorted(rows)}


def _ranks(candidates: Sequence[Candidate]) -> Integers:
    keys = [(candidate.model.name, candidate.provider or "") for candidate in candidates]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    ranks = np.zeros(len(keys), dtype=np.int64)
    rank = -1
    for place, row in enumerate(order):
        rank += place == 0 or keys[row] != keys[order[place - 1]]
        ranks[row] = rank
    return ranks


def _price_in(candidate: Candidate) -> Known[float] | None:
    return candidate.price_in_usd


def _price_out(candidate: Candidate) -> Known[float] | None:
    return candidate.price_out_usd
