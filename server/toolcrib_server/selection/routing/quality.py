"""How well each model is expected to answer a query, with an interval, from what came of past ones.

Mean of the model (drawn to its descriptor's promise where outcomes are few), then unlabelled
domains, nearest past queries, a smooth kernel regression and a linear one, each as far as it
predicted outcomes that it had not seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from toolcrib_registry.errors import InvalidInput

from .arrays import Booleans, Floats, Integers, Singles, folds
from .clusters import Clusters
from .forms import Map, Points
from .kernel import KernelRidge
from .neighbours import Neighbours
from .outcomes import RoutingOutcomes
from .profile import PRIOR_SPREAD, Profile, expect_means, weigh_likeness
from .stacking import fit_weights
from .sureness import measure_scale
from .targets import Targets

PARTS: Final = ("domains", "neighbours", "kernel", "linear")
_FOLDS: Final = 5
_FEWEST: Final = 10
"""Queries; below, only means are used."""
_SETTLED: Final = 50
"""Outcomes from which a model is learned by itself, and not by those it is like."""
_TRUST: Final = 8.0
_WIDEST: Final = 0.25
"""Variance of an outcome of which nothing is known."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """Expected scores with their standard deviations: a row a query, a column a model."""

    models: tuple[str, ...]
    means: Floats
    spreads: Floats
    """Of the mean, not of a single outcome."""
    evidence: Floats
    """How many outcomes of the very same query would tell as much."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What would have been predicted for past queries without their outcomes, and the outcomes."""

    predicted: Floats
    scores: Floats


@dataclass(frozen=True, slots=True)
class _Parts:
    """The fitted parts of a prediction, in the order of `PARTS`."""

    clusters: Clusters
    neighbours: Neighbours
    kernel: KernelRidge

    @classmethod
    def fit(cls, points: Points, targets: Floats, *, seed: int) -> _Parts:
        return cls(
            Clusters.fit(points.taught, targets, seed=seed),
            Neighbours.fit(points.taught, targets),
            KernelRidge.fit(points.plain, targets, seed=seed),
        )

    def predict(self, points: Points) -> Floats:
        return np.stack(
            [
                self.clusters.predict(points.taught),
                self.neighbours.predict(points.taught),
                self.kernel.predict(points.plain),
                points.guess,
            ]
        )


@dataclass(frozen=True, slots=True)
class _Unseen:
    """Past queries as if they were new: where they lie, what is expected of them, how surely."""

    points: Points
    scores: Floats
    shares: Floats


@dataclass(frozen=True, slots=True)
class _Fitted:
    """What is learned by query, when there are enough queries."""

    map: Map
    parts: _Parts
    weights: Floats
    """By part and group of targets."""
    targets: Targets

    def predict(self, texts: Sequence[str], vectors: Singles) -> tuple[Floats, Floats]:
        """Expect scores, and the variance of each as a share of that of one outcome."""
        points = self.map.place(texts, vectors)
        stacked = _stack(self.parts.predict(points), self.weights, self.targets)
        return self.targets.scores(stacked), _shares(self.parts.kernel, points, self.targets)


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityPredictor:
    """Expects scores. Fit it once for each state of the outcomes; then it only reads."""

    models: tuple[str, ...]
    counts: Integers
    """Outcomes of each model."""
    means: Floats
    settled: Booleans
    held_out: HeldOut
    _fitted: _Fitted | None
    _noise: Floats
    _likeness: Floats
    _scale: float
    """What the kernel's variances are multiplied by, to be as large as its errors were."""

    @classmethod
    def fit(
        cls,
        outcomes: RoutingOutcomes,
        *,
        profiles: Mapping[str, Profile] | None = None,
        seed: int = 7,
    ) -> QualityPredictor:
        """Learn from outcomes: seconds for thousands of queries, so never while one waits.

        Raises:
            InvalidInput: There is no model.
        """
        if not outcomes.models:
            raise InvalidInput("There is no model to predict for.")
        known = profiles or {}
        described = [known.get(name, Profile(name=name)) for name in outcomes.models]
        return _fit(outcomes, described, seed)

    @property
    def weights(self) -> Mapping[str, float]:
        """How much each part counts in what tells models apart; empty with few outcomes."""
        if self._fitted is None:
            return {}
        return dict(zip(PARTS, self._fitted.weights[:, -1].tolist(), strict=True))

    def predict(self, texts: Sequence[str], vectors: Singles) -> Predictions:
        """Expect every model's score for each query."""
        count = len(texts)
        means = np.tile(self.means, (count, 1))
        shares = np.zeros((count, int(self.settled.sum())))
        if self._fitted is not None:
            means[:, self.settled], shares = self._fitted.predict(texts, vectors)
        if self.settled.any():
            moved = means[:, self.settled] - self.means[self.settled]
            borrowed = self.means + moved @ self._likeness.T
            means = np.where(self.settled, means, np.clip(borrowed, 0.0, 1.0))
        variance = self._variance(shares)
        noise = np.maximum(self._noise, 1e-4)
        return Predictions(self.models, means, np.sqrt(variance), noise / variance)

    def _variance(self, shares: Floats) -> Floats:
        """Variance of each mean: of the model's own, and of what the query adds to it."""
        own = self._noise / np.maximum(self.counts, 1)
        prior = PRIOR_SPREAD**2 * _TRUST / (self.counts + _TRUST)
        variance = np.tile(
            np.where(self.settled, own, own * (self.counts > 0) + prior), (len(shares), 1)
        )
        variance[:, self.settled] += self._scale * shares * self._noise[self.settled]
        return variance


def _fit(outcomes: RoutingOutcomes, profiles: Sequence[Profile], seed: int) -> QualityPredictor:
    scores = np.asarray(outcomes.scores, dtype=np.float64)
    known = ~np.isnan(scores)
    counts = known.sum(axis=0)
    settled = (counts >= min(_SETTLED, len(scores) / 2)) & (counts > 0)
    sums = np.where(known, scores, 0.0).sum(axis=0)
    measured = np.where(settled, sums / np.maximum(counts, 1), np.nan)
    priors = expect_means(profiles, measured)
    means = (sums + _TRUST * priors) / (counts + _TRUST)
    fitted: _Fitted | None = None
    unseen: _Unseen | None = None
    predicted = np.tile(means, (len(scores), 1))
    if settled.any():
        targets = Targets.of(scores[:, settled], priors[settled])
        means[settled] = targets.means
        predicted[:, settled] = targets.means
        if len(scores) >= _FEWEST:
            fitted, unseen = _learn(outcomes, targets, seed)
            predicted[:, settled] = unseen.scores
    noise = _noise(scores, predicted)
    scale = 1.0
    if unseen is not None:
        residuals = scores[:, settled] - unseen.scores
        scale = measure_scale(
            unseen.points.plain, residuals, unseen.shares, noise[settled], seed=seed
        )
    likeness = weigh_likeness(
        profiles, [p for p, is_one in zip(profiles, settled, strict=True) if is_one]
    )
    return QualityPredictor(
        models=tuple(outcomes.models),
        counts=counts,
        means=means,
        settled=settled,
        held_out=HeldOut(predicted, scores),
        _fitted=fitted,
        _noise=noise,
        _likeness=likeness,
        _scale=scale,
    )


def _learn(outcomes: RoutingOutcomes, targets: Targets, seed: int) -> tuple[_Fitted, _Unseen]:
    """Fit the parts, weigh them by held-out predictions, and return those too."""
    parts = folds(len(outcomes.queries), parts=_FOLDS, seed=seed)
    map_, points = Map.learn(outcomes.queries, outcomes.vectors, targets, parts=parts)
    unseen = np.zeros((len(PARTS), *targets.values.shape))
    shares = np.zeros((len(parts), len(targets.means)))
    for part in range(_FOLDS):
        inside, outside = np.flatnonzero(parts == part), np.flatnonzero(parts != part)
        fitted = _Parts.fit(points.take(outside), targets.values[outside], seed=seed)
        unseen[:, inside] = fitted.predict(points.take(inside))
        shares[inside] = _shares(fitted.kernel, points.take(inside), targets)
    weights = np.stack(
        [fit_weights(unseen[:, :, group], targets.values[:, group]) for group in targets.groups],
        axis=1,
    )
    whole = _Parts.fit(points, targets.values, seed=seed)
    scores = targets.scores(_stack(unseen, weights, targets))
    return _Fitted(map_, whole, weights, targets), _Unseen(points, scores, shares)


def _shares(kernel: KernelRidge, points: Points, targets: Targets) -> Floats:
    """Give the variance of each model's expectation, as a share of that of one outcome."""
    shares = kernel.doubt(points.plain)
    return np.repeat(shares[:, :1], len(targets.means), axis=1) if targets.is_split else shares


def _stack(parts: Floats, weights: Floats, targets: Targets) -> Floats:
    stacked = np.zeros(parts.shape[1:])
    for place, group in enumerate(targets.groups):
        stacked[:, group] = np.tensordot(weights[:, place], parts[:, :, group], axes=1)
    return stacked


def _noise(scores: Floats, predicted: Floats) -> Floats:
    """Tell the variance of an outcome around its prediction, by model; cautious where few."""
    known = ~np.isnan(scores)
    squares = np.where(known, scores - predicted, 0.0) ** 2
    return (squares.sum(axis=0) + _TRUST * _WIDEST) / (known.sum(axis=0) + _TRUST)
