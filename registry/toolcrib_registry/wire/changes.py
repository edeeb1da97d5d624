"""The change log on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from toolcrib_registry.types import ChangeAction

from .entries import MarkOut
from .shapes import WireOut


class PieceOut(WireOut):
    """Some words in a row of a text that changed. What cannot be seen is escaped in ``text``."""

    fate: Literal["kept", "removed", "added"]
    text: str


class EditOut(WireOut):
    """One difference between what was said before and after, by its path."""

    path: str
    kind: Literal["added", "removed", "changed", "reworded", "members", "reordered", "more"]
    text: str
    """It in one line, for people: ``inputSchema.properties.limit: type integer -> string``."""
    words: list[PieceOut] | None = None
    """Of a text: what became of its words, with a few around each change."""
    gained: list[str] | None = None
    """Of a list of words, as ``required``: what it has now and had not."""
    lost: list[str] | None = None


class ChangeOut(WireOut):
    """One committed change."""

    revision: int
    at: datetime
    actor: str
    action: ChangeAction
    subject: str
    server: str | None = None
    fields: list[str] = []
    related: str | None = None
    """What replaced it, or what it replaces, when it was renamed."""
    marks: list[MarkOut] = []
    diff: list[EditOut] | None = None
    """How before and after differ, where that was asked for; at most 200 places."""
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


class ChangesOut(WireOut):
    """Changes after a revision, oldest first. Ask on from ``next`` until ``items`` is empty."""

    items: list[ChangeOut]
    next: int


class RevisionOut(WireOut):
    """An entry as one of its own revisions left it."""

    revision: int
    at: datetime
    actor: str
    action: ChangeAction
    subject: str
    server: str | None = None
    fields: list[str] = []
    related: str | None = None
    marks: list[MarkOut] = []
    diff: list[EditOut] | None = None
    definition: dict[str, Any] | None = None
    """What its owner said of it; of a removal, what was removed. Not in the list of them all."""


class RevisionsOut(WireOut):
    """The revisions of one entry that is or was there, oldest first."""

    subject: str
    items: list[RevisionOut]
