"""Which tools a view has now, under which names, and what of it does not hold any more.

Derived from the registry alone: the same revision gives the same tools in the same order. Nothing
is shown under a name that was somebody else's: what collides, or does not fit, is left out, and the
view says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    EntryId,
    EntryKind,
    JsonObject,
    Member,
    ServerName,
    Tool,
    ToolOverride,
    View,
    ViewMode,
    entry_id,
    split_id,
)

from .overlay import find_misfits, shown_definition

CountTokens = Callable[[str], int]

_PAGE: Final = 200
"""Tools whose definitions are read at once, where reading may end before the last."""
_NAMED: Final = 5
_TRACED: Final = 50
"""Names of which it is looked up what became of them."""


@dataclass(frozen=True, slots=True)
class ViewTool:
    """A tool of a view: what it is called there, and how it is shown and called."""

    name: str
    member: Member
    override: ToolOverride | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A view as it stands at one state of the registry."""

    view: View
    tools: Mapping[str, ViewTool]
    """By the name they have in the view: pinned ones first, in their order, then by name."""
    others: tuple[Member, ...] = ()
    """Prompts and resources."""
    problems: tuple[str, ...] = ()
    """What of the view does not hold any more; each is a sentence."""
    notes: tuple[str, ...] = ()
    """What it selects without naming it and leaves out, as tools that are disabled."""
    listed: tuple[JsonObject, ...] = ()
    """The definitions that a client is shown, beside those of the tools that search the view."""
    searches: bool = False
    """Whether the tools are to be searched for, because they are too many to list."""
    by_id: Mapping[EntryId, ViewTool] = field(default_factory=dict[EntryId, ViewTool])
    ids: frozenset[EntryId] = frozenset()
    members: tuple[Member, ...] = ()
    """All that it selects, usable or not: nothing of it changes while these do not."""

    @property
    def servers(self) -> tuple[ServerName, ...]:
        """The servers of its tools, by name."""
        return tuple(sorted({tool.member.server for tool in self.tools.values()}))


class Resolver:
    """Finds out what views have. Safe to share between threads."""

    def __init__(self, store: Store, count_tokens: CountTokens) -> None:
        self._store = store
        self._count_tokens = count_tokens

    def resolve(self, view: View, *, before: Resolved | None = None) -> Resolved:
        """Find out what a view has now.

        ``before`` is what it had: given back as it is, if nothing of it has changed. Otherwise it
        costs 60 ms for 10,000 tools that are searched, a second for as many that are listed.
        """
        members = self._store.views.members(view)
        if before is not None and (before.view, before.members) == (view, members):
            return before
        return _Resolution(self._store, self._count_tokens, view, members).resolved()


def tokens_of(definition: JsonObject, count_tokens: CountTokens) -> int:
    """Count what a tool takes of a context: its name, description and input schema, as JSON."""
    shown = {key: definition.get(key) for key in ("name", "description", "inputSchema")}
    return count_tokens(json.dumps(shown, ensure_ascii=False, separators=(",", ":")))


class _Resolution:
    """One view, being resolved."""

    def __init__(
        self, store: Store, count_tokens: CountTokens, view: View, members: Sequence[Member]
    ) -> None:
        self._store = store
        self._count_tokens = count_tokens
        self._view = view
        self._members = {member.id: member for member in members}
        self._overrides = {one.tool: one for one in view.overrides}
        self._problems: list[str] = []
        self._notes: list[str] = []

    def resolved(self) -> Resolved:
        self._note_absent()
        own = self._fitting()
        tools = self._named(own)
        listed, searches = self._list(list(tools.values()))
        others = (m for m in self._members.values() if m.kind is not EntryKind.TOOL)
        by_id = {tool.member.id: tool for tool in tools.values()}
        return Resolved(
            view=self._view,
            tools=tools,
            others=tuple(member for member in others if member.absence is None),
            problems=tuple(self._problems),
            notes=tuple(self._notes),
            listed=listed,
            searches=searches,
            by_id=by_id,
            ids=frozenset(by_id),
            members=tuple(self._members.values()),
        )

    # --- what is there -----------------------------------------------------------------------

    def _note_absent(self) -> None:
        """Say of everything that the view names whether it is there, and may be used."""
        view = self._view
        known = set(self._store.find_servers([*view.include.servers, *view.exclude.servers]))
        for server in dict.fromkeys(view.include.servers):
            if server not in known:
                self._problems.append(f"The server {server!r} is not registered any more.")
        named = (*view.include.tools, *(one.tool for one in view.overrides), *view.pinned)
        traced = 0
        for name in dict.fromkeys(named):
            member = self._members.get(entry_id(EntryKind.TOOL, name))
            if member is None:
                traced += 1
                self._problems.append(self._fate(name, trace=traced <= _TRACED))
            elif member.absence:
                self._problems.append(f"{name} is left out: {member.absence}.")
        self._sum_up_absent(set(named))

    def _fate(self, name: str, *, trace: bool) -> str:
        """Say what became of a tool that the view names and does not have."""
        if self._store.find_entry(EntryKind.TOOL, name):
            return f"{name} is there, and the view does not include it."
        gone = self._store.find_tombstone(EntryKind.TOOL, name) if trace else None
        if gone is None:
            return f"{name} is not there."
        successor = split_id(gone.replaced_by)[1] if gone.replaced_by else None
        became = f" It is called {successor} now: change the view." if successor else ""
        return f"{name} was removed at {gone.removed_at:%Y-%m-%d %H:%M} UTC.{became}"

    def _sum_up_absent(self, named: set[str]) -> None:
        reasons: dict[str, list[str]] = {}
        for member in self._members.values():
            if member.absence and member.name not in named and member.kind is EntryKind.TOOL:
                reasons.setdefault(member.absence, []).append(member.name)
        for reason, names in sorted(reasons.items()):
            self._notes.append(f"{_few(names)} left out: {reason}.")

    def _fitting(self) -> dict[str, Member]:
        """Give the tools that can be served, by their names in the registry."""
        usable = {
            member.name: member
            for member in self._members.values()
            if member.kind is EntryKind.TOOL and member.absence is None
        }
        overridden = [usable[name].id for name in self._overrides if name in usable]
        for entry in self._store.get_entries(overridden).values():
            assert isinstance(entry, Tool)
            if misfits := find_misfits(entry, self._overrides[entry.name]):
                del usable[entry.name]
                self._problems += [f"{entry.name} is left out: it has changed. {' '.join(misfits)}"]
        return usable

    # --- how it is called --------------------------------------------------------------------

    def _named(self, usable: Mapping[str, Member]) -> dict[str, ViewTool]:
        """Name each tool as the view does; a name that the view gave is never another's."""
        given = {one.name: one.tool for one in self._view.overrides if one.name}
        tools: dict[str, ViewTool] = {}
        for name, member in usable.items():
            override = self._overrides.get(name)
            shown = (override and override.name) or name
            if given.get(shown, name) != name:
                self._problems.append(
                    f"{name} is left out: the view calls {given[shown]} by that name. Rename one."
                )
                continue
            tools[shown] = ViewTool(shown, member, override)
        places = {pinned: place for place, pinned in enumerate(self._view.pinned)}
        last = len(places)
        ordered = sorted(tools, key=lambda n: (places.get(tools[n].member.name, last), n))
        return {name: tools[name] for name in ordered}

    # --- what is listed ----------------------------------------------------------------------

    def _list(self, tools: Sequence[ViewTool]) -> tuple[tuple[JsonObject, ...], bool]:
        mode = self._view.mode
        if mode is ViewMode.SEARCH:
            return self._pinned(tools), True
        if mode is ViewMode.TOOLS:
            return tuple(self._define(tools)), False
        listed: list[JsonObject] = []
        left = self._view.budget_tokens
        for definition in self._define(tools):
            left -= tokens_of(definition, self._count_tokens)
            if left < 0:
                return self._pinned(tools), True
            listed.append(definition)
        return tuple(listed), False

    def _pinned(self, tools: Sequence[ViewTool]) -> tuple[JsonObject, ...]:
        pinned = set(self._view.pinned)
        return tuple(self._define([tool for tool in tools if tool.member.name in pinned]))

    def _define(self, tools: Sequence[ViewTool]) -> Iterator[JsonObject]:
        return define(self._store, tools)


def define(store: Store, tools: Iterable[ViewTool]) -> Iterator[JsonObject]:
    """Write definitions of tools as their view shows them, in order, without what has gone."""
    rest = iter(tools)
    while page := list(islice(rest, _PAGE)):
        entries = store.get_entries([tool.member.id for tool in page], live=True)
        for tool in page:
            entry: Any = entries.get(tool.member.id)
            if isinstance(entry, Tool):
                yield shown_definition(entry, tool.override)


def _few(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    shown = ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{shown} {'is' if len(names) == 1 else 'are'}"
