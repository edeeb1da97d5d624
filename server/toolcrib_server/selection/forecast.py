"""What a call at each offer is expected to cost and to take, and how far it can be relied upon.

From prices and from what calls measured, by column. Unknown stays NaN: without a price nothing is
said of a cost, and without a call, or a word of the provider, nothing of a latency.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from .candidate import Candidate
from .columns import Booleans, Columns, Floats, Integers
from .length import Length, count_tokens
from .measured import SURELY_FAILS, Figures
from .routing.usage import Told

_PER_MILLION: Final = 1_000_000
_TRUST: Final = 5.0
"""Calls' worth of what else is known of an offer's latency and cost, where its calls are few."""
_FEWEST_TOLD: Final = 5
"""Calls whose cost the provider told, before that stands in for a price nobody knows."""
_MOST_FAILING: Final = 0.95


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected of a call of one length at each offer, retries included. NaN is unknown."""

    cost_usd: Floats
    latency_ms: Floats
    tokens_out: Floats


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of a call at one offer, with its ground. None is unknown."""

    tokens_in: int
    tokens_out: float
    cost_usd: float | None
    latency_ms: float | None
    calls: int
    """That the offer measured lately; 0: what is expected comes from prices and stated facts."""
    ground: str | None
    error_rate: float | None
    changed: str | None = None

    @property
    def reason(self) -> str:
        """Say it in a sentence."""
        cost = "an unknown sum" if self.cost_usd is None else f"about {self.cost_usd:.2g} USD"
        time = "an unknown time" if self.latency_ms is None else f"{self.latency_ms / 1e3:.2g} s"
        size = f"{self.tokens_in} tokens in and some {self.tokens_out:.0f} out"
        ground = f" ({self.ground})" if self.ground else " (by its price; no call was measured)"
        failed = f" {self.error_rate:.0%} of its calls failed." if self.error_rate else ""
        changed = f" {self.changed[0].upper()}{self.changed[1:]}." if self.changed else ""
        return f"Expected to cost {cost} and to take {time} for {size}{ground}.{failed}{changed}"


class Outlook:
    """Expects cost and latency at each offer, from figures at one time. Only reads."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        count = len(columns)
        self.calls: Integers = np.zeros(count, dtype=np.int64)
        self.failing: Floats = np.zeros(count)
        self.surely_failing: Floats = np.zeros(count)
        self._price_in = columns.numbers("price_in_usd", lambda c: c.price_in_usd)
        self._price_out = columns.numbers("price_out_usd", lambda c: c.price_out_usd)
        self._sent: Floats = np.ones(count)
        """Tokens that are counted for each that is expected to be sent."""
        self._charged: Floats = np.ones(count)
        """USD that calls really cost for each that their prices say."""
        self._beside: Floats = np.zeros(count)
        """USD that a call cost though it was said to be free."""
        self._told: Floats = np.full(count, np.nan)
        """USD for each token, where no price is known."""
        self._out: Floats = self._lengths()
        # A stated 95th percentile is all that is known of an offer that was never called.
        stated = columns.numbers("p95_latency_ms", lambda c: c.p95_latency_ms)
        self._base: Floats = stated.copy()
        self._slope: Floats = np.zeros(count)
        self._learn()

    @property
    def unreliable(self) -> Booleans:
        """Mark the offers that surely fail too often."""
        marked: Booleans = self.surely_failing > SURELY_FAILS
        return marked

    def at(self, length: Length) -> Forecast:
        """Expect what a call of a length costs and takes."""
        each = self._out if length.tokens_out is None else np.zeros(len(self._out))
        if length.most_out is not None:
            each = np.minimum(each, length.most_out)
        out = each * length.answers if length.tokens_out is None else each + length.tokens_out
        tries = 1 / (1 - np.minimum(self.failing, _MOST_FAILING))
        cost = self._cost(length.tokens_in * self._sent, out) * tries
        # Several answers are written at once: the longest is waited for.
        waited = each if length.tokens_out is None else out
        return Forecast(cost, (self._base + self._slope * waited) * tries, out)

    def expected(self, row: int, length: Length, forecast: Forecast) -> Expected:
        """Give what is expected at one offer."""
        figures = self._columns.at(row).figures
        return Expected(
            tokens_in=length.tokens_in,
            tokens_out=round(float(forecast.tokens_out[row]), 1),
            cost_usd=optional(forecast.cost_usd[row]),
            latency_ms=optional(forecast.latency_ms[row]),
            calls=figures.calls if figures else 0,
            ground=figures.ground if figures else None,
            error_rate=figures.error_rate if figures else None,
            changed=figures.changed if figures else None,
        )

    def best_rows(self, rows: Integers, forecast: Forecast) -> dict[str, int]:
        """Pick each model's best offer: one that does not fail, then the cheapest, the fastest."""
        cost, latency = forecast.cost_usd[rows], forecast.latency_ms[rows]
        keys = (
            self._columns.by_name[rows],
            np.where(np.isnan(latency), np.inf, latency),
            np.where(np.isnan(cost), np.inf, cost),
            self.unreliable[rows],
        )
        ordered = rows[np.lexsort(keys)]
        codes, first = np.unique(self._columns.model_codes[ordered], return_index=True)
        names = self._columns.model_names
        places = zip(codes.tolist(), ordered[first].tolist(), strict=True)
        return {names[code]: row for code, row in places}

    def _cost(self, sent: Floats, out: Floats) -> Floats:
        parts = np.where(sent > 0, self._price_in * sent, 0.0)
        parts = parts + np.where(out > 0, self._price_out * out, 0.0)
        priced = parts / _PER_MILLION * self._charged + self._beside
        return np.where(np.isnan(priced), self._told * (sent + out), priced)

    def _lengths(self) -> Floats:
        found, columns = self._columns.measurements, self._columns
        by_model = np.full(len(columns.model_names), found.typical_out)
        for place, name in enumerate(columns.model_names if found.lengths else ()):
            if name in found.lengths:
                by_model[place] = found.expected_out(name)
        each: Floats = by_model[columns.model_codes] if len(by_model) else np.zeros(0)
        most = columns.numbers("max_output_tokens", lambda c: c.max_output_tokens)
        return np.fmin(each, most)

    def _learn(self) -> None:
        siblings = self._of_models()
        for row, candidate in self._columns.measured.items():
            figures = candidate.figures
            assert figures is not None, "only measured rows are listed"
            self.calls[row] = figures.calls
            self.failing[row] = figures.failing
            self.surely_failing[row] = figures.surely_failing
            self._learn_cost(row, figures)
            self._learn_latency(row, figures, candidate, siblings)

    def _learn_cost(self, row: int, figures: Figures) -> None:
        if figures.guessed_in:
            share = figures.answered / (figures.answered + _TRUST)
            self._sent[row] += share * (figures.counted_in / figures.guessed_in - 1)
        if not figures.told:
            return
        share = figures.told / (figures.told + _TRUST)
        if figures.priced_usd > 0:
            self._charged[row] += share * (figures.told_usd / figures.priced_usd - 1)
        else:
            self._beside[row] = share * figures.told_usd / figures.told
        if figures.told >= _FEWEST_TOLD and figures.told_tokens:
            self._told[row] = figures.told_usd / figures.told_tokens

    def _learn_latency(
        self,
        row: int,
        figures: Figures,
        candidate: Candidate,
        siblings: dict[str, list[tuple[int, Figures]]],
    ) -> None:
        """Take what was measured, drawn to what is stated, or to the model's other offers."""
        if figures.base_ms is None:
            return
        typical = self._out[row]
        own = figures.base_ms + figures.slope_ms * typical
        stated = candidate.offer.p95_latency_ms if candidate.offer else None
        others = [
            (f.answered, f.base_ms + f.slope_ms * typical)
            for place, f in siblings[candidate.model.name]
            if place != row and f.base_ms is not None
        ]
        prior = stated.value if stated else _weighted(others)
        share = figures.answered / (figures.answered + _TRUST)
        # As the logarithm: a factor too slow is as wrong as the same factor too fast.
        drawn = 1.0 if not prior or not own else float((prior / own) ** (1 - share))
        self._base[row] = figures.base_ms * drawn
        self._slope[row] = figures.slope_ms * drawn

    def _of_models(self) -> dict[str, list[tuple[int, Figures]]]:
        found: dict[str, list[tuple[int, Figures]]] = {}
        for row, candidate in self._columns.measured.items():
            if candidate.figures is not None:
                found.setdefault(candidate.model.name, []).append((row, candidate.figures))
        return found


class ModelForecasts:
    """What is expected of each model at its best offer, among those that meet every limit."""

    def __init__(
        self,
        columns: Columns,
        outlook: Outlook,
        rows: Integers,
        *,
        length: Length,
        by_text: bool = False,
    ) -> None:
        """``length`` is of the call; ``by_text``, only best offers are chosen for it, and each text
        is a call of its own.
        """  # noqa: D205  # the sentences are one
        self._by_text = by_text
        self._columns = columns
        self._outlook = outlook
        self._length = length
        self._rows = outlook.best_rows(rows, outlook.at(length))

    @property
    def models(self) -> frozenset[str]:
        """Those of which an offer meets every limit."""
        return frozenset(self._rows)

    def expect(self, models: Sequence[str], texts: Sequence[str]) -> Told:
        """Expect cost and latency: a row a text, a column a model, NaN for unknown."""
        places = np.array([self._rows.get(name, -1) for name in models], dtype=np.int64)
        lengths = [_length_of(text) if self._by_text else self._length for text in texts]
        ahead = [self._outlook.at(length) for length in lengths]
        served = places >= 0
        told = [self._columns.at(place).figures if place >= 0 else None for place in places]
        return Told(
            _taken([one.cost_usd for one in ahead], places),
            _taken([one.latency_ms for one in ahead], places),
            np.where(served, self._outlook.calls[places], 0),
            np.where(served, 1 - self._outlook.surely_failing[places], 1.0),
            tuple(figures.ground if figures else None for figures in told),
        )


def _length_of(text: str) -> Length:
    """Take a query as what will be sent."""
    return Length(tokens_in=count_tokens(text))


def _taken(values: Sequence[Floats], places: Integers) -> Floats:
    """Take some columns of rows; of -1 there is nothing to take."""
    taken: Floats = np.stack(values)[:, places]
    return np.where(places >= 0, taken, np.nan)


def _weighted(others: list[tuple[int, float]]) -> float | None:
    calls = sum(count for count, _ in others)
    return sum(count * value for count, value in others) / calls if calls else None


def optional(value: float) -> float | None:
    """Give a number; None for NaN."""
    return None if np.isnan(value) else float(value)
