"""Views: what a client is shown of the registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from .names import EntryId, EntryKind, Revision, ServerName, split_id


class ViewMode(StrEnum):
    """What a client of a view is shown."""

    AUTO = "auto"
    """The tools themselves when their definitions fit in the view's share of a context."""
    TOOLS = "tools"
    SEARCH = "search"
    """Tools that search the view, and those that are pinned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """Tools of any of these servers, with any of these tags, or of these names."""

    servers: tuple[ServerName, ...] = ()
    tags: tuple[str, ...] = ()
    """On the tool or on its server."""
    tools: tuple[str, ...] = ()
    """Their names in the registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOverride:
    """How a view shows and calls one of its tools; None is as its server says."""

    tool: str
    """Its name in the registry."""
    name: str | None = None
    title: str | None = None
    description: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Arguments that are sent where the caller gives none. The values are not shown."""
    fixed: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Arguments that are always sent; the caller neither sees nor gives them."""
    hidden: tuple[str, ...] = ()
    """Parameters that the caller neither sees nor gives."""

    @property
    def withheld(self) -> frozenset[str]:
        """The parameters that a caller does not know of."""
        return frozenset(self.hidden) | frozenset(self.fixed)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A saved subset of the registry, which is served as if it were a server of its own."""

    name: str
    title: str | None = None
    description: str = ""
    """Instructions for the model that uses it."""
    include: Members = field(default_factory=Members)
    exclude: Members = field(default_factory=Members)
    """What is excluded is out, however it was included."""
    overrides: tuple[ToolOverride, ...] = ()
    pinned: tuple[str, ...] = ()
    """Names in the registry of tools that are always shown, in this order."""
    mode: ViewMode = ViewMode.AUTO
    context_tokens: int = 200_000
    """How long a context is taken to be."""
    share: float = 0.05
    """Which part of a context the definitions may take."""
    revision: Revision = Revision(0)
    """The change that last touched it."""
    added_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def budget_tokens(self) -> int:
        """How many tokens the definitions of its tools may have, to be listed one by one."""
        return int(self.context_tokens * self.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An entry that a view selects, and whether it may be used."""

    id: EntryId
    server: ServerName
    revision: Revision
    absence: str | None = None
    """Why it is left out, in a sentence's end, as "it is disabled"."""

    @property
    def name(self) -> str:
        """Its name in the registry."""
        return split_id(self.id)[1]

    @property
    def kind(self) -> EntryKind:
        """What it is."""
        return split_id(self.id)[0]
