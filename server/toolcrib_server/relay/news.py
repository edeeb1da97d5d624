"""Tells those who listen that a list is not what it was: of one server, or of the whole registry.

What was committed, by whichever process, is read from the change log. Each listener hears at its
own pace; changes that come faster than they can be told are told once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import anyio
import anyio.to_thread

from toolcrib_registry.store import Store
from toolcrib_registry.types import Change, ChangeAction, EntryKind, Revision, ServerName
from toolcrib_server.downstream.service import Notify

TOOLS: Final = "tools"
PROMPTS: Final = "prompts"
RESOURCES: Final = "resources"
LISTS: Final = frozenset({TOOLS, PROMPTS, RESOURCES})
WORDS: Final = {
    "toolsListChanged": TOOLS,
    "promptsListChanged": PROMPTS,
    "resourcesListChanged": RESOURCES,
}
"""What a client may want to hear of, and which list that is about."""
_LISTS_OF: Final[Mapping[str, frozenset[str]]] = {
    EntryKind.TOOL.value: frozenset({TOOLS}),
    EntryKind.PROMPT.value: frozenset({PROMPTS}),
    EntryKind.RESOURCE.value: frozenset({RESOURCES}),
    "server": LISTS,
}
"""What is not as it was when something of this kind changes."""
_LISTED: Final = {ChangeAction.ADDED, ChangeAction.UPDATED, ChangeAction.REMOVED}
"""What happens to an entry because its server lists something else."""
_MOST_CHANGES: Final = 1_000
_MOST_BYTES: Final = 1_000_000


class Ear:
    """One who listens."""

    def __init__(self) -> None:
        self._untold: set[str] = set()
        self._news = anyio.Event()
        self.told_by_server: Collection[str] = ()
        """The lists of whose changes the server tells by itself."""

    def note(self, lists: Collection[str], *, by_server: bool = False) -> None:
        """Note that these lists have changed; ``by_server``: because the server lists other things.

        What the server tells of by itself is not told again when it is found here.
        """
        heard = set(lists).difference(self.told_by_server if by_server else ())
        if heard:
            self._untold |= heard
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
    """Those who listen to the same lists."""

    def __init__(self) -> None:
        self._ears: set[Ear] = set()

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._ears)

    def tell(self, lists: Collection[str], *, by_server: bool = False) -> None:
        """Let everybody know that these lists have changed; see `Ear.note`."""
        for ear in self._ears if lists else ():
            ear.note(lists, by_server=by_server)

    @contextmanager
    def listening(self) -> Generator[Ear]:
        """Take note of what changes, from now on."""
        ear = Ear()
        self._ears.add(ear)
        try:
            yield ear
        finally:
            self._ears.discard(ear)


class Newsroom:
    """Follows the change log for all who listen. Reads nothing while nobody does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._servers: defaultdict[ServerName, News] = defaultdict(News)
        self._told: Revision | None = None
        """Up to where those who listen know of changes."""
        self.everything = News()
        """Of the prompts and resources of all servers together."""

    def of(self, server: ServerName) -> News:
        """Return the news of what one server offers."""
        return self._servers[server]

    async def publish(self, head: Revision) -> None:
        """Tell of everything that was committed up to ``head``."""
        since = self._told
        heard = {name: news for name, news in self._servers.items() if news.is_heard}
        if since is None or since >= head or not (heard or self.everything.is_heard):
            self._told = head
            return
        changes = await anyio.to_thread.run_sync(self._read, since)
        self._told = head  # only now: what could not be read is told of next time
        if not changes or changes[-1].revision < head:  # too many to look at each
            self.everything.tell({PROMPTS, RESOURCES})
            for news in heard.values():
                news.tell(LISTS)
            return
        self.everything.tell(_lists_in(changes) - {TOOLS})
        for name, news in heard.items():
            own = [change for change in changes if change.server == name]
            news.tell(_lists_in(each for each in own if not _is_by_server(each)))
            news.tell(_lists_in(each for each in own if _is_by_server(each)), by_server=True)

    def _read(self, since: Revision) -> Sequence[Change]:
        return self._store.list_changes(since=since, limit=_MOST_CHANGES, most_bytes=_MOST_BYTES)


def _lists_in(changes: Iterable[Change]) -> set[str]:
    """Name the lists that these changes concern; of a server as such, all."""
    found: set[str] = set()
    for change in changes:
        if change.action is not ChangeAction.WRITTEN:
            found |= _LISTS_OF.get(change.subject.partition(":")[0], frozenset())
    return found


def _is_by_server(change: Change) -> bool:
    return change.action in _LISTED and not change.subject.startswith("server:")
