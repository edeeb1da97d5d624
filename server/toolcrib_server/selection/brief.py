"""An entry in brief: what an answer shows of it, small enough to keep all of them in memory.

About 1 KB each, against several for the object that its server listed. Knows no index and no store.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from toolcrib_registry.types import (
    Entry,
    EntryId,
    EntryKind,
    JsonObject,
    Known,
    MarkReason,
    Model,
    OwnedEntry,
    ServerName,
    Tool,
)

BRIEF_CHARS: Final = 300
MARKED: Final[Mapping[MarkReason, str]] = {
    MarkReason.ADDED: "it came after its server was first listed",
    MarkReason.CHANGED: "it changed since it was first listed or last approved",
    MarkReason.DESTRUCTIVE: "it was read-only, and may now write or destroy",
    MarkReason.RENAMED: "it was called something else",
    MarkReason.SHADOWS: "it resembles, or speaks for, a tool of another server",
    MarkReason.INJECTION: "its text gives orders to whoever reads it",
    MarkReason.HIDDEN_TEXT: "its text holds what cannot be seen",
    MarkReason.LOOKALIKE: "its name looks like another's",
}
"""What is said of a mark to a model: our words alone, for its detail may quote what it warns of."""
_MAX_ARGUMENTS: Final = 20
_MAX_ENUM: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """What an answer shows of an entry. ``description`` is one line, cut at 300 characters."""

    id: EntryId
    kind: EntryKind
    name: str
    title: str | None = None
    description: str = ""
    server: ServerName | None = None
    source_id: str | None = None
    tags: tuple[str, ...] = ()
    arguments: Mapping[str, str] | None = None
    """Of a tool: each argument with its type; an optional one's ends in ``?``."""
    family: str | None = None
    capabilities: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of a model: what is known of it."""
    marks: tuple[MarkReason, ...] = ()
    """Why it wants a look, if it does."""


def brief_of(entry: Entry) -> Brief:
    """Shorten an entry."""
    return Brief(
        id=entry.id,
        kind=entry.kind,
        name=entry.name,
        title=entry.title,
        description=shorten(entry.description),
        server=ServerName(sys.intern(entry.server)) if isinstance(entry, OwnedEntry) else None,
        source_id=entry.source_id,
        tags=tuple(map(sys.intern, entry.tags)),
        arguments=signature_of(entry.input_schema) if isinstance(entry, Tool) else None,
        family=entry.family if isinstance(entry, Model) else None,
        capabilities=_capabilities(entry) if isinstance(entry, Model) else _NOTHING,
        marks=reasons_of(entry),
    )


def reasons_of(entry: Entry) -> tuple[MarkReason, ...]:
    """Name why an entry wants a look, each reason once."""
    marks = entry.marks if isinstance(entry, OwnedEntry) else ()
    return tuple(dict.fromkeys(mark.reason for mark in marks))


def shorten(text: str) -> str:
    """Put a text on one line of at most 300 characters."""
    text = " ".join(text.split())
    return text if len(text) <= BRIEF_CHARS else text[: BRIEF_CHARS - 1] + "…"


def signature_of(schema: JsonObject) -> dict[str, str]:
    """Name each argument with its type; an optional one ends in ``?``."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    required = schema.get("required")
    needed = cast("list[object]", required) if isinstance(required, list) else []
    signature: dict[str, str] = {}
    for name, definition in cast("Mapping[str, Any]", properties).items():
        if len(signature) == _MAX_ARGUMENTS:
            break
        optional = "" if name in needed else "?"
        # Names and types recur over thousands of tools.
        signature[sys.intern(str(name))] = sys.intern(_type_of(definition) + optional)
    return signature


_NOTHING: Final[Mapping[str, Any]] = {}


def _type_of(definition: object) -> str:
    if not isinstance(definition, Mapping):
        return "any"
    definition = cast("Mapping[str, Any]", definition)
    values, kind = definition.get("enum"), definition.get("type")
    if isinstance(values, list) and len(cast("list[object]", values)) <= _MAX_ENUM:
        return "|".join(json.dumps(value) for value in cast("list[object]", values))
    if isinstance(kind, list):
        return "|".join(str(k) for k in cast("list[object]", kind))
    return kind if isinstance(kind, str) else "any"


def _capabilities(model: Model) -> dict[str, Any]:
    fields = ((name, getattr(model.descriptor, name)) for name in model.descriptor.__slots__)
    return {
        name: cast("Known[Any]", value).value for name, value in fields if isinstance(value, Known)
    }
