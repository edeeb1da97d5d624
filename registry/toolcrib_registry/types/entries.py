"""Entries: tools, prompts and resources that servers own, and models, which nobody owns."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar

from .facts import Known, ModelDescriptor, Offer, ToolDescriptor
from .names import EntryId, EntryKind, JsonObject, Revision, ServerName, entry_id


class Trust(StrEnum):
    """Whether an entry may be used as it stands."""

    TRUSTED = "trusted"
    MARKED = "marked"
    """It may, and something about it wants a look."""
    QUARANTINED = "quarantined"
    """It is neither found nor callable until somebody approves it."""


class MarkReason(StrEnum):
    """Why an entry wants a look."""

    ADDED = "added"
    """Its server had been listed before, without it."""
    CHANGED = "changed"
    """It is not what was pinned."""
    DESTRUCTIVE = "destructive"
    """It was read-only, and may now destroy."""
    RENAMED = "renamed"
    SHADOWS = "shadows"
    """It imitates, or speaks for, an entry of another server."""
    INJECTION = "injection"
    """It gives orders to whoever reads it."""
    HIDDEN_TEXT = "hidden-text"
    LOOKALIKE = "lookalike"
    """Its name looks like another's and is not."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing to look at, in a sentence. What is hidden in a text is shown escaped."""

    reason: MarkReason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What every entry of the registry has. ``name`` is unique within its kind."""

    kind: ClassVar[EntryKind]

    name: str
    title: str | None = None
    description: str = ""
    tags: tuple[str, ...] = ()
    enabled: bool = True
    content_hash: str = ""
    """Of everything its owner said about it; see `hash_content`."""
    source_id: str | None = None
    """The id it had in the file it was imported from."""
    revision: Revision = Revision(0)
    """The change that last touched it."""
    added_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def id(self) -> EntryId:
        """Its id over all kinds."""
        return entry_id(self.kind, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedEntry(Entry):
    """An entry that an upstream server owns, with the object the server listed, untouched."""

    server: ServerName
    local_name: str
    """Its name at its server (the URI or URI template, for a resource)."""
    definition: JsonObject
    trust: Trust = Trust.TRUSTED
    marks: tuple[Mark, ...] = ()
    pinned_hash: str = ""
    """The content hash of what was first listed or last approved; empty is its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool(OwnedEntry):
    """A tool of an upstream server."""

    kind: ClassVar[EntryKind] = EntryKind.TOOL

    @property
    def input_schema(self) -> JsonObject:
        """JSON Schema of its arguments, as listed; empty when none was."""
        return self.definition.get("inputSchema") or {}

    @property
    def output_schema(self) -> JsonObject | None:
        """JSON Schema of its structured result, when it declares one."""
        return self.definition.get("outputSchema")

    @property
    def descriptor(self) -> ToolDescriptor:
        """Its annotations, as a capability descriptor."""
        annotations: JsonObject = self.definition.get("annotations") or {}
        seen_at = self.updated_at or self.added_at
        as_of = seen_at.date() if seen_at else date.min

        def claim(key: str) -> Known[bool] | None:
            value = annotations.get(key)
            return Known(value, "annotations", as_of) if isinstance(value, bool) else None

        return ToolDescriptor(
            read_only=claim("readOnlyHint"),
            destructive=claim("destructiveHint"),
            idempotent=claim("idempotentHint"),
            open_world=claim("openWorldHint"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt(OwnedEntry):
    """A prompt of an upstream server."""

    kind: ClassVar[EntryKind] = EntryKind.PROMPT


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource(OwnedEntry):
    """A resource or resource template of an upstream server."""

    kind: ClassVar[EntryKind] = EntryKind.RESOURCE

    @property
    def is_template(self) -> bool:
        """Whether ``local_name`` is a URI template rather than a URI."""
        return "uriTemplate" in self.definition


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Entry):
    """A model, apart from the offers that serve it."""

    kind: ClassVar[EntryKind] = EntryKind.MODEL

    family: str | None = None
    descriptor: ModelDescriptor = field(default_factory=ModelDescriptor)
    offers: tuple[Offer, ...] = ()
