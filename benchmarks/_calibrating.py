"""From the signals of questions with and without an answer to the constants of a calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.abstention.calibration import Calibration, Constants
from toolcrib_embeddings.abstention.signals import SearchSignals

SHARES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 0.9)
LEARNED_FROM = ("alike 0.7", "alike 0.6", "alike 0.5", "other sets", "foreign")
SETTLED = 1e-6
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Examples:
    """What one set has to learn from, and to be measured on."""

    name: str
    present: list[SearchSignals]
    """Of each question, its tools in place."""
    absent: dict[str, list[SearchSignals]]
    """By the way in which nothing fits."""
    probed: tuple[list[SearchSignals], list[SearchSignals]]
    handful: tuple[list[SearchSignals], list[SearchSignals]]
    """Of each question asked of a few tools: with the one it asks for, and without."""
    best_hits: list[tuple[NDArray[np.float32], NDArray[np.bool_]]] = field(repr=False)
    """Evidence of the ten best of each question, and which of them are relevant."""

    @property
    def family(self) -> str:
        """Sets of one family share their tools."""
        return self.name.split("_")[0]


def fit_constants(sets: Sequence[Examples]) -> Constants:
    """Learn all constants; each family counts once."""
    weights, _ = _fit_weights(sets)
    plain = Constants(
        weights=(weights[0], weights[1], weights[2]),
        intercept=0.0,
        level=0.0,
        quantiles=((0.0, 0.0),),
        unscaled_quantiles=((0.0, 0.0),),
        hit=(0.0, 0.0, 0.0),
    )
    levels = {each.name: Calibration.fit(*each.probed, constants=plain).level for each in sets}
    slope, intercept = _fit_slope(sets, weights, levels)
    shares = [_family_share(sets, each) for each in sets]
    above = [as_matrix(each.present) @ weights - levels[each.name] for each in sets]
    few, none = ([slope * as_matrix(e.handful[n]) @ weights for e in sets] for n in range(2))
    usual = _balance([*few, *none], [*shares, *shares], intercept)
    return Constants(
        weights=_rounded(slope * weights),
        intercept=round(intercept, 3),
        level=round(usual, 3),
        quantiles=_quantiles([slope * each for each in above], shares),
        unscaled_quantiles=_quantiles([each - usual for each in few], shares),
        hit=_fit_hits(sets),
    )


def _balance(values: Sequence[Matrix], shares: Sequence[float], intercept: float) -> float:
    """Find the level at which half of the questions seem to have an answer, as half have."""
    low, high = -50.0, 50.0
    while high - low > SETTLED:
        level = (low + high) / 2
        likelihoods = [(1 / (1 + np.exp(level - intercept - v))).mean() for v in values]
        if np.average(likelihoods, weights=shares) > 1 / 2:
            low = level
        else:
            high = level
    return low


def _quantiles(
    values: Sequence[Matrix], shares: Sequence[float]
) -> tuple[tuple[float, float], ...]:
    """Return the quantiles of all sets together, each family as heavy as another."""
    together = np.concatenate(values)
    heavy = np.concatenate(
        [np.full(len(v), share / len(v)) for v, share in zip(values, shares, strict=True)]
    )
    order = np.argsort(together)
    reached = np.cumsum(heavy[order]) / heavy.sum()
    found = np.round(np.interp(SHARES, reached, together[order]), 3).tolist()
    return tuple(zip(SHARES, found, strict=True))


def fit_one(present: Matrix, absent: Matrix) -> Matrix:
    """Return log-odds weights for one task: what is best where questions with labels exist."""
    rows = np.vstack([present, absent])
    answers = np.r_[np.ones(len(present)), np.zeros(len(absent))]
    heavy = np.r_[np.full(len(present), 1 / len(present)), np.full(len(absent), 1 / len(absent))]
    weights, _ = _logistic(rows, answers, heavy)
    return weights


def auroc(present: Matrix, absent: Matrix) -> float:
    """Return how often a question with an answer scores above one without; ties count half."""
    ordered = np.sort(absent)
    below = np.searchsorted(ordered, present, "left") + np.searchsorted(ordered, present, "right")
    return float(below.mean() / 2 / len(absent))


def calibration_error(said: NDArray[Any], truth: Matrix, heavy: Matrix) -> float:
    """Return the mean distance of likelihood from frequency over ten bins; weights sum to 1."""
    bins = np.minimum((said * 10).astype(int), 9)
    gaps = np.bincount(bins, weights=heavy * (said - truth), minlength=10)
    return float(np.abs(gaps).sum())


def as_matrix(signals: Sequence[SearchSignals]) -> Matrix:
    """Make one row a search: evidence, distinction, agreement."""
    return np.array([(s.evidence, s.distinction, s.agreement) for s in signals], dtype=np.float64)


def _family_share(sets: Sequence[Examples], one: Examples) -> float:
    return 1 / sum(each.family == one.family for each in sets)


def _fit_weights(sets: Sequence[Examples]) -> tuple[Matrix, float]:
    rows, answers, heavy = _gather(sets)
    return _logistic(rows, answers, heavy)


def _fit_slope(
    sets: Sequence[Examples], weights: Matrix, levels: dict[str, float]
) -> tuple[float, float]:
    parts = [_gather([each]) for each in sets]
    above = [p[0] @ weights - levels[each.name] for p, each in zip(parts, sets, strict=True)]
    heavy = [p[2] * _family_share(sets, each) for p, each in zip(parts, sets, strict=True)]
    rows = np.concatenate(above)[:, None]
    answers = np.concatenate([p[1] for p in parts])
    slope, intercept = _logistic(rows, answers, np.concatenate(heavy))
    return float(slope[0]), intercept


def _gather(sets: Sequence[Examples]) -> tuple[Matrix, Matrix, Matrix]:
    rows: list[Matrix] = []
    answers: list[Matrix] = []
    heavy: list[Matrix] = []
    for each in sets:
        share = _family_share(sets, each)
        groups = [(1.0, 1.0, each.present)]
        groups += [(0.0, 1 / len(LEARNED_FROM), each.absent[kind]) for kind in LEARNED_FROM]
        for answer, part, signals in groups:
            rows.append(as_matrix(signals))
            answers.append(np.full(len(signals), answer))
            heavy.append(np.full(len(signals), share * part / len(signals)))
    return np.vstack(rows), np.concatenate(answers), np.concatenate(heavy)


def _fit_hits(sets: Sequence[Examples]) -> tuple[float, float, float]:
    rows: list[Matrix] = []
    answers: list[Matrix] = []
    heavy: list[Matrix] = []
    for each in sets:
        for evidence, relevant in each.best_hits:
            if relevant.any():
                rows.append(np.c_[evidence, evidence - evidence.max()])
                answers.append(relevant.astype(np.float64))
        heavy.append(np.full(sum(map(len, answers)) - sum(map(len, heavy)), 1.0))
        heavy[-1] *= _family_share(sets, each) / len(heavy[-1])
    weights, constant = _logistic(np.vstack(rows), np.concatenate(answers), np.concatenate(heavy))
    return _rounded(np.r_[constant, weights])


def _rounded(values: Matrix) -> tuple[float, float, float]:
    first, second, third = np.round(values, 3).tolist()
    return first, second, third


def _logistic(rows: Matrix, answers: Matrix, heavy: Matrix) -> tuple[Matrix, float]:
    """Ridge logistic regression by Newton's method; a weight that would be negative is 0."""
    centre, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    design = np.c_[(rows - centre) / spread, np.ones(len(rows))]
    heavy = heavy / heavy.sum()
    found = np.zeros(design.shape[1])
    kept = np.ones(design.shape[1], dtype=np.bool_)
    while True:
        found[:] = 0
        found[kept] = _newton(design[:, kept], answers, heavy)
        negative = kept & (found < 0)
        negative[-1] = False
        if not negative.any():
            break
        kept &= ~negative
    weights = found[:-1] / spread
    return weights, float(found[-1] - weights @ centre)


def _newton(design: Matrix, answers: Matrix, heavy: Matrix) -> Matrix:
    size = design.shape[1]
    found: Matrix = np.array([0.0] * size)
    ridge: Matrix = np.array([*[1e-3] * (size - 1), 0.0])
    for _ in range(30):
        step = _newton_step(design, answers, heavy, found, ridge)
        found = np.array(found - step)
        if np.abs(step).max() < SETTLED:
            break
    return found


def _newton_step(
    design: Matrix, answers: Matrix, heavy: Matrix, found: Matrix, ridge: Matrix
) -> Matrix:
    guess: Matrix = 1 / (1 + np.exp(-np.clip(design @ found, -30, 30)))
    slope: Matrix = design.T @ (heavy * (guess - answers)) + ridge * found
    curve: Matrix = (design * (heavy * guess * (1 - guess))[:, None]).T @ design + np.diag(ridge)
    return np.linalg.solve(curve + 1e-9 * np.eye(len(found)), slope).astype(np.float64)
