"""What a model is shown of an entry, an offer, a selection: as few words as will do.

Text from upstream servers is data that others wrote: it is passed on as it is, cut, never obeyed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from toolcrib_registry.errors import EntryGone, EntryQuarantined, NotFound
from toolcrib_registry.types import (
    Entry,
    EntryKind,
    JsonObject,
    Known,
    MarkReason,
    Model,
    ModelDescriptor,
    Offer,
    OwnedEntry,
    Trust,
)
from toolcrib_server.scan import reveal_all
from toolcrib_server.selection.brief import MARKED, Brief, brief_of, reasons_of
from toolcrib_server.selection.constraint import Exclusion
from toolcrib_server.selection.models import Choice, Selection

from .routings import render_expectation, render_forecast, routing_view
from .spelling import camel

_SHOWN_EXCLUSIONS = 10


def render_entry(entry: Entry) -> dict[str, Any]:
    """Render everything that is known of an entry."""
    view = identity(entry)
    if isinstance(entry, OwnedEntry):
        view |= {"localName": entry.local_name, **marks_view(reasons_of(entry))}
        said = cast("JsonObject", safe_to_show(entry.definition, reasons_of(entry)))
        # What names it is ours to say, whatever its owner listed.
        return view | {key: value for key, value in said.items() if key not in view}
    if isinstance(entry, Model):
        offers = [render_offer(offer) for offer in entry.offers]
        return view | brief_fields(brief_of(entry)) | sources_view(entry) | {"offers": offers}
    return view | brief_fields(brief_of(entry))


def released(entry: Entry) -> Entry:
    """Give an entry that may be shown to a model.

    Raises:
        EntryQuarantined: It may not, until somebody approves it.
    """
    if isinstance(entry, OwnedEntry) and entry.trust is Trust.QUARANTINED:
        raise EntryQuarantined(entry.name, [MARKED[reason] for reason in reasons_of(entry)])
    return entry


def render_missing(error: NotFound) -> dict[str, Any]:
    """Render why there is no entry of a name, and what there is instead."""
    view: dict[str, Any] = {"name": error.name, "near": list(error.near)}
    if isinstance(error, EntryGone):
        view |= {"removedAt": error.removed_at.isoformat(), "replacedBy": error.replaced_by}
    return view


def identity(entry: Entry | Brief) -> dict[str, Any]:
    """Render what names an entry."""
    view: dict[str, Any] = {"name": entry.name, "kind": entry.kind.value}
    if isinstance(entry, OwnedEntry | Brief) and entry.server is not None:
        view["server"] = entry.server
    return view


def marks_view(reasons: Sequence[MarkReason]) -> dict[str, Any]:
    """Say why an entry wants a look, in our words: a mark's detail may quote what it warns of."""
    return {"marked": [MARKED[reason] for reason in reasons]} if reasons else {}


def safe_to_show(said: Any, reasons: Sequence[MarkReason]) -> Any:
    """Take out what cannot be seen, of an entry that is marked for it; leave any other as it is."""
    return reveal_all(said) if MarkReason.HIDDEN_TEXT in reasons else said


def brief_fields(entry: Brief) -> dict[str, Any]:
    """Render what is shown of an entry in brief, without its identity."""
    view = marks_view(entry.marks)
    if entry.title:
        view["title"] = safe_to_show(entry.title, entry.marks)
    if entry.description:
        view["description"] = safe_to_show(entry.description, entry.marks)
    if entry.arguments is not None:
        view["arguments"] = safe_to_show(dict(entry.arguments), entry.marks)
    if entry.family:
        view["family"] = entry.family
    if entry.kind is EntryKind.MODEL:
        view["capabilities"] = camel(entry.capabilities)
    return view


def render_offer(offer: Offer) -> dict[str, Any]:
    """Render an offer without its credentials."""
    view: dict[str, Any] = {"provider": offer.provider, "remoteModel": offer.remote_model}
    for name in offer.__slots__:
        field = getattr(offer, name)
        if isinstance(field, Known):
            view[name] = cast("Known[Any]", field).value
    if disputed := _disputed(offer):
        view["disputed"] = disputed
    return camel(view)


def sources_view(model: Model) -> dict[str, Any]:
    """Show what was published of a model's quality, and where sources differ, with each source."""
    view: dict[str, Any] = {}
    if model.descriptor.evaluations:
        view["evaluations"] = [
            {"benchmark": e.benchmark, "metric": e.metric, "score": e.score, "source": e.source}
            | ({"version": e.version} if e.version else {})
            | {"asOf": e.as_of.isoformat()}
            for e in model.descriptor.evaluations
        ]
    if disputed := _disputed(model.descriptor):
        view["disputed"] = disputed
    return view


def _disputed(record: ModelDescriptor | Offer) -> dict[str, Any]:
    """Show every word on a field that sources differ on, the one that holds first."""
    return camel(
        {
            name: [_said(known) for known in (getattr(record, name), *others)]
            for name, others in record.disputed.items()
        }
    )


def _said(known: Known[Any]) -> dict[str, Any]:
    return {"value": known.value, "source": known.source, "asOf": known.as_of.isoformat()}


def render_selection(selection: Selection) -> tuple[dict[str, Any], str]:
    """Render a selection, structured and as text. Of many exclusions the first few are shown."""
    shown = selection.exclusions[:_SHOWN_EXCLUSIONS]
    view: dict[str, Any] = {
        "choices": [_render_choice(choice) for choice in selection.choices],
        "considered": selection.considered,
        "passed": selection.passed,
        "excludedBy": selection.excluded_by,
        "exclusions": [_render_exclusion(each) for each in shown],
        "notes": list(selection.notes),
        **routing_view(selection),
    }
    lines = [
        f"{i}. {choice.candidate.label}: {' '.join(choice.reasons)}"
        for i, choice in enumerate(selection.choices, start=1)
    ]
    if not lines and selection.considered:
        lines = ["No model meets every limit.", *(f"- {exclusion}" for exclusion in shown)]
    return view, "\n".join([*lines, *selection.notes])


def _render_choice(choice: Choice) -> dict[str, Any]:
    candidate = choice.candidate
    view = identity(candidate.model) | brief_fields(brief_of(candidate.model))
    view["model"] = candidate.model.name
    view["relevance"] = round(candidate.relevance, 4)
    view["reasons"] = list(choice.reasons)
    if offer := candidate.known_offer:
        view["offer"] = render_offer(offer)
    view["alternatives"] = [other.provider for other in choice.alternatives if other.provider]
    if choice.expected:
        view["expected"] = render_expectation(choice.expected)
    if choice.forecast:
        view["forecast"] = render_forecast(choice.forecast)
    return view


def _render_exclusion(exclusion: Exclusion) -> dict[str, Any]:
    """Render why an offer is out, by the names that REST has; each reason is a sentence."""
    return {
        "model": exclusion.candidate.model.name,
        "provider": exclusion.candidate.provider,
        "reasons": [str(violation) for violation in exclusion.violations],
    }
