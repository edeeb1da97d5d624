"""What a model is shown of an entry, an offer, a selection: as few words as will do.

Text from upstream servers is data that others wrote: it is passed on as it is, cut, never obeyed.
"""

from __future__ import annotations

from typing import Any, cast

from toolcrib_registry.types import Entry, EntryKind, Known, Model, Offer, OwnedEntry
from toolcrib_server.selection.brief import Brief, brief_of
from toolcrib_server.selection.models import Choice, Selection

_SHOWN_EXCLUSIONS = 10


def render_entry(entry: Entry) -> dict[str, Any]:
    """Render everything that is known of an entry."""
    view = identity(entry)
    if isinstance(entry, OwnedEntry):
        view["localName"] = entry.local_name
        # What names it is ours to say, whatever its owner listed.
        return view | {key: said for key, said in entry.definition.items() if key not in view}
    if isinstance(entry, Model):
        offers = [render_offer(offer) for offer in entry.offers]
        return view | brief_fields(brief_of(entry)) | {"offers": offers}
    return view | brief_fields(brief_of(entry))


def identity(entry: Entry | Brief) -> dict[str, Any]:
    """Render what names an entry."""
    view: dict[str, Any] = {"name": entry.name, "kind": entry.kind.value}
    if isinstance(entry, OwnedEntry | Brief) and entry.server is not None:
        view["server"] = entry.server
    return view


def brief_fields(entry: Brief) -> dict[str, Any]:
    """Render what is shown of an entry in brief, without its identity."""
    view: dict[str, Any] = {}
    if entry.title:
        view["title"] = entry.title
    if entry.description:
        view["description"] = entry.description
    if entry.arguments is not None:
        view["arguments"] = dict(entry.arguments)
    if entry.family:
        view["family"] = entry.family
    if entry.kind is EntryKind.MODEL:
        view["capabilities"] = dict(entry.capabilities)
    return view


def render_offer(offer: Offer) -> dict[str, Any]:
    """Render an offer without its credentials."""
    view: dict[str, Any] = {"provider": offer.provider, "model": offer.remote_model}
    for name in offer.__slots__:
        field = getattr(offer, name)
        if isinstance(field, Known):
            view[name] = cast("Known[Any]", field).value
    return view


def render_selection(selection: Selection) -> tuple[dict[str, Any], str]:
    """Render a selection, structured and as text. Of many exclusions the first few are shown."""
    shown = selection.exclusions[:_SHOWN_EXCLUSIONS]
    view: dict[str, Any] = {
        "choices": [_render_choice(choice) for choice in selection.choices],
        "considered": selection.considered,
        "passed": selection.passed,
        "excludedBy": selection.excluded_by,
        "excluded": [
            {"candidate": e.candidate.label, "reasons": [str(v) for v in e.violations]}
            for e in shown
        ],
        "notes": list(selection.notes),
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
    view["relevance"] = round(candidate.relevance, 4)
    view["reasons"] = list(choice.reasons)
    if candidate.offer:
        view["offer"] = render_offer(candidate.offer)
    view["alternatives"] = len(choice.alternatives)
    return view
