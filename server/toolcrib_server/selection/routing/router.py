"""The whole of it: outcomes of the past in, one explained choice for a query out.

Guard, expected quality, expected cost and latency, Pareto set, choice; each leaves its record.
Hard limits come before, see `selection.constraint`: this room only ever sees who is allowed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from .arrays import Booleans, Floats, Singles
from .choice import Expectation, Preference, RoutedChoice, choose, utilities, weigh
from .guard import DomainGuard, DomainVerdict
from .margin import Margin, learn_margin
from .outcomes import RoutingOutcomes
from .profile import Profile
from .quality import Predictions, QualityPredictor
from .usage import Forecasts, Told, Usage, blend

BEST_QUALITY: Final = Preference()
_KEPT_MARGINS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """One query's answer, stage by stage."""

    domain: DomainVerdict | None
    """None without a guard."""
    choice: RoutedChoice
    margin: Margin

    @property
    def reasons(self) -> tuple[str, ...]:
        """Say every stage in a sentence or two."""
        said = (self.domain.reason,) if self.domain else ()
        return (*said, *self.choice.reasons)


@dataclass(frozen=True, slots=True)
class Past:
    """What past calls were expected to cost and take, and what they did, by query and model."""

    costs: Floats
    times: Floats
    paid: Floats
    took: Floats

    @classmethod
    def of(cls, outcomes: RoutingOutcomes, usage: Usage) -> Past:
        """Take it from outcomes; what was not measured is what was expected."""
        costs, times = usage.predict(outcomes.queries)
        return cls(
            costs,
            times,
            np.where(np.isnan(outcomes.costs_usd), costs, outcomes.costs_usd),
            np.where(np.isnan(outcomes.latencies_ms), times, outcomes.latencies_ms),
        )


@dataclass(frozen=True, slots=True)
class RouterParts:
    """What was learned, as it is kept."""

    predictor: QualityPredictor
    usage: Usage
    past: Past
    guard: DomainGuard | None = None


class Router:
    """Routes queries by what is known of the past. Fit once for each state of the outcomes."""

    def __init__(
        self,
        predictor: QualityPredictor,
        usage: Usage,
        past: Past,
        *,
        guard: DomainGuard | None = None,
    ) -> None:
        """Use what was learned; see `fit`."""
        self._predictor = predictor
        self._past = past
        self._usage = usage
        self._guard = guard
        self._places = {name: place for place, name in enumerate(predictor.models)}
        self._margins: dict[tuple[object, ...], Margin] = {}

    @classmethod
    def fit(
        cls,
        outcomes: RoutingOutcomes,
        *,
        profiles: Mapping[str, Profile] | None = None,
        guard: DomainGuard | None = None,
        seed: int = 7,
    ) -> Router:
        """Learn from outcomes; some ten seconds for 8,000 queries, so never while one waits.

        Raises:
            InvalidInput: There is no model.
        """
        usage = Usage.fit(outcomes)
        return cls(
            QualityPredictor.fit(outcomes, profiles=profiles, seed=seed),
            usage,
            Past.of(outcomes, usage),
            guard=guard,
        )

    @classmethod
    def of(cls, parts: RouterParts) -> Router:
        """Use what was learned before."""
        return cls(parts.predictor, parts.usage, parts.past, guard=parts.guard)

    @property
    def parts(self) -> RouterParts:
        """All that was learned."""
        return RouterParts(self._predictor, self._usage, self._past, self._guard)

    @property
    def models(self) -> tuple[str, ...]:
        """Those of which something can be expected."""
        return self._predictor.models

    @property
    def predictor(self) -> QualityPredictor:
        """What expects quality."""
        return self._predictor

    def route(
        self,
        texts: Sequence[str],
        vectors: Singles,
        *,
        preference: Preference = BEST_QUALITY,
        allowed: Collection[str] | None = None,
        prices: Mapping[str, float] | None = None,
        forecasts: Forecasts | None = None,
    ) -> tuple[Routing, ...]:
        """Route queries. ``prices`` are what a call costs where nothing was measured.

        ``forecasts`` are of the offers at hand: what their calls measured joins what is learned.

        Raises:
            InvalidInput: A weight or budget makes no sense.
        """
        preference.check()
        predictions = self._predictor.predict(texts, vectors)
        costs, latencies = self._usage.predict(texts)
        told = forecasts.expect(self.models, texts) if forecasts else None
        if told is not None:
            costs = blend(costs, told.costs, told.calls)
            latencies = blend(latencies, told.latencies, told.calls)
        costs = _filled(costs, self._predictor.models, prices or {})
        verdicts = self._guard.check(texts, vectors) if self._guard else [None] * len(texts)
        mask = self._mask(allowed)
        default = self._default(preference, mask)
        margin = self.margin(preference, default, mask)
        answers: list[Routing] = []
        for row, verdict in enumerate(verdicts):
            expected = self._expected(row, predictions, costs, latencies, mask, told=told)
            ranked = weigh(expected, preference) if expected else ()
            if verdict is not None and verdict.domain is None:
                choice = _abstained(ranked, default)
            else:
                choice = choose(ranked, default=default, margin=margin)
            answers.append(Routing(domain=verdict, choice=choice, margin=margin))
        return tuple(answers)

    def margin(self, preference: Preference, default: str | None, mask: Booleans) -> Margin:
        """Tell how much better than the default another must look; kept for the next query."""
        if default is None:
            return Margin(None, 0.0, 0.0, 0)
        key = (default, preference.score_per_usd, preference.score_per_second, mask.tobytes())
        if key not in self._margins:
            if len(self._margins) >= _KEPT_MARGINS:
                self._margins.clear()
            predicted, actual = self._past_utilities(preference)
            self._margins[key] = learn_margin(
                predicted, actual, default=self._places[default], allowed=mask
            )
        return self._margins[key]

    def _past_utilities(self, preference: Preference) -> tuple[Floats, Floats]:
        past, held = self._past, self._predictor.held_out
        return (
            utilities(held.predicted, past.costs, past.times, preference),
            utilities(held.scores, past.paid, past.took, preference),
        )

    def _default(self, preference: Preference, mask: Booleans) -> str | None:
        if preference.default is not None:
            place = self._places.get(preference.default)
            return preference.default if place is not None and mask[place] else None
        if not mask.any():
            return None
        costs, latencies = _column_means(self._past.costs), _column_means(self._past.times)
        means = np.where(self._predictor.counts > 0, self._predictor.means, -1.0)
        utility = utilities(means, costs, latencies, preference)
        return self._predictor.models[int(np.where(mask, utility, -np.inf).argmax())]

    def _mask(self, allowed: Collection[str] | None) -> Booleans:
        names = self._predictor.models
        return np.array([allowed is None or name in allowed for name in names], dtype=np.bool_)

    def _expected(
        self,
        row: int,
        predictions: Predictions,
        costs: Floats,
        latencies: Floats,
        mask: Booleans,
        *,
        told: Told | None,
    ) -> tuple[Expectation, ...]:
        return tuple(
            Expectation(
                model=predictions.models[place],
                quality=float(predictions.means[row, place]),
                spread=float(predictions.spreads[row, place]),
                evidence=float(predictions.evidence[row, place]),
                outcomes=int(self._predictor.counts[place]),
                cost_usd=_optional(costs[row, place]),
                latency_ms=_optional(latencies[row, place]),
                reliability=1.0 if told is None else float(told.reliability[place]),
                ground=None if told is None else told.grounds[place],
            )
            for place in np.flatnonzero(mask).tolist()
        )


def _abstained(ranked: tuple[Expectation, ...], default: str | None) -> RoutedChoice:
    held = next((one for one in ranked if one.model == default and one.within_budget), None)
    said = f"the default {held.model} is kept" if held else "and no default is able to take it"
    return RoutedChoice(
        model=held.model if held else None,
        default=default,
        gain=0.0,
        uncertainty=0.0,
        reasons=(f"Outside every domain, past outcomes say little: {said}.",),
        ranked=ranked,
    )


def _filled(costs: Floats, models: Sequence[str], prices: Mapping[str, float]) -> Floats:
    known = np.array([prices.get(name, np.nan) for name in models])
    return np.where(np.isnan(costs), known, costs)


def _column_means(values: Floats) -> Floats:
    known = ~np.isnan(values)
    sums = np.where(known, values, 0.0).sum(axis=0)
    means: Floats = sums / np.maximum(known.sum(axis=0), 1)
    return np.where(known.any(axis=0), means, np.nan)


def _optional(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
