"""Tells those who listen that a list has changed, each at its own pace.

Changes that come faster than they can be told are told once.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable
from contextlib import contextmanager
from typing import Final

import anyio

from toolcrib_registry.types import Change, ChangeAction, EntryKind
from toolcrib_server.downstream.service import Notify

TOOLS: Final = "tools"
PROMPTS: Final = "prompts"
RESOURCES: Final = "resources"
WORDS: Final = {
    "toolsListChanged": TOOLS,
    "promptsListChanged": PROMPTS,
    "resourcesListChanged": RESOURCES,
}
"""What a client may want to hear of, and which list that is about."""
_SWITCHED: Final = {ChangeAction.ENABLED, ChangeAction.DISABLED, ChangeAction.REMOVED}


class Ear:
    """One who listens."""

    def __init__(self) -> None:
        self._untold: set[str] = set()
        self._news = anyio.Event()

    def note(self, lists: Collection[str]) -> None:
        """Note that these lists have changed."""
        self._untold.update(lists)
        self._news.set()

    async def follow(self, lists: Collection[str], notify: Notify) -> None:
        """Tell of changes of these lists, until cancelled."""
        while True:
            await self._news.wait()
            self._news = anyio.Event()
            untold, self._untold = self._untold, set()
            for changed in sorted(untold.intersection(lists)):
                await notify(f"notifications/{changed}/list_changed", {})


class News:
    """Those who listen."""

    def __init__(self) -> None:
        self._ears: set[Ear] = set()

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._ears)

    def tell(self, lists: Collection[str]) -> None:
        """Let everybody know that these lists have changed."""
        for ear in self._ears if lists else ():
            ear.note(lists)

    @contextmanager
    def listening(self) -> Generator[Ear]:
        """Take note of what changes, from now on."""
        ear = Ear()
        self._ears.add(ear)
        try:
            yield ear
        finally:
            self._ears.discard(ear)


def lists_in(changes: Iterable[Change]) -> set[str]:
    """Name the lists of prompts and resources that these changes concern."""
    found: set[str] = set()
    for change in changes:
        kind = change.subject.partition(":")[0]
        if kind == EntryKind.PROMPT.value:
            found.add(PROMPTS)
        elif kind == EntryKind.RESOURCE.value:
            found.add(RESOURCES)
        elif kind == "server" and change.action in _SWITCHED:
            found |= {PROMPTS, RESOURCES}
    return found
