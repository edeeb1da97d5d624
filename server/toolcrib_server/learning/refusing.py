"""Where people say that one tool is never to bring another along, and take that back.

Knows no face: names in, what came of it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import anyio.to_thread

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.store import Store
from toolcrib_registry.types import Entry, EntryKind, NeedSource, entry_id, split_id

from .companions import CompanionDesk


@dataclass(frozen=True, slots=True)
class LearnedNeed:
    """A tool that calls taught another one to bring along, for one tenant."""

    tenant: str
    tool: str
    needs: str
    why: str


@dataclass(frozen=True, slots=True)
class RefusedNeed:
    """Two tools of which the first is never to bring the second along."""

    tool: str
    needed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What was learned of tools that need others, and what was refused."""

    learned: tuple[LearnedNeed, ...]
    refused: tuple[RefusedNeed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What came of refusing a need, or of taking that back."""

    tool: str
    needed: str
    refused: bool
    """How it stands now."""
    changed: bool
    declared: bool = False
    """Whether its owner declares the need: then it stays, whatever is refused."""


class NeedDesk:
    """What the faces ask about tools that bring others along."""

    def __init__(self, store: Store, companions: CompanionDesk) -> None:
        self._store = store
        self._companions = companions

    async def read(self, *, now: bool = False) -> Needs:
        """Tell what was learned and refused; ``now``: also from calls since the last look."""
        await self._companions.look(now=now)
        learned = (
            LearnedNeed(tenant, split_id(tool)[1], split_id(one.entry)[1], one.why)
            for tenant, its in sorted(self._companions.pairs().items())
            for tool, followed in sorted(its.items())
            for one in followed
        )
        refused = (
            RefusedNeed(split_id(tool)[1], split_id(needed)[1])
            for tool, needed in sorted(self._companions.refused)
        )
        return Needs(learned=tuple(learned), refused=tuple(refused))

    async def refuse(self, tool: str, needed: str, *, actor: str) -> Settled:
        """Let a tool no longer bring another one along, whatever was learned.

        Raises:
            InvalidInput: They are the same tool.
            NotFound: There is no such tool; near names are offered.
        """
        if tool == needed:
            raise InvalidInput("No tool brings itself along: name two different ones.")
        first, second = await self._get(tool), await self._get(needed)
        changed = await self._companions.refuse(first.id, second.id, actor=actor)
        its = await self._companions.needs(first)
        declared = any(one.name == needed and one.how is NeedSource.DECLARED for one in its)
        return Settled(tool=tool, needed=needed, refused=True, changed=changed, declared=declared)

    async def allow(self, tool: str, needed: str) -> Settled:
        """Take a refusal back, also one of tools that are gone.

        Raises:
            NotFound: Nothing was refused, and there is no such tool; near names are offered.
        """
        pair = entry_id(EntryKind.TOOL, tool), entry_id(EntryKind.TOOL, needed)
        changed = await self._companions.allow(*pair)
        if not changed:
            await self._get(tool)
            await self._get(needed)
        return Settled(tool=tool, needed=needed, refused=False, changed=changed)

    async def _get(self, name: str) -> Entry:
        get = partial(self._store.get_entry, EntryKind.TOOL, name)
        return await anyio.to_thread.run_sync(get)
