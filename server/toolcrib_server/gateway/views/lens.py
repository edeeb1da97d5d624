"""What a caller of the meta-tools sees of the registry through a view, and nothing beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from toolcrib_registry.errors import NotFound
from toolcrib_registry.store import Store
from toolcrib_registry.store.names import near
from toolcrib_registry.types import Entry, EntryId, EntryKind, JsonObject, Tool, ToolOverride
from toolcrib_server.selection.brief import Brief, shorten
from toolcrib_server.selection.question import Filters
from toolcrib_server.selection.selector import Answer, Found
from toolcrib_server.views.overlay import sent_arguments, shown_definition
from toolcrib_server.views.resolving import Resolved, ViewTool

_NEAR: Final = 5


class ViewLens:
    """One view, at one state of the registry."""

    def __init__(self, resolved: Resolved, store: Store) -> None:
        self._resolved = resolved
        self._store = store
        self._servers = frozenset(resolved.servers)
        self._shown = {tool.member.name: name for name, tool in resolved.tools.items()}
        """The names that tools have here, by those in the registry."""

    @property
    def face(self) -> str:
        """What calls are recorded as coming in by."""
        return f"view:{self._resolved.view.name}"

    def narrow(self, filters: Filters) -> Filters:
        """Keep a search to the tools of the view.

        Raises:
            NotFound: It is kept to a server of which the view has nothing.
        """
        for server in sorted(filters.servers or ()):
            if server not in self._servers:
                names = near(server, sorted(self._servers), limit=_NEAR)
                raise NotFound("server", server, near=names)
        return replace(filters, ids=self._resolved.ids)

    def show(self, answer: Answer) -> Answer:
        """Show what was found by the names, and in the words, of the view."""
        found = (self._found(one) for one in answer.found)
        return replace(
            answer,
            found=tuple(one for one in found if one is not None),
            searched=len(self._resolved.ids),
            filters=replace(answer.filters, ids=None),
        )

    def show_entries(self, entries: Mapping[EntryId, Entry]) -> Mapping[EntryId, Entry]:
        """Show entries in full as the view has them."""
        shown = ((id_, self._entry(entry)) for id_, entry in entries.items())
        return {id_: entry for id_, entry in shown if entry is not None}

    def get_named(self, name: str) -> Entry:
        """Get a tool by the name that it has in the view.

        Raises:
            NotFound: The view has none of that name; near ones are offered.
        """
        tool = self._get(name)
        entry = self._store.find_entry(EntryKind.TOOL, tool.member.name)
        shown = entry and self._entry(entry)
        if shown is None:
            raise NotFound("tool", name)
        return shown

    def resolve_call(self, name: str, arguments: JsonObject) -> tuple[str, JsonObject]:
        """Turn a call of a tool of the view into one of the registry's.

        Raises:
            NotFound: The view has none of that name; near ones are offered.
            InvalidArguments: Something was given that is not the caller's to give.
        """
        tool = self._get(name)
        return tool.member.name, sent_arguments(tool.override, arguments)

    def _get(self, name: str) -> ViewTool:
        tool = self._resolved.tools.get(name)
        if tool is None:
            raise NotFound("tool", name, near=near(name, list(self._resolved.tools), limit=_NEAR))
        return tool

    def _found(self, found: Found) -> Found | None:
        tool = self._resolved.by_id.get(found.entry.id)
        if tool is None:
            return None  # found before the view changed
        return replace(
            found,
            entry=_brief(found.entry, tool),
            alternatives=self._names(found.alternatives),
            required_by=self._names(found.required_by),
            required_why="",  # it may name what this view does not show
        )

    def _names(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(self._shown[name] for name in names if name in self._shown)

    def _entry(self, entry: Entry) -> Entry | None:
        tool = self._resolved.by_id.get(entry.id)
        if tool is None or not isinstance(entry, Tool):
            return None
        override = tool.override
        definition = shown_definition(entry, override)
        return replace(
            entry,
            name=tool.name,
            title=entry.title if override is None or override.title is None else override.title,
            description=str(definition.get("description") or ""),
            definition=definition,
        )


def _brief(brief: Brief, tool: ViewTool) -> Brief:
    override = tool.override
    if override is None:
        return brief
    said = override.description
    return replace(
        brief,
        name=tool.name,
        title=brief.title if override.title is None else override.title,
        description=brief.description if said is None else shorten(said),
        arguments=_signature(brief.arguments or {}, override),
    )


def _signature(arguments: Mapping[str, str], override: ToolOverride) -> dict[str, str]:
    return {
        name: f"{kind.removesuffix('?')}?" if name in override.defaults else kind
        for name, kind in arguments.items()
        if name not in override.withheld
    }
