"""What was learned for one tenant, checked, and how it decides.

First among models whose outcomes are known; then whether a new one is so much more promising that
it may take the place.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

import numpy as np

from toolcrib_registry.types import Model, ModelOutcome, RatingSource
from toolcrib_server.selection.routing.arrays import Floats, Singles
from toolcrib_server.selection.routing.choice import (
    Expectation,
    Preference,
    RoutedChoice,
    choose,
    weigh,
)
from toolcrib_server.selection.routing.guard import DomainGuard, DomainVerdict
from toolcrib_server.selection.routing.margin import Margin
from toolcrib_server.selection.routing.outcomes import Observation, OutcomeTable
from toolcrib_server.selection.routing.router import Router, Routing
from toolcrib_server.selection.routing.usage import Forecasts

from .drift import Drift, find_drift, since_drift
from .judging import Judgement, Standing, judge
from .profiles import profile_of, typical_cost_usd
from .voices import Heard, hear
from .weights import PLAIN, Scales, Weights

MOST_QUERIES: Final = 12_000
"""The latest that are learned from: beyond them a fit takes long and gains little."""
MOST_NEW: Final = 64
"""Models without outcomes that are expected something of, by those that they resemble."""
_NO_MARGIN: Final = Margin(None, 0.0, 0.0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a policy is learned from, read at one time."""

    tenant: str
    version: str
    outcomes: tuple[ModelOutcome, ...]
    """The oldest first."""
    vectors: Mapping[str, Singles]
    """Of each query."""
    models: tuple[Model, ...]
    """Those that are registered and on."""
    guard: DomainGuard | None = None
    default: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What selection asks. Never changes: a new one takes its place."""

    tenant: str
    version: str
    router: Router | None
    """None where no outcome is known: then there is the guard alone."""
    guard: DomainGuard | None
    judgement: Judgement | None
    measured: frozenset[str]
    prices: Mapping[str, float]
    scales: Scales
    default: str | None
    drifts: tuple[Drift, ...]
    heard: Heard
    queries: int
    learned_at: datetime
    took_s: float

    def decide(
        self,
        texts: Sequence[str],
        vectors: Singles,
        *,
        weights: Weights = PLAIN,
        allowed: Collection[str],
        forecasts: Forecasts | None = None,
    ) -> tuple[Routing, ...]:
        """Choose among the allowed for each text. Nothing outside ``allowed`` is ever looked at.

        ``forecasts`` say what calls to their offers cost and take.
        """
        verdicts = self.guard.check(texts, vectors) if self.guard else [None] * len(texts)
        known = self.measured.intersection(allowed)
        if self.router is None or not known:
            return tuple(_guarded(verdict) for verdict in verdicts)
        scales = self._scales(texts[:1], known, forecasts)
        preference = weights.preference(scales, default=self.default)
        new = set(self.router.models).intersection(allowed) - known
        route = partial(
            self.router.route,
            texts,
            vectors,
            preference=preference,
            prices=self.prices,
            forecasts=forecasts,
        )
        routed, others = route(allowed=known), route(allowed=new) if new else ()
        answers: list[Routing] = []
        for place, (routing, verdict) in enumerate(zip(routed, verdicts, strict=True)):
            beside = others[place].choice.ranked if others else ()
            choice = self._decided(routing.choice, beside, preference, verdict)
            answers.append(replace(routing, choice=choice, domain=verdict))
        return tuple(answers)

    def _scales(
        self, texts: Sequence[str], known: Collection[str], forecasts: Forecasts | None
    ) -> Scales:
        """Take from forecasts what outcomes do not tell: what the dearest and the slowest take."""
        scales = self.scales
        if forecasts is None or not texts or (scales.cost_usd and scales.latency_s):
            return scales
        told = forecasts.expect(sorted(known), texts)
        slowest = _largest_mean(told.latencies)
        return Scales(
            scales.cost_usd or _largest_mean(told.costs) or None,
            scales.latency_s or (None if slowest is None else slowest / 1e3),
        )

    def _decided(
        self,
        choice: RoutedChoice,
        beside: tuple[Expectation, ...],
        preference: Preference,
        verdict: DomainVerdict | None,
    ) -> RoutedChoice:
        """Keep the default where predictions do not decide; else let a new model come in."""
        decides = self._predicts and not _is_outside(verdict)
        choice = choice if decides else self._kept(choice, verdict)
        if beside:
            choice = replace(choice, ranked=weigh((*choice.ranked, *beside), preference))
        new = {one.model for one in beside}
        return _with_new(choice, new) if new and decides else choice

    @property
    def _predicts(self) -> bool:
        return self.judgement is not None and self.judgement.standing is Standing.USED

    def _kept(self, choice: RoutedChoice, verdict: DomainVerdict | None) -> RoutedChoice:
        held = next((e for e in choice.ranked if e.model == choice.default), None)
        if held is None or not held.within_budget:
            held = next((e for e in choice.ranked if e.within_budget), None)
        if _is_outside(verdict):
            why = "Outside every domain past outcomes say little"
        else:
            assert self.judgement is not None
            why = f"Predictions do not decide: {self.judgement.reason}"
        return replace(
            choice,
            model=held.model if held else None,
            gain=0.0,
            uncertainty=0.0,
            reasons=(f"{why}.", *((held.reason,) if held else ())),
        )


def learn(material: Material, *, now: datetime) -> Policy:
    """Learn from outcomes and judge what was learned. Slow: some ten seconds for 8,000 queries."""
    started = time.perf_counter()
    heard = hear(material.outcomes, own=material.tenant)
    queries = _latest_queries(heard.outcomes)
    outcomes = [one for one in heard.outcomes if one.query in queries]
    measured = _measured(outcomes)
    made = Policy(
        tenant=material.tenant,
        version=material.version,
        router=None,
        guard=material.guard,
        judgement=None,
        measured=frozenset(measured),
        prices={m.name: c for m in material.models if (c := typical_cost_usd(m)) is not None},
        scales=Scales(None, None),
        default=material.default,
        drifts=(),
        heard=heard,
        queries=len(queries),
        learned_at=now,
        took_s=0.0,
    )
    if measured:
        made = _fitted(made, material, outcomes, list(queries), measured)
    return replace(made, took_s=time.perf_counter() - started)


def _fitted(
    made: Policy,
    material: Material,
    outcomes: Sequence[ModelOutcome],
    queries: Sequence[str],
    measured: Sequence[str],
) -> Policy:
    """Fit; where models have changed since, fit again without what they did before."""
    fitted = _fitted_once(made, material, outcomes, queries, measured)
    if not fitted.drifts:
        return fitted
    kept = since_drift(outcomes, fitted.drifts)
    asked = {one.query for one in kept}
    queries = [query for query in queries if query in asked]
    again = _fitted_once(made, material, kept, queries, measured)
    return replace(again, drifts=fitted.drifts, queries=len(queries))


def _fitted_once(
    made: Policy,
    material: Material,
    outcomes: Sequence[ModelOutcome],
    queries: Sequence[str],
    measured: Sequence[str],
) -> Policy:
    tested = {one.model for one in outcomes}
    names = (*measured, *_new_models(material.models, measured, tested))
    table = _table(outcomes, queries, names, material)
    router = Router.fit(table, profiles={m.name: profile_of(m) for m in material.models})
    held = router.predictor.held_out
    # A test is easier than use: it says what to expect of a model, not which is the best.
    in_use = np.array([name in measured for name in names])
    scores: Floats = np.where(in_use, held.scores, np.nan)
    times = _times(outcomes, queries)
    return replace(
        made,
        router=router,
        judgement=judge(names, held.predicted, scores, default=material.default),
        scales=_scales(table, made.prices, measured),
        drifts=find_drift(names, held.predicted, held.scores, times),
    )


def _measured(outcomes: Sequence[ModelOutcome]) -> list[str]:
    """Name the models that were scored in use; where none was, those that took a test."""
    scored = [one for one in outcomes if one.score is not None]
    used = [one for one in scored if one.source is not RatingSource.APTITUDE]
    return list(dict.fromkeys(one.model for one in used or scored))


def _table(
    outcomes: Sequence[ModelOutcome],
    queries: Sequence[str],
    names: Sequence[str],
    material: Material,
) -> OutcomeTable:
    known = set(names)
    observations = (
        _observation(one, own=material.tenant) for one in outcomes if one.model in known
    )
    rows = np.stack([material.vectors[query] for query in queries])
    return OutcomeTable.of(observations, queries=queries, vectors=rows, models=names)


def _observation(one: ModelOutcome, *, own: str) -> Observation:
    """Take an outcome; what others only say of cost and time is not believed: it is measured."""
    if one.source is RatingSource.FEEDBACK and one.principal != own:
        return Observation(one.query, one.model, one.score)
    return Observation(one.query, one.model, one.score, one.cost_usd, one.latency_ms)


def _latest_queries(outcomes: Sequence[ModelOutcome]) -> dict[str, None]:
    latest = dict.fromkeys(one.query for one in reversed(outcomes))
    kept = list(latest)[:MOST_QUERIES]
    return dict.fromkeys(sorted(kept))


def _new_models(
    models: Sequence[Model], measured: Collection[str], tested: Collection[str]
) -> list[str]:
    """Name the new that are looked at: those that took a test, then, of many, what is served."""
    known = set(measured)
    new = [model for model in models if model.name not in known]
    served = [m for m in new if any(offer.callable for offer in m.offers)]
    chosen = new if len(new) <= MOST_NEW else served
    names = {model.name for model in chosen} | {m.name for m in new if m.name in tested}
    return sorted(names, key=lambda name: (name not in tested, name))[:MOST_NEW]


def _times(outcomes: Sequence[ModelOutcome], queries: Sequence[str]) -> list[datetime]:
    latest: dict[str, datetime] = {}
    for one in outcomes:
        latest[one.query] = max(one.at, latest.get(one.query, one.at))
    return [latest[query] for query in queries]


def _scales(table: OutcomeTable, prices: Mapping[str, float], measured: Sequence[str]) -> Scales:
    costs = _largest_mean(table.costs_usd)
    if costs is None:
        costs = max((prices[name] for name in measured if name in prices), default=None)
    latency = _largest_mean(table.latencies_ms)
    return Scales(costs or None, None if latency is None else latency / 1e3)


def _largest_mean(values: np.ndarray) -> float | None:
    known = ~np.isnan(values)
    counts = known.sum(axis=0)
    if not counts.any():
        return None
    sums = np.where(known, values, 0.0).sum(axis=0)
    return float((sums[counts > 0] / counts[counts > 0]).max())


def _with_new(choice: RoutedChoice, new: Collection[str]) -> RoutedChoice:
    """Let a new model take the place where its gain exceeds what is not known of it."""
    best = next((one for one in choice.ranked if one.within_budget), None)
    if best is None or best.model not in new:
        return choice
    if choice.model is None:
        return replace(choice, model=best.model, reasons=(*choice.reasons, best.reason))
    against = choose(choice.ranked, default=choice.model, margin=_NO_MARGIN)
    return replace(choice, model=against.model, reasons=(*choice.reasons, against.reasons[0]))


def _is_outside(verdict: DomainVerdict | None) -> bool:
    return verdict is not None and verdict.domain is None


def _guarded(verdict: DomainVerdict | None) -> Routing:
    said = RoutedChoice(model=None, default=None, gain=0.0, uncertainty=0.0, reasons=(), ranked=())
    return Routing(domain=verdict, choice=said, margin=_NO_MARGIN)
