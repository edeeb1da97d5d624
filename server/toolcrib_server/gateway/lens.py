"""What a caller of the meta-tools sees of the registry: all of it, or what somebody chose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from toolcrib_registry.store import Store
from toolcrib_registry.types import Entry, EntryId, JsonObject
from toolcrib_server.selection.question import Filters
from toolcrib_server.selection.selector import Answer

FACE: Final = "mcp"


class Lens(Protocol):
    """Between the meta-tools and the registry."""

    @property
    def face(self) -> str:
        """What calls are recorded as coming in by."""
        ...

    def narrow(self, filters: Filters) -> Filters:
        """Keep a search to what may be seen."""
        ...

    def show(self, answer: Answer) -> Answer:
        """Show what was found as it is called here."""
        ...

    def show_entries(self, entries: Mapping[EntryId, Entry]) -> Mapping[EntryId, Entry]:
        """Show entries that were found, and read in full, as they are called here."""
        ...

    def get_named(self, name: str) -> Entry:
        """Get an entry by the name that it has here. Blocks.

        Raises:
            NotFound: There is none; near names are offered.
        """
        ...

    def resolve_call(self, name: str, arguments: JsonObject) -> tuple[str, JsonObject]:
        """Turn a call as it is made here into one of the registry's: its tool, its arguments.

        Raises:
            NotFound: There is no such tool here; near names are offered.
            InvalidArguments: Something was given that is not the caller's to give.
        """
        ...


class WholeRegistry:
    """Everything, under its own name."""

    face: Final = FACE

    def __init__(self, store: Store) -> None:
        self._store = store

    def narrow(self, filters: Filters) -> Filters:
        """Keep nothing out."""
        return filters

    def show(self, answer: Answer) -> Answer:
        """Show what was found as it is."""
        return answer

    def show_entries(self, entries: Mapping[EntryId, Entry]) -> Mapping[EntryId, Entry]:
        """Show entries as they are."""
        return entries

    def get_named(self, name: str) -> Entry:
        """Get an entry of any kind.

        Raises:
            NotFound: There is none; near names are offered.
        """
        return self._store.get_named(name)

    def resolve_call(self, name: str, arguments: JsonObject) -> tuple[str, JsonObject]:
        """Call the tool of that name with those arguments."""
        return name, arguments
