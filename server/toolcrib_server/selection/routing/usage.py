"""What a call to each model is expected to cost and how long it takes, by the query's length.

From what outcomes say, and from what calls of this house measured, which counts the more the more
calls there were. NaN where nothing is known, for a guess would look like a fact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from .arrays import Floats, Integers
from .features import count_words
from .outcomes import RoutingOutcomes

_FEWEST_FOR_SLOPE: Final = 20
_PENALTY_WORDS: Final = 50.0
_OUTLIERS: Final = 97.5
"""Percentile at which measured values are cut: one call that hung must not set the line."""


_TRUST: Final = 8.0
"""Calls' worth of what outcomes say of cost and latency, beside what calls measured."""


@dataclass(frozen=True, slots=True)
class Told:
    """What calls let expect of models at their best offers."""

    costs: Floats
    """USD: a row a query, a column a model; NaN is unknown."""
    latencies: Floats
    """Milliseconds, the same."""
    calls: Integers
    """How many were measured, of each model."""
    reliability: Floats
    """The share of calls of each model that is not sure to fail."""
    grounds: tuple[str | None, ...]
    """What each model's figures are from; None where no call was measured."""


class Forecasts(Protocol):
    """Whoever knows prices and what calls measured."""

    def expect(self, models: Sequence[str], texts: Sequence[str]) -> Told:
        """Expect cost and latency of a call with each text to each model."""
        ...


def blend(learned: Floats, told: Floats, calls: Integers) -> Floats:
    """Join what outcomes say with what calls measured; where one is unknown, the other holds."""
    share = calls / (calls + _TRUST)
    joined = share * told + (1 - share) * learned
    return np.where(np.isnan(learned), told, np.where(np.isnan(told), learned, joined))


@dataclass(frozen=True, slots=True)
class Line:
    """A value that grows with the number of words, for each model; never below zero."""

    base: Floats
    slope: Floats
    counts: Integers

    @classmethod
    def fit(cls, words: Floats, values: Floats) -> Line:
        """Fit each model's line to what was measured."""
        fitted = [_fit(words, column) for column in values.T]
        base, slope, counts = zip(*fitted, strict=True) if fitted else ((), (), ())
        return cls(np.array(base), np.array(slope), np.array(counts, dtype=np.int64))

    def at(self, words: Floats) -> Floats:
        """Expect the values: a row a number of words."""
        return self.base + words[:, None] * self.slope


@dataclass(frozen=True, slots=True)
class Usage:
    """Expected cost and latency of each model."""

    models: tuple[str, ...]
    cost: Line
    latency: Line

    @classmethod
    def fit(cls, outcomes: RoutingOutcomes) -> Usage:
        """Learn from what calls cost and took."""
        words = _words(outcomes.queries)
        return cls(
            tuple(outcomes.models),
            Line.fit(words, np.asarray(outcomes.costs_usd)),
            Line.fit(words, np.asarray(outcomes.latencies_ms)),
        )

    def predict(self, texts: Sequence[str]) -> tuple[Floats, Floats]:
        """Expect USD and milliseconds: a row a query, a column a model, NaN for unknown."""
        words = _words(texts)
        return self.cost.at(words), self.latency.at(words)


def _words(texts: Sequence[str]) -> Floats:
    return np.array([count_words(text) for text in texts], dtype=np.float64)


def _fit(words: Floats, column: Floats) -> tuple[float, float, int]:
    known = ~np.isnan(column)
    count = int(known.sum())
    if not count:
        return np.nan, np.nan, 0
    values = np.minimum(column[known], np.percentile(column[known], _OUTLIERS))
    here = words[known]
    centred = here - here.mean()
    spread = float((centred**2).sum()) + _PENALTY_WORDS**2
    slope = max(float(centred @ values) / spread, 0.0) if count >= _FEWEST_FOR_SLOPE else 0.0
    base = float(values.mean()) - slope * float(here.mean())
    if base < 0:
        # Through zero instead: a short query must not be expected to cost less than nothing.
        return 0.0, float(values.mean()) / max(float(here.mean()), 1.0), count
    return base, slope, count
