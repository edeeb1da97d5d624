"""Candidates by column in, ranked choices with reasons out. Pure: no registry, no index.

Hard limits first, then one choice a model at its best offer; with what is expected of its quality
where outcomes of the past say anything. Imported late: numpy is slow to import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from toolcrib_registry.types import Known

from .candidate import Candidate
from .choices import NO_LIMITS, Choice, Objective, Selection
from .columns import Booleans, Columns, Exclusions, Floats, Integers, Sieve, sieve
from .constraint import Constraints, limits_of
from .forecast import Forecast, Outlook
from .length import Length
from .routing.choice import Expectation, Preference, utilities
from .routing.router import Routing

_TYPICAL_TOKENS_IN: Final = 750_000
_TYPICAL_TOKENS_OUT: Final = 250_000
"""What a call is taken to be when its size is not given: three parts sent, one received."""

Prefer = Callable[[float | None, float | None], Preference]
"""Says what a score is worth, given the dearest and the slowest call of all, in USD and seconds."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a call of one length is expected to cost and take at each offer."""

    outlook: Outlook
    length: Length
    forecast: Forecast

    @classmethod
    def of(cls, outlook: Outlook, length: Length) -> Prospect:
        """Work it out."""
        return cls(outlook, length, outlook.at(length))


def choose_from(
    columns: Columns,
    constraints: Constraints = NO_LIMITS,
    *,
    relevance: Floats | None = None,
    objective: Objective = Objective.RELEVANCE,
    k: int | None = None,
    first: Sequence[str] = (),
    prospect: Prospect | None = None,
    prefer: Prefer | None = None,
) -> Selection:
    """Drop candidates that fail a limit, rank the rest, and give the ``k`` best models.

    ``relevance`` is of each candidate; without it, its own. Ties go to the cheaper, then by name.
    Models named in ``first`` come before all others, in that order. ``prospect`` is what calls let
    expect; with it, ``prefer`` weighs relevance against cost and latency.

    Raises:
        InvalidInput: A limit makes no sense by itself.
    """
    constraints.check()
    limits = limits_of(constraints)
    relevant = columns.relevance if relevance is None else relevance
    kept = sieve(columns, limits)
    if prospect is None:
        prospect = Prospect.of(Outlook(columns), Length.of("", constraints))
    ranked = _ranked(columns, kept.passed, relevant, objective, prospect=prospect, prefer=prefer)
    ranked = _brought_forward(columns, ranked, first) if first else ranked
    return Selection(
        choices=tuple(
            _choices(columns, ranked, relevant, objective, constraints, prospect=prospect, k=k)
        ),
        exclusions=Exclusions(columns, kept.excluded, limits, relevant),
        considered=len(columns),
        passed=len(kept.passed),
        excluded_by=kept.by_field,
        notes=tuple(_notes(columns, kept, constraints)),
    )


def explain(selection: Selection, routing: Routing) -> Selection:
    """Add to a selection what is expected of each choice, and what that comes to."""
    expected = {one.model: one for one in routing.choice.ranked}
    choices = tuple(
        _explained(choice, found, routing)
        if (found := expected.get(choice.candidate.model.name))
        else choice
        for choice in selection.choices
    )
    return replace(selection, choices=choices, routing=routing)


def _explained(choice: Choice, expected: Expectation, routing: Routing) -> Choice:
    is_chosen = expected.model == routing.choice.model
    said = routing.choice.reasons if is_chosen else (expected.reason,)
    # What its relevance ranked it is no reason any more: it was not ranked by that.
    return replace(choice, expected=expected, reasons=(*said, *choice.reasons[1:]))


def _ranked(
    columns: Columns,
    rows: Integers,
    relevance: Floats,
    objective: Objective,
    *,
    prospect: Prospect,
    prefer: Prefer | None,
) -> Integers:
    """Order rows: the last key of `lexsort` counts first."""
    outlook = prospect.outlook
    cost = _last_where_unknown(prospect.forecast.cost_usd[rows])
    latency = _last_where_unknown(prospect.forecast.latency_ms[rows])
    # Who surely fails so often is the less worth asking.
    relevant = relevance[rows] - np.abs(relevance[rows]) * outlook.surely_failing[rows]
    names, unreliable = columns.by_name[rows], outlook.unreliable[rows]
    match objective:
        case Objective.RELEVANCE if prefer is not None:
            within, utility = _weighed(relevant, cost, latency, prefer)
            keys = (names, latency, cost, -utility, ~within)
        case Objective.RELEVANCE:
            keys = (names, latency, cost, -relevant)
        case Objective.COST:
            keys = (names, latency, -relevant, cost, np.isinf(cost) * 2 + unreliable)
        case Objective.LATENCY:
            keys = (names, cost, -relevant, latency, np.isinf(latency) * 2 + unreliable)
        case Objective.CONTEXT:
            context = columns.numbers("context_tokens", _context)[rows]
            known = np.where(np.isnan(context), 1, -context)
            keys = (names, latency, cost, -relevant, known)
    return rows[np.lexsort(keys)]


def _weighed(
    relevant: Floats, cost: Floats, latency: Floats, prefer: Prefer
) -> tuple[Booleans, Floats]:
    """Weigh relevance, in the place of a quality that nobody knows; mark what is in the budget."""
    cost = np.where(np.isinf(cost), np.nan, cost)
    latency = np.where(np.isinf(latency), np.nan, latency)
    dearest, slowest = _largest(cost), _largest(latency)
    preference = prefer(dearest, None if slowest is None else slowest / 1e3)
    within: Booleans = np.ones(len(relevant), dtype=np.bool_)
    for most, values in (
        (preference.max_cost_usd, cost),
        (preference.max_latency_ms, latency),
    ):
        if most is not None:
            within &= values <= most  # an unknown one is beyond every budget
    top = float(np.max(relevant, initial=0.0)) or 1.0
    return within, utilities(relevant / top, cost, latency, preference)


def _largest(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else None


def _last_where_unknown(values: Floats) -> Floats:
    return np.where(np.isnan(values), np.inf, values)


def order_of(routing: Routing) -> tuple[str, ...]:
    """Name the models that a routing ranked, its choice first."""
    ranked = [one.model for one in routing.choice.ranked]
    chosen = (routing.choice.model,) if routing.choice.model else ()
    return tuple(dict.fromkeys((*chosen, *ranked)))


def _brought_forward(columns: Columns, ranked: Integers, first: Sequence[str]) -> Integers:
    places = {name: place for place, name in enumerate(first)}
    by_model = np.array([places.get(name, len(places)) for name in columns.model_names])
    return ranked[np.argsort(by_model[columns.model_codes[ranked]], kind="stable")]


def _choices(
    columns: Columns,
    ranked: Integers,
    relevance: Floats,
    objective: Objective,
    constraints: Constraints,
    *,
    prospect: Prospect,
    k: int | None,
) -> Iterator[Choice]:
    codes = columns.model_codes[ranked]
    _, first = np.unique(codes, return_index=True)
    for place in np.sort(first)[:k].tolist():
        rows = ranked[codes == codes[place]].tolist()
        best, *others = (columns.take(row, relevance) for row in rows)
        forecast = prospect.outlook.expected(rows[0], prospect.length, prospect.forecast)
        reasons = [*_reasons(best, len(others), objective, constraints)]
        if best.figures is not None:
            reasons.append(forecast.reason)
        yield Choice(
            candidate=best,
            reasons=tuple(reasons),
            alternatives=tuple(others),
            forecast=forecast,
        )


def _size(constraints: Constraints) -> tuple[int, int]:
    """Tell the call whose cost ranks: the one that is named, or a typical million tokens."""
    if constraints.tokens_in is not None or constraints.tokens_out is not None:
        return constraints.tokens_in or 0, constraints.tokens_out or 0
    return _TYPICAL_TOKENS_IN, _TYPICAL_TOKENS_OUT


def _context(candidate: Candidate) -> Known[int] | None:
    return candidate.context_tokens


def _reasons(
    best: Candidate, others: int, objective: Objective, constraints: Constraints
) -> Iterator[str]:
    yield f"Ranked by {objective}; relevance {best.relevance:.3f}."
    if not constraints.is_empty:
        yield "Meets every limit."
    yield _cost_reason(best, constraints)
    if others:
        yield f"Ranks before {others} other offer{'s' if others > 1 else ''} of the same model."
    if best.offer and best.offer.status:
        status = best.offer.status
        yield f"Its status is {status.value} ({status.source}, {status.as_of})."


def _cost_reason(best: Candidate, constraints: Constraints) -> str:
    tokens_in, tokens_out = _size(constraints)
    cost = best.cost_usd(tokens_in=tokens_in, tokens_out=tokens_out)
    if cost is None:
        return "Its price is unknown."
    sent, received = constraints.tokens_in, constraints.tokens_out
    if sent is not None or received is not None:
        size = f"a call of {sent or 0} tokens in and {received or 0} out"
    else:
        size = "a million tokens, three in to one out"
    return f"Costs {cost.value:g} USD for {size} ({cost.source}, {cost.as_of})."


def _notes(columns: Columns, kept: Sieve, constraints: Constraints) -> Iterator[str]:
    yield from constraints.contradictions()
    if not len(columns):
        yield "No model is registered and enabled."
    elif constraints.is_empty:
        yield "No limit was set: every model that is registered and enabled was ranked."
    elif not len(kept.passed):
        fields = ", ".join(f"{field} ({n})" for field, n in kept.by_field.items())
        yield f"{_all_of(columns)} excluded, by {fields}."
    if not len(kept.passed) and kept.alone:
        field, count = next(iter(kept.alone.items()))
        which = f"{count} of them" if len(columns) > 1 else "it"
        yield f"Without the limit on {field}, {which} would have passed."


def _all_of(columns: Columns) -> str:
    offers, models = len(columns), len(columns.model_names)
    if offers == 1:
        return "The only offer was"
    return f"All {offers} offers of {models} model{'s' if models > 1 else ''} were"
