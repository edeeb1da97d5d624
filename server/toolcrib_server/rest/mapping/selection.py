"""A selection from the wire, and its choices to wire models."""

from __future__ import annotations

from typing import Any

from toolcrib_registry import wire
from toolcrib_server.selection.constraint import Ability, Constraints, Exclusion
from toolcrib_server.selection.models import Choice, Selection

from .entries import offer_out
from .routing import expectation_out, forecast_out, routing_out
from .search import DECIMALS


def constraints_from(given: wire.ConstraintsIn) -> Constraints:
    """Build constraints."""
    sets = {"modalities_in", "modalities_out", "licenses", "regions", "providers"}
    values: dict[str, Any] = {name: getattr(given, name) for name in type(given).model_fields}
    for name in (*sets, "without_providers"):
        values[name] = None if values[name] is None else frozenset(values[name])
    values["abilities"] = frozenset(Ability(word) for word in given.abilities)
    return Constraints(**values)


def selection_out(selection: Selection, *, max_exclusions: int) -> wire.SelectResults:
    """Show a selection with the first of its exclusions."""
    return wire.SelectResults(
        choices=[_choice_out(choice) for choice in selection.choices],
        exclusions=[_exclusion_out(e) for e in selection.exclusions[:max_exclusions]],
        excluded_by=dict(selection.excluded_by),
        considered=selection.considered,
        passed=selection.passed,
        notes=list(selection.notes),
        revision=selection.revision,
        routing=routing_out(selection),
    )


def _choice_out(choice: Choice) -> wire.ChoiceOut:
    candidate = choice.candidate
    return wire.ChoiceOut(
        model=candidate.model.name,
        title=candidate.model.title,
        relevance=round(candidate.relevance, DECIMALS),
        offer=offer_out(offer) if (offer := candidate.known_offer) else None,
        alternatives=[other.provider for other in choice.alternatives if other.provider],
        reasons=list(choice.reasons),
        expected=expectation_out(choice.expected) if choice.expected else None,
        forecast=forecast_out(choice.forecast) if choice.forecast else None,
    )


def _exclusion_out(exclusion: Exclusion) -> wire.ExclusionOut:
    return wire.ExclusionOut(
        model=exclusion.candidate.model.name,
        provider=exclusion.candidate.provider,
        violations=[
            wire.ViolationOut(
                field=v.field, value=v.value, bound=v.bound, source=v.source, as_of=v.as_of
            )
            for v in exclusion.violations
        ],
        reason=str(exclusion),
    )
