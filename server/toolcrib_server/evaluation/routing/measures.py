"""How good choices and predictions are: curves of cost and quality, calibration, separation.

AIQ is RouterBench's (arXiv 2403.12031), APGR and CPT are RouteLLM's (arXiv 2406.18665).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from toolcrib_server.selection.routing.arrays import Floats

_BINS: Final = 10
_SHARES: Final = 21


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of a policy at several trade-offs."""

    x: tuple[float, ...]
    y: tuple[float, ...]


def hull(costs: Floats, scores: Floats) -> Curve:
    """Give the non-decreasing convex hull: the best mean score that mixing can buy at each cost."""
    order = np.lexsort((-scores, costs))
    kept: list[tuple[float, float]] = []
    for cost, score in zip(costs[order].tolist(), scores[order].tolist(), strict=True):
        if kept and score <= kept[-1][1]:
            continue
        while len(kept) > 1 and _slope(kept[-2], (cost, score)) >= _slope(kept[-2], kept[-1]):
            kept.pop()
        if kept and kept[-1][0] == cost:
            kept.pop()
        kept.append((cost, score))
    return Curve(tuple(c for c, _ in kept), tuple(s for _, s in kept))


def _slope(left: tuple[float, float], right: tuple[float, float]) -> float:
    width = right[0] - left[0]
    return (right[1] - left[1]) / width if width > 0 else np.inf


def average_quality(curve: Curve, *, low: float, high: float) -> float:
    """Average a hull's score over the costs from ``low`` to ``high`` (AIQ)."""
    if high <= low:
        return float(np.interp(low, curve.x, curve.y))
    grid = np.linspace(low, high, 501)
    scores = np.interp(grid, curve.x, curve.y, left=curve.y[0], right=curve.y[-1])
    return float(np.trapezoid(scores, grid) / (high - low))


@dataclass(frozen=True, slots=True)
class Gap:
    """How much of the gap between two models is closed, as more calls go to the stronger one."""

    apgr: float
    """Averaged over shares of calls; 0.5 is random."""
    cpt50: float | None
    """The share of calls to the stronger one that closes half of the gap; None: never."""
    cpt80: float | None
    curve: Curve


def close_gap(gain: Floats, weak: Floats, strong: Floats) -> Gap | None:
    """Send the queries with the greatest expected gain first. None where there is no gap."""
    steps = (strong - weak)[np.argsort(-gain, kind="stable")]
    total = float(steps.sum())
    if total <= 0:
        return None
    closed = np.concatenate([[0.0], np.cumsum(steps)]) / total
    shares = np.linspace(0, 1, len(closed))
    grid = np.linspace(0, 1, _SHARES)
    return Gap(
        float(np.trapezoid(closed, shares)),
        _first_reaching(shares, closed, 0.5),
        _first_reaching(shares, closed, 0.8),
        Curve(tuple(grid.tolist()), tuple(np.interp(grid, shares, closed).tolist())),
    )


def _first_reaching(shares: Floats, closed: Floats, level: float) -> float | None:
    reached = np.flatnonzero(closed >= level)
    return float(shares[reached[0]]) if len(reached) else None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether expected scores come true: by equally large bins of what was expected."""

    ece: float
    brier: float
    base_brier: float
    """Of expecting each model's mean on every query."""
    expected: tuple[float, ...]
    actual: tuple[float, ...]
    covered: float | None
    """Share of 90 % intervals that hold the mean score of a group of queries; None: no groups."""


def calibrate(
    predicted: Floats, actual: Floats, means: Floats, *, covered: float | None
) -> Calibration:
    """Hold expected scores against actual ones, over all queries and models."""
    known = ~np.isnan(actual)
    p, y = predicted[known], actual[known]
    order = np.argsort(p, kind="stable")
    bins = [part for part in np.array_split(order, _BINS) if len(part)]
    expected = [float(p[part].mean()) for part in bins]
    came = [float(y[part].mean()) for part in bins]
    weights = [len(part) / len(p) for part in bins]
    gaps = (w * abs(e - a) for w, e, a in zip(weights, expected, came, strict=True))
    base = np.broadcast_to(means, actual.shape)[known]
    return Calibration(
        float(sum(gaps)),
        float(np.mean((p - y) ** 2)),
        float(np.mean((base - y) ** 2)),
        tuple(expected),
        tuple(came),
        covered,
    )


def separate(inside: Floats, outside: Floats) -> float:
    """Tell how often a score of ``inside`` is above one of ``outside`` (AUROC)."""
    both = np.concatenate([inside, outside])
    _, places, counts = np.unique(both, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[places][: len(inside)]
    above = ranks.sum() - len(inside) * (len(inside) + 1) / 2
    return float(above / (len(inside) * len(outside)))


def harmonic(inside: float, outside: float) -> float:
    """Give the harmonic mean of two accuracies (the GQR score)."""
    return 2 * inside * outside / (inside + outside) if inside + outside else 0.0


def standard_error(differences: Floats) -> float:
    """Give the standard error of a mean."""
    return (
        float(differences.std(ddof=1) / np.sqrt(len(differences))) if len(differences) > 1 else 0.0
    )


def by_share(confidence: Floats, chosen: Floats, fallback: Floats) -> Curve:
    """Give the mean score when only the surest share is routed, and the rest keeps the default."""
    order = np.argsort(-confidence, kind="stable")
    gains = np.concatenate([[0.0], np.cumsum((chosen - fallback)[order])]) / len(order)
    shares = np.linspace(0, 1, len(gains))
    grid = np.linspace(0, 1, _SHARES)
    scores = float(fallback.mean()) + np.interp(grid, shares, gains)
    return Curve(tuple(grid.tolist()), tuple(scores.tolist()))
