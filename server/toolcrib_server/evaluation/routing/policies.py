"""What is compared: ways to expect scores of queries that were not learned from. Each by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from toolcrib_server.selection.routing.arrays import Floats, Integers, Singles
from toolcrib_server.selection.routing.linear import Ridge
from toolcrib_server.selection.routing.neighbours import Neighbours
from toolcrib_server.selection.routing.outcomes import OutcomeTable

from .sets import RoutingSet

OURS: Final = "toolcrib"
ORACLE: Final = "oracle"
RANDOM: Final = "random"
SINGLE: Final = "best single"
CHEAPEST: Final = "cheapest"
LOOK_UP: Final = "domain look-up"
KNN: Final = "kNN 100"
RIDGE: Final = "ridge"


@dataclass(frozen=True, slots=True)
class Fold:
    """A set with the rows that are learned from and those that are judged."""

    set: RoutingSet
    vectors: Singles
    learned: Integers
    judged: Integers
    seed: int

    @property
    def past(self) -> OutcomeTable:
        """What is learned from."""
        return _table(self.set, self.vectors).take(self.learned)

    @property
    def texts(self) -> tuple[str, ...]:
        """The queries that are judged."""
        return tuple(self.set.queries[int(row)] for row in self.judged)


def baselines(given: RoutingSet) -> dict[str, Callable[[Fold], Floats]]:
    """Name the baselines that a set allows: each expects scores of the judged queries.

    Without measured or estimated costs nothing is cheapest, without labels nothing is looked up.
    """
    named = {
        ORACLE: _oracle,
        SINGLE: _single,
        RANDOM: _random,
        CHEAPEST: _cheapest,
        LOOK_UP: _look_up,
        KNN: _neighbours,
        RIDGE: _ridge,
    }
    if not given.groups:
        del named[LOOK_UP]
    if np.isnan(given.costs_usd).all():
        del named[CHEAPEST]
    return named


def column_means(values: Floats) -> Floats:
    """Average each column over what is known; the mean of all where a column is unknown."""
    known = ~np.isnan(values)
    sums = np.where(known, values, 0.0).sum(axis=0)
    counts = known.sum(axis=0)
    overall = float(sums.sum()) / max(int(counts.sum()), 1)
    means: Floats = sums / np.maximum(counts, 1)
    return np.where(counts > 0, means, overall)


def _oracle(fold: Fold) -> Floats:
    """Know the score itself; of equals the cheaper is better, so that its cost is the least."""
    costs = np.nan_to_num(fold.set.costs_usd[fold.judged], nan=0.0)
    return np.nan_to_num(fold.set.scores[fold.judged], nan=-1.0) - 1e-9 * costs / max(
        costs.max(), 1e-12
    )


def _single(fold: Fold) -> Floats:
    means = column_means(fold.set.scores[fold.learned])
    return np.tile(means, (len(fold.judged), 1))


def _random(fold: Fold) -> Floats:
    shape = (len(fold.judged), len(fold.set.models))
    return np.random.default_rng(fold.seed).random(shape)


def _cheapest(fold: Fold) -> Floats:
    costs = column_means(fold.set.costs_usd[fold.learned])
    return np.tile(-costs, (len(fold.judged), 1))


def _look_up(fold: Fold) -> Floats:
    """Expect the mean of the query's own label, which the others are not given."""
    overall = column_means(fold.set.scores[fold.learned])
    labels = np.array(fold.set.groups)
    past, scores = labels[fold.learned], fold.set.scores[fold.learned]
    found = {str(name): column_means(scores[past == name]) for name in np.unique(past)}
    return np.stack([found.get(str(label), overall) for label in labels[fold.judged]])


def _neighbours(fold: Fold) -> Floats:
    means, centred = _centred(fold)
    return means + Neighbours.fit(fold.vectors[fold.learned], centred).predict(
        fold.vectors[fold.judged]
    )


def _ridge(fold: Fold) -> Floats:
    means, centred = _centred(fold)
    return means + Ridge.fit(fold.vectors[fold.learned], centred).predict(fold.vectors[fold.judged])


def _centred(fold: Fold) -> tuple[Floats, Floats]:
    scores = fold.set.scores[fold.learned]
    means = column_means(scores)
    return means, scores - means


def _table(given: RoutingSet, vectors: Singles) -> OutcomeTable:
    return OutcomeTable(
        queries=given.queries,
        vectors=vectors,
        models=given.models,
        scores=given.scores,
        costs_usd=given.costs_usd,
        latencies_ms=given.latencies_ms,
    )


def split_folds(
    count: int, *, folds: int, hold_out: float | None, learn: int | None, seed: int
) -> Sequence[tuple[Integers, Integers]]:
    """Split rows into learned and judged: each part in turn, or one share held out.

    ``learn`` is how many of the learned rows are used at most, as if no more were known.
    """
    order = np.random.default_rng(seed).permutation(count)
    if hold_out is not None:
        cut = max(1, min(count - 1, round(hold_out * count)))
        parts = [(order[cut:], order[:cut])]
    else:
        marks = np.arange(count) % folds
        parts = [(order[marks != part], order[marks == part]) for part in range(folds)]
    return [(learned[:learn], judged) for learned, judged in parts]
