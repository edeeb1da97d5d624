"""Candidates by column in, ranked choices with reasons out. Pure: no registry, no index.

Hard limits first, then one choice a model at its best offer; with what is expected of its quality
where outcomes of the past say anything. Imported late: numpy is slow to import.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from toolcrib_registry.types import Known

from .candidate import Candidate
from .choices import NO_LIMITS, Choice, Objective, Selection
from .columns import Columns, Exclusions, Floats, Integers, Sieve, sieve
from .constraint import Constraints, limits_of
from .routing.choice import Expectation
from .routing.router import Routing

_TYPICAL_TOKENS_IN: Final = 750_000
_TYPICAL_TOKENS_OUT: Final = 250_000
"""What a call is taken to be when its size is not given: three parts sent, one received."""


def choose_from(
    columns: Columns,
    constraints: Constraints = NO_LIMITS,
    *,
    relevance: Floats | None = None,
    objective: Objective = Objective.RELEVANCE,
    k: int | None = None,
    first: Sequence[str] = (),
) -> Selection:
    """Drop candidates that fail a limit, rank the rest, and give the ``k`` best models.

    ``relevance`` is of each candidate; without it, its own. Ties go to the cheaper, then by name.
    Models named in ``first`` come before all others, in that order.

    Raises:
        InvalidInput: A limit makes no sense by itself.
    """
    constraints.check()
    limits = limits_of(constraints)
    relevant = columns.relevance if relevance is None else relevance
    kept = sieve(columns, limits)
    ranked = _ranked(columns, kept.passed, relevant, objective, constraints)
    ranked = _brought_forward(columns, ranked, first) if first else ranked
    return Selection(
        choices=tuple(_choices(columns, ranked, relevant, objective, constraints, k=k)),
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
    constraints: Constraints,
) -> Integers:
    """Order rows: the last key of `lexsort` counts first."""
    cost = columns.costs(*_size(constraints))[rows]
    cost = np.where(np.isnan(cost), np.inf, cost)
    names, irrelevance = columns.by_name[rows], -relevance[rows]
    match objective:
        case Objective.RELEVANCE:
            keys = (names, cost, irrelevance)
        case Objective.COST:
            keys = (names, irrelevance, cost)
        case Objective.CONTEXT:
            context = columns.numbers("context_tokens", _context)[rows]
            keys = (names, cost, irrelevance, np.where(np.isnan(context), 1, -context))
    return rows[np.lexsort(keys)]


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
    k: int | None,
) -> Iterator[Choice]:
    codes = columns.model_codes[ranked]
    _, first = np.unique(codes, return_index=True)
    for place in np.sort(first)[:k].tolist():
        best, *others = (columns.take(int(row), relevance) for row in ranked[codes == codes[place]])
        yield Choice(
            candidate=best,
            reasons=tuple(_reasons(best, len(others), objective, constraints)),
            alternatives=tuple(others),
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
        yield (
            f"No offer meets every limit: {len(columns)} offers of {len(columns.model_names)} "
            f"models were excluded, by {fields}."
        )
    if not len(kept.passed) and kept.alone:
        field, count = next(iter(kept.alone.items()))
        yield f"Without the limit on {field}, {count} of them would have passed."
