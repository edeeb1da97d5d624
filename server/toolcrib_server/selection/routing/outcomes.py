"""What came of past queries: a score, a cost and a latency by query and model, much of it unknown.

The seam to whoever keeps outcomes: this room is handed a `RoutingOutcomes` and never asks for more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from toolcrib_registry.errors import InvalidInput

from .arrays import Floats, Integers, Singles


class RoutingOutcomes(Protocol):
    """Outcomes as rows of queries and columns of models; NaN where nothing is known."""

    @property
    def queries(self) -> Sequence[str]:
        """The text of each query."""
        ...

    @property
    def vectors(self) -> Singles:
        """Its unit vector; shape ``(queries, dimension)``."""
        ...

    @property
    def models(self) -> Sequence[str]:
        """The name of each model."""
        ...

    @property
    def scores(self) -> Floats:
        """From 0 to 1; shape ``(queries, models)``."""
        ...

    @property
    def costs_usd(self) -> Floats:
        """What a call cost; the shape of ``scores``."""
        ...

    @property
    def latencies_ms(self) -> Floats:
        """How long a call took; the shape of ``scores``."""
        ...


@dataclass(frozen=True, slots=True)
class Observation:
    """One outcome of one query at one model."""

    query: str
    model: str
    score: float | None
    cost_usd: float | None = None
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeTable:
    """Outcomes in memory: the plain `RoutingOutcomes`."""

    queries: tuple[str, ...]
    vectors: Singles
    models: tuple[str, ...]
    scores: Floats
    costs_usd: Floats
    latencies_ms: Floats

    @classmethod
    def of(
        cls,
        observations: Iterable[Observation],
        *,
        queries: Sequence[str],
        vectors: Singles,
        models: Sequence[str],
    ) -> OutcomeTable:
        """Lay observations out as a table; several of one query and model are averaged.

        Raises:
            InvalidInput: A score is not from 0 to 1, or a cost or latency is below zero.
        """
        rows = {query: row for row, query in enumerate(queries)}
        columns = {model: column for column, model in enumerate(models)}
        sums = np.zeros((3, len(rows), len(columns)))
        counts = np.zeros((3, len(rows), len(columns)))
        for one in observations:
            _check(one)
            for layer, value in enumerate((one.score, one.cost_usd, one.latency_ms)):
                if value is not None:
                    sums[layer, rows[one.query], columns[one.model]] += value
                    counts[layer, rows[one.query], columns[one.model]] += 1
        means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
        return cls(
            queries=tuple(queries),
            vectors=vectors,
            models=tuple(models),
            scores=means[0],
            costs_usd=means[1],
            latencies_ms=means[2],
        )

    def take(self, rows: Sequence[int] | Integers) -> OutcomeTable:
        """Keep some of the queries, in the given order."""
        places: Integers = np.asarray(rows, dtype=np.int64)
        return OutcomeTable(
            queries=tuple(self.queries[int(place)] for place in places),
            vectors=self.vectors[places],
            models=self.models,
            scores=self.scores[places],
            costs_usd=self.costs_usd[places],
            latencies_ms=self.latencies_ms[places],
        )


def _check(one: Observation) -> None:
    if one.score is not None and not 0 <= one.score <= 1:
        raise InvalidInput(f"The score of {one.model} is {one.score}; it must be from 0 to 1.")
    for name, value in (("cost", one.cost_usd), ("latency", one.latency_ms)):
        if value is not None and not 0 <= value < float("inf"):
            raise InvalidInput(f"The {name} of {one.model} is {value}; it must be 0 or more.")
