"""What a model is shown of an entry: as few words as will do, at three levels of detail.

Text from upstream servers is data that others wrote: it is passed on as it is, cut, never obeyed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, cast

from toolcrib_registry.types import Entry, JsonObject, Known, Model, Offer, OwnedEntry, Tool
from toolcrib_server.selection.models import Choice, Selection
from toolcrib_server.selection.selector import Answer, Found

_BRIEF_CHARS = 300
_MAX_ARGUMENTS = 20
_SHOWN_EXCLUSIONS = 10


class Detail(StrEnum):
    """How much to say of each result."""

    NAME = "name"
    BRIEF = "brief"
    FULL = "full"


def render_answer(
    answer: Answer,
    detail: Detail,
    *,
    max_tokens: int | None = None,
    count_tokens: Callable[[str], int],
) -> dict[str, Any]:
    """Render a ranked answer; results beyond ``max_tokens`` are left out, and counted."""
    results = [render_found(found, detail) for found in answer.found]
    kept = _within(results, max_tokens, count_tokens)
    view: dict[str, Any] = {
        "results": kept,
        "searched": answer.searched,
        "revision": answer.revision,
    }
    if len(kept) < len(results):
        view["omitted"] = len(results) - len(kept)
    return view


def _within(
    results: list[dict[str, Any]], max_tokens: int | None, count_tokens: Callable[[str], int]
) -> list[dict[str, Any]]:
    if max_tokens is None:
        return results
    kept: list[dict[str, Any]] = []
    spent = 0
    for result in results:
        # Structured and text forms both reach the model in some hosts: each is paid for.
        spent += count_tokens(json.dumps(result, ensure_ascii=False)) + count_tokens(_line(result))
        if spent > max_tokens:
            break
        kept.append(result)
    return kept


def render_found(found: Found, detail: Detail) -> dict[str, Any]:
    """Render one result at a level of detail."""
    view = _identity(found.entry)
    if detail is Detail.NAME:
        return view
    view |= _brief(found.entry) if detail is Detail.BRIEF else render_entry(found.entry)
    view["score"] = round(found.score, 4)
    view["signals"] = {
        name: {"rank": signal.rank, "score": round(signal.score, 4)}
        for name, signal in found.signals.items()
    }
    return view


def render_entry(entry: Entry) -> dict[str, Any]:
    """Render everything that is known of an entry."""
    view = _identity(entry)
    if isinstance(entry, OwnedEntry):
        own = {key: value for key, value in entry.definition.items() if key != "name"}
        return view | {"localName": entry.local_name} | own
    if isinstance(entry, Model):
        return view | _brief(entry) | {"offers": [render_offer(offer) for offer in entry.offers]}
    return view | _brief(entry)


def render_text(view: Mapping[str, Any]) -> str:
    """Put a rendered answer into a short readable text."""
    results = cast("Sequence[Mapping[str, Any]]", view["results"])
    if not results:
        return f"Nothing fits among {view['searched']} entries. Try other words, or fewer filters."
    lines = [f"{i}. {_line(result)}" for i, result in enumerate(results, start=1)]
    if view.get("omitted"):
        lines.append(f"({view['omitted']} more left out to keep within max_tokens.)")
    return "\n".join([*lines, "Run one with call_tool(name, arguments)."])


def _line(result: Mapping[str, Any]) -> str:
    arguments = cast("Mapping[str, Any]", result.get("arguments") or {})
    signature = ", ".join(f"{name}: {kind}" for name, kind in arguments.items())
    call = f"{result['name']}({signature})" if result["kind"] == "tool" else str(result["name"])
    description = result.get("description")
    return f"{call}: {description}" if description else call


def _identity(entry: Entry) -> dict[str, Any]:
    view: dict[str, Any] = {"name": entry.name, "kind": entry.kind.value}
    if isinstance(entry, OwnedEntry):
        view["server"] = entry.server
    return view


def _brief(entry: Entry) -> dict[str, Any]:
    view: dict[str, Any] = {}
    if entry.title:
        view["title"] = entry.title
    if entry.description:
        view["description"] = _cut(entry.description)
    if isinstance(entry, Tool):
        view["arguments"] = signature_of(entry.input_schema)
    if isinstance(entry, Model):
        view |= render_model(entry)
    return view


def signature_of(schema: JsonObject) -> dict[str, str]:
    """Name each argument with its type; an optional one ends in ``?``."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    required = schema.get("required")
    needed = set(cast("list[str]", required)) if isinstance(required, list) else set[str]()
    signature: dict[str, str] = {}
    for name, field in cast("Mapping[str, Any]", properties).items():
        if len(signature) == _MAX_ARGUMENTS:
            break
        signature[name] = _type_of(field) + ("" if name in needed else "?")
    return signature


def _type_of(field: object) -> str:
    if not isinstance(field, Mapping):
        return "any"
    field = cast("Mapping[str, Any]", field)
    if isinstance(field.get("enum"), list) and len(field["enum"]) <= 6:  # noqa: PLR2004
        return "|".join(json.dumps(value) for value in field["enum"])
    kind = field.get("type")
    if isinstance(kind, list):
        return "|".join(str(k) for k in cast("list[object]", kind))
    return kind if isinstance(kind, str) else "any"


def render_model(model: Model) -> dict[str, Any]:
    """Render what is known of a model; unknown fields are left out."""
    descriptor = model.descriptor
    known: dict[str, Any] = {}
    for name in descriptor.__slots__:
        field = getattr(descriptor, name)
        if isinstance(field, Known):
            known[name] = cast("Known[Any]", field).value
    return (
        {"family": model.family, "capabilities": known} if model.family else {"capabilities": known}
    )


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
    view = _identity(candidate.model) | _brief(candidate.model)
    view["relevance"] = round(candidate.relevance, 4)
    view["reasons"] = list(choice.reasons)
    if candidate.offer:
        view["offer"] = render_offer(candidate.offer)
    view["alternatives"] = len(choice.alternatives)
    return view


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _BRIEF_CHARS else text[: _BRIEF_CHARS - 1] + "…"
