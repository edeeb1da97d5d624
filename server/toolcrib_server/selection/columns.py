"""Candidates by column, so that a limit is one operation over all of them, however many there are.

Each field is kept as codes into its distinct values. A limit is asked once for each distinct value,
by the same test that a single candidate meets, so that the two can never disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from toolcrib_registry.types import Known, Model

from .candidate import Candidate, candidates_of
from .constraint import Exclusion, Limit, violations_of

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
        self._columns: dict[str, Column] = {}
        self._numbers: dict[str, Floats] = {}

    @classmethod
    def of_models(cls, models: Iterable[Model], *, callable_only: bool = False) -> Columns:
        """Lay out every offer of models; ``callable_only``: those at which something is called."""
        return cls(
            candidate
            for model in models
            for candidate in candidates_of(model)
            if candidate.callable or not callable_only
        )

    def __len__(self) -> int:
        return len(self.candidates)

    def take(self, row: int, relevance: Floats) -> Candidate:
        """Give one candidate with its relevance."""
        return replace(self.candidates[row], relevance=float(relevance[row]))

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
        """Give a field as numbers; NaN where unknown."""
        if name not in self._numbers:
            column = self.column(name, read)
            self._numbers[name] = np.array([*column.values, np.nan], dtype=np.float64)[column.codes]
        return self._numbers[name]

    def column(self, name: str, read: Callable[[Candidate], Known[Any] | None]) -> Column:
        """Give a field; it is read from the candidates once."""
        if name not in self._columns:
            values: dict[Any, int] = {}
            known = (read(candidate) for candidate in self.candidates)
            codes = [-1 if k is None else values.setdefault(k.value, len(values)) for k in known]
            self._columns[name] = Column(np.array(codes, dtype=np.int64), tuple(values))
        return self._columns[name]


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
