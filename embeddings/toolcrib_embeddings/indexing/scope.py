"""What a search may find, of all that there is: a value, which a roster turns into rows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from toolcrib_registry.types import EntryId, EntryKind, ServerName


@dataclass(frozen=True, slots=True)
class Scope:
    """What a search may find; None is everything."""

    kinds: frozenset[EntryKind] | None = None
    servers: frozenset[ServerName] | None = None
    tags: frozenset[str] | None = None
    """All of them must be on the entry."""
    read_only: bool | None = None
    """True leaves what says that it only reads, False the rest."""
    destructive: bool | None = None
    """False leaves what says that it destroys nothing, or only reads; True the rest."""
    ids: frozenset[EntryId] | None = None
    """Only these entries."""

    @classmethod
    def of(
        cls,
        *,
        kinds: Collection[EntryKind] | None = None,
        servers: Collection[ServerName] | None = None,
        tags: Collection[str] | None = None,
        read_only: bool | None = None,
        destructive: bool | None = None,
        ids: Collection[EntryId] | None = None,
    ) -> Scope:
        """Build one from any collections."""
        return cls(
            None if kinds is None else frozenset(kinds),
            None if servers is None else frozenset(servers),
            None if tags is None else frozenset(tags),
            read_only,
            destructive,
            None if ids is None else frozenset(ids),
        )


EVERYTHING: Final = Scope()
