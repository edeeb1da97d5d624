"""One routing set judged: every policy on queries that it did not learn from."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.selection.routing.arrays import Booleans, Floats, Integers, Singles
from toolcrib_server.selection.routing.choice import Preference
from toolcrib_server.selection.routing.clusters import assign, find_centres
from toolcrib_server.selection.routing.router import Router

from .measures import (
    Calibration,
    Curve,
    Gap,
    average_quality,
    by_share,
    calibrate,
    close_gap,
    hull,
    standard_error,
)
from .policies import OURS, RANDOM, SINGLE, Fold, baselines, column_means
from .repeating import corrected_error
from .results import PolicyResult, RoutingResult
from .sets import RoutingSet

_LEAST_WORTH: Final = 0.003
_MOST_WORTH: Final = 3.0
"""What the difference in cost between the cheapest and the dearest model is worth, in score."""
_TRADE_OFFS: Final = 24
_TIMED: Final = 200
_CHECKED: Final = 100
_FEWEST: Final = 10
_NINETY: Final = 1.645
_IN_GROUP: Final = 50
_PAIR: Final = 2
_RESAMPLES: Final = 200


@dataclass(slots=True)
class _Judged:
    """What the folds gave, by judged query, in the order of the folds."""

    expected: dict[str, list[Floats]]
    chosen: dict[str, list[Integers]]
    rows: list[Integers]
    means: list[Floats]
    spreads: list[Floats]
    gains: list[Floats]
    singles: list[int]
    strong: list[int]
    times_ms: list[float]
    learned: int = 0
    violations: int = 0
    checks: int = 0
    learn_s: float = 0.0
    weights: Mapping[str, float] | None = None


def judge_set(
    given: RoutingSet,
    vectors: Singles,
    parts: Sequence[tuple[Integers, Integers]],
    *,
    seed: int,
    repeats: int = 1,
    on_progress: Callable[[int, int], None],
) -> RoutingResult:
    """Learn from the first of each pair of rows, judge on the second.

    With ``repeats`` the pairs part the set that often, and errors allow for what they share.

    Raises:
        InvalidInput: Hardly any query has a score of every model.
    """
    complete: Booleans = np.logical_not(np.isnan(given.scores).any(axis=1))
    found = _Judged({}, {}, [], [], [], [], [], [], [])
    for number, (learned, judged) in enumerate(parts):
        rows = judged[complete[judged]]
        if len(rows) < _FEWEST or len(learned) < _FEWEST:
            raise InvalidInput(
                f"{given.folder}: policies are compared on queries scored by every model, and "
                f"{len(rows)} of {len(judged)} have them, {len(learned)} to learn from; at least "
                f"{_FEWEST} are needed."
            )
        _judge_fold(Fold(given, vectors, learned, rows, seed + number), found)
        on_progress(number + 1, len(parts))
    return _result(given, vectors, found, seed, repeats)


def _judge_fold(fold: Fold, found: _Judged) -> None:
    means = column_means(fold.set.scores[fold.learned])
    found.rows.append(fold.judged)
    found.singles.append(int(means.argmax()))
    found.strong.append(int(means.argmax()))
    found.learned = max(found.learned, len(fold.learned))
    for name, expect in baselines(fold.set).items():
        expected = expect(fold)
        found.expected.setdefault(name, []).append(expected)
        found.chosen.setdefault(name, []).append(expected.argmax(axis=1))
    _judge_ours(fold, found, means)


def _judge_ours(fold: Fold, found: _Judged, means: Floats) -> None:
    began = time.perf_counter()
    router = Router.fit(fold.past, profiles=fold.set.profiles, seed=fold.seed)
    found.learn_s = max(found.learn_s, time.perf_counter() - began)
    found.weights = router.predictor.weights
    points = fold.vectors[fold.judged]
    predictions = router.predictor.predict(fold.texts, points)
    places = {name: place for place, name in enumerate(router.models)}
    routed = [answer.choice for answer in router.route(fold.texts, points)]
    picks = np.array([places[choice.model or router.models[0]] for choice in routed])
    found.expected.setdefault(OURS, []).append(predictions.means)
    found.chosen.setdefault(OURS, []).append(picks)
    found.gains.append(np.array([choice.gain for choice in routed]))
    found.means.append(np.tile(means, (len(points), 1)))
    found.spreads.append(predictions.spreads)
    _time(router, fold, points, found)
    _check_limits(router, fold, points, found)


def _time(router: Router, fold: Fold, points: Singles, found: _Judged) -> None:
    for place in range(min(_TIMED, len(points))):
        began = time.perf_counter()
        router.route([fold.texts[place]], points[place : place + 1])
        found.times_ms.append(1e3 * (time.perf_counter() - began))


def _check_limits(router: Router, fold: Fold, points: Singles, found: _Judged) -> None:
    """Route under random limits; count the choices that break one."""
    random = np.random.default_rng(fold.seed)
    models = np.array(router.models)
    for place in range(min(_CHECKED, len(points))):
        allowed = set(models[random.random(len(models)) < random.random()].tolist())
        most = float(random.choice([1e-5, 1e-4, 1e-3, 1e-2]))
        (answer,) = router.route(
            [fold.texts[place]],
            points[place : place + 1],
            preference=Preference(max_cost_usd=most),
            allowed=allowed,
        )
        chosen = answer.choice.model
        expected = {one.model: one for one in answer.choice.ranked}
        cost = expected[chosen].cost_usd if chosen in expected else None
        breaks = chosen is not None and (chosen not in allowed or cost is None or cost > most)
        found.violations += breaks
        found.checks += 1


def _result(
    given: RoutingSet, vectors: Singles, found: _Judged, seed: int, repeats: int
) -> RoutingResult:
    rows = np.concatenate(found.rows)
    scores = given.scores[rows]
    ours = np.concatenate(found.expected[OURS])
    picked = _picked(scores, np.concatenate(found.chosen[OURS]))
    single = _picked(scores, np.concatenate(found.chosen[SINGLE]))
    return RoutingResult(
        name=given.name,
        folder=str(given.folder),
        data_hash=given.data_hash,
        queries=len(given.queries),
        judged=len(rows),
        learned=found.learned,
        models=given.models,
        has_costs=given.has_costs,
        policies=tuple(
            _policy(name, given, found, single, repeats) for name in (OURS, *_others(found))
        ),
        calibration=_calibration(found, ours, scores, vectors[rows], seed, repeats=repeats),
        routed_share=_routed_share(found),
        abstention=by_share(np.concatenate(found.gains), picked, single),
        checks=found.checks,
        violations=found.violations,
        decision_p50_ms=float(np.percentile(found.times_ms, 50)),
        decision_p95_ms=float(np.percentile(found.times_ms, 95)),
        learn_s=found.learn_s,
        weights=found.weights or {},
        repeats=repeats,
    )


def _routed_share(found: _Judged) -> float:
    ours, single = np.concatenate(found.chosen[OURS]), np.concatenate(found.chosen[SINGLE])
    return float(np.count_nonzero(ours - single) / len(ours))


def _others(found: _Judged) -> list[str]:
    return [name for name in found.expected if name != OURS]


def _policy(
    name: str, given: RoutingSet, found: _Judged, single: Floats, repeats: int
) -> PolicyResult:
    rows = np.concatenate(found.rows)
    scores, costs = given.scores[rows], given.costs_usd[rows]
    chosen = np.concatenate(found.chosen[name])
    # Chance itself, and not one throw of it.
    picked = scores.mean(axis=1) if name == RANDOM else _picked(scores, chosen)
    paid = costs.mean(axis=1) if name == RANDOM else _picked(costs, chosen)
    expected = np.concatenate(found.expected[name])
    curve = None if np.isnan(costs).any() else _curve(name, expected, scores, costs)
    low, high = (float(f(np.nanmean(costs, axis=0))) for f in (np.min, np.max)) if curve else (0, 0)
    gaps = _gaps(name, given, found) if len(given.models) == _PAIR else []
    return PolicyResult(
        name=name,
        score=float(picked.mean()),
        error=_error(picked, found, repeats),
        difference=float((picked - single).mean()),
        difference_error=_error(picked - single, found, repeats),
        cost_usd=None if curve is None else float(paid.mean()),
        aiq=average_quality(hull(*curve), low=low, high=high) if curve else None,
        hull=hull(*curve) if curve else None,
        gap=_mean_gap(gaps),
        apgr_error=_apgr_error(name, given, found, gaps, repeats) if gaps else None,
    )


def _error(values: Floats, found: _Judged, repeats: int) -> float:
    """Give the standard error of a mean over queries, or over splits where there are many."""
    if repeats == 1:
        return standard_error(values)
    ends = np.cumsum([len(rows) for rows in found.rows])[:-1]
    return _over_splits([float(part.mean()) for part in np.split(values, ends)], found)


def _apgr_error(
    name: str, given: RoutingSet, found: _Judged, gaps: list[Gap], repeats: int
) -> float:
    if repeats == 1:
        return _gap_error(name, given, found)
    return _over_splits([gap.apgr for gap in gaps], found)


def _over_splits(values: Sequence[float], found: _Judged) -> float:
    judged = max(len(rows) for rows in found.rows)
    return corrected_error(values, judged=judged, learned=found.learned)


def _curve(name: str, expected: Floats, scores: Floats, costs: Floats) -> tuple[Floats, Floats]:
    """Mean cost and score at each trade-off; of policies that ignore the query, of each model."""
    if name in {SINGLE, RANDOM}:
        return costs.mean(axis=0), scores.mean(axis=0)
    span = max(float(np.ptp(costs.mean(axis=0))), 1e-12)
    worths = (0.0, *np.geomspace(_LEAST_WORTH, _MOST_WORTH, _TRADE_OFFS).tolist())
    picks = [(expected - worth / span * costs).argmax(axis=1) for worth in worths]
    # The two ends that everybody has: always the cheapest model, and the best one.
    cheapest = np.full(len(scores), costs.mean(axis=0).argmin())
    picks = [*picks, cheapest]
    return (
        np.array([_picked(costs, pick).mean() for pick in picks]),
        np.array([_picked(scores, pick).mean() for pick in picks]),
    )


def _gaps(name: str, given: RoutingSet, found: _Judged) -> list[Gap]:
    gaps: list[Gap] = []
    for rows, expected, strong in zip(found.rows, found.expected[name], found.strong, strict=True):
        scores = given.scores[rows]
        gain = expected[:, strong] - expected[:, 1 - strong]
        gap = close_gap(gain, scores[:, 1 - strong], scores[:, strong])
        gaps += [gap] if gap else []
    return gaps


def _mean_gap(gaps: list[Gap]) -> Gap | None:
    if not gaps:
        return None
    curve = np.mean([gap.curve.y for gap in gaps], axis=0)
    return Gap(
        float(np.mean([gap.apgr for gap in gaps])),
        _mean([gap.cpt50 for gap in gaps]),
        _mean([gap.cpt80 for gap in gaps]),
        Curve(gaps[0].curve.x, tuple(float(value) for value in curve)),
    )


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _gap_error(name: str, given: RoutingSet, found: _Judged) -> float:
    """Give the standard error of the APGR, by drawing queries with replacement."""
    random = np.random.default_rng(0)
    drawn: list[float] = []
    for _ in range(_RESAMPLES):
        values: list[float] = []
        for rows, expected, strong in zip(
            found.rows, found.expected[name], found.strong, strict=True
        ):
            again = random.integers(0, len(rows), len(rows))
            scores = given.scores[rows][again]
            gain = (expected[:, strong] - expected[:, 1 - strong])[again]
            gap = close_gap(gain, scores[:, 1 - strong], scores[:, strong])
            values += [gap.apgr] if gap else []
        drawn.append(float(np.mean(values)) if values else 0.5)
    return float(np.std(drawn))


def _calibration(
    found: _Judged, ours: Floats, scores: Floats, points: Singles, seed: int, *, repeats: int
) -> Calibration:
    means = np.concatenate(found.means)
    spreads = np.concatenate(found.spreads)
    # Apart for each repeat: a query that is judged twice must not count as two alike.
    ends = np.cumsum([len(rows) for rows in found.rows])
    marks = [0, *ends[len(ends) // repeats - 1 :: len(ends) // repeats].tolist()]
    parts = [slice(low, high) for low, high in pairwise(marks)]
    shares = [_covered(ours[p], spreads[p], scores[p], points[p], seed) for p in parts]
    known = [share for share in shares if share is not None]
    return calibrate(ours, scores, means, covered=float(np.mean(known)) if known else None)


def _covered(
    ours: Floats, spreads: Floats, scores: Floats, points: Singles, seed: int
) -> float | None:
    """Group like queries; tell how often a group's mean lies in the interval that was expected.

    Within a group the error of the expectation is taken to be one and the same.
    """
    count = len(points) // _IN_GROUP
    if count < _PAIR:
        return None
    centres = find_centres(points, count, seed=seed)
    nearest = assign(points, centres)
    held: list[Booleans] = []
    for group in np.unique(nearest):
        here = nearest == group
        if here.sum() < _FEWEST:
            continue
        off = np.abs((scores[here] - ours[here]).mean(axis=0))
        noise = scores[here].var(axis=0) / here.sum()
        own = spreads[here].mean(axis=0) ** 2
        held.append(off <= _NINETY * np.sqrt(own + noise))
    return float(np.mean(held)) if held else None


def _picked(values: Floats, picks: Integers) -> Floats:
    return values[np.arange(len(values)), picks]
