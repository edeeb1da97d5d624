"""One pass over some servers: leases ahead, many asked at once, answers written in groups.

What was answered while one group is encoded and committed makes up the next, so that one changed
server waits for nothing and five thousand share a few transactions. Knows no schedule.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from toolcrib_registry.errors import ToolcribError
from toolcrib_registry.store import Store
from toolcrib_registry.types import Lease, Revision, Server, ServerName

from .answer import Answer
from .asking import Asker
from .embedder import Progress
from .indexer import Indexer
from .leases import Leases
from .report import SyncReport
from .writer import Writer, given_up

logger = logging.getLogger(__name__)

_Item = TypeVar("_Item")

_LEASED_AHEAD = 256
"""Servers whose leases are taken in one transaction, ahead of being asked."""
_GROUP = 256
"""Servers, and about as many objects, that are encoded and written together."""
_LINGER_S, _LINGERS = 0.02, 5
"""Answers without news are in no hurry: so long, so often they wait for others to join them."""
_LOOK_AGAIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Parts:
    """What a sweep works with."""

    store: Store
    leases: Leases
    asker: Asker
    writer: Writer
    indexer: Indexer
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants of a sweep."""

    actor: str
    insist: bool
    """A person asked: read in full, wait for other processes, and do it even when turned off."""
    on_report: Callable[[SyncReport], None]
    on_progress: Progress | None = None


class Sweep:
    """Runs once. Every lease it took is given back, however it ends."""

    def __init__(self, parts: Parts, wish: Wish) -> None:
        self._parts = parts
        self._wish = wish
        self._mine: set[ServerName] = set()

    async def run(self, names: Sequence[ServerName]) -> None:
        """Sync these servers; ``on_report`` is told of each as it is done.

        Raises:
            StoreError: The database failed.
        """
        try:
            async with anyio.create_task_group() as keeping:
                keeping.start_soon(self._parts.leases.renew_in_time, self._mine)
                async with anyio.create_task_group() as tasks:
                    self._start(tasks, names)
                keeping.cancel_scope.cancel()
        except ExceptionGroup as group:
            raise _first(group) from group
        finally:
            await self._release(tuple(self._mine))

    def _start(self, tasks: TaskGroup, names: Sequence[ServerName]) -> None:
        leased, to_ask = anyio.create_memory_object_stream[tuple[Server, Lease]](_LEASED_AHEAD)
        answered, answers = anyio.create_memory_object_stream[Answer](_GROUP)
        tasks.start_soon(self._lease, names, leased)
        for _ in range(min(self._parts.workers, len(names))):
            tasks.start_soon(self._ask, to_ask.clone(), answered.clone())
        tasks.start_soon(self._write, answers, tasks)
        to_ask.close()
        answered.close()

    # --- leases ----------------------------------------------------------------------------

    async def _lease(
        self, names: Sequence[ServerName], leased: MemoryObjectSendStream[tuple[Server, Lease]]
    ) -> None:
        async with leased:
            late: list[ServerName] = []
            for start in range(0, len(names), _LEASED_AHEAD):
                late += await self._take(names[start : start + _LEASED_AHEAD], leased)
            # A holder that died lets go when its lease runs out: a person waits for that.
            patience_s = self._parts.leases.ttl_s * 4 / 3 if self._wish.insist else 0.0
            await self._take_late(late, leased, anyio.current_time() + patience_s)

    async def _take_late(
        self,
        late: list[ServerName],
        leased: MemoryObjectSendStream[tuple[Server, Lease]],
        deadline_s: float,
    ) -> None:
        leases = self._parts.leases
        while late:
            with anyio.move_on_after(_LOOK_AGAIN_S):
                await leases.wait_free(late[0])
            late = await self._take(late, leased, last=anyio.current_time() >= deadline_s)
            if late and late[0] not in leases.running:
                await anyio.sleep(_LOOK_AGAIN_S)

    async def _take(
        self,
        names: Sequence[ServerName],
        leased: MemoryObjectSendStream[tuple[Server, Lease]],
        *,
        last: bool = False,
    ) -> list[ServerName]:
        """Take what can be had and pass it on; return what is to be tried again."""
        taken = await self._parts.leases.take(names)
        self._mine |= taken.leases.keys()
        # Read under the lease: what another process wrote before is seen.
        wanted = (*taken.leases, *(taken.elsewhere if last or not self._wish.insist else ()))
        servers = await anyio.to_thread.run_sync(self._read, wanted)
        unwanted = [name for name in taken.leases if name not in servers]
        await self._release(unwanted)
        leases = [name for name in taken.leases if name in servers]
        # Who failed last time may keep us waiting: the others first.
        for name in sorted(leases, key=lambda name: servers[name].health.failures > 0):
            await _send(leased, (servers[name], taken.leases[name]))
        if self._wish.insist and not last:
            return [*taken.busy, *taken.elsewhere]
        for name in taken.elsewhere:
            if name in servers:
                why = f"Another process is syncing {name!r} now; nothing was done here."
                self._wish.on_report(given_up(servers[name], why))
        return list(taken.busy)

    def _read(self, names: Sequence[ServerName]) -> dict[ServerName, Server]:
        found = self._parts.store.find_servers(names) if names else {}
        return {
            name: server
            for name, server in found.items()
            if server.callable and (server.enabled or self._wish.insist)
        }

    async def _release(self, names: Sequence[ServerName]) -> None:
        if names:
            await self._parts.leases.release(names)
            self._mine.difference_update(names)

    # --- asking ----------------------------------------------------------------------------

    async def _ask(
        self,
        to_ask: MemoryObjectReceiveStream[tuple[Server, Lease]],
        answered: MemoryObjectSendStream[Answer],
    ) -> None:
        async with to_ask, answered:
            while (turn := await _receive(to_ask)) is not None:
                server, lease = turn
                answer = await self._parts.asker.ask(server, lease, insist=self._wish.insist)
                await _send(answered, answer)

    # --- writing ---------------------------------------------------------------------------

    async def _write(
        self, answers: MemoryObjectReceiveStream[Answer], publishing: TaskGroup
    ) -> None:
        async with answers:
            while group := await _gather(answers):
                write = partial(
                    self._parts.writer.write,
                    group,
                    actor=self._wish.actor,
                    on_progress=self._wish.on_progress,
                )
                reports = await anyio.to_thread.run_sync(write)
                # The next group is encoded while this one is indexed.
                publishing.start_soon(self._publish, reports)

    async def _publish(self, reports: Sequence[SyncReport]) -> None:
        revision = await self._catch_up()
        await self._release([report.server for report in reports])
        for report in reports:
            self._wish.on_report(replace(report, revision=revision))

    async def _catch_up(self) -> Revision:
        indexer = self._parts.indexer
        try:
            report = await indexer.catch_up(on_progress=self._wish.on_progress)
        except ToolcribError as error:
            # What was written stays written; the index follows when it can again.
            logger.warning("The index is behind the registry: %s", error)
            return indexer.revision or Revision(0)
        return report.revision


async def _gather(answers: MemoryObjectReceiveStream[Answer]) -> list[Answer]:
    """Wait for answers and take up to about a group of them; none when there will be no more."""
    first = await _receive(answers)
    if first is None:
        return []
    group, turns = [first], 0
    while _take_ready(answers, group) and turns < _LINGERS:
        if any(answer.is_news for answer in group):
            break
        await anyio.sleep(_LINGER_S)
        turns += 1
    return group


def _take_ready(answers: MemoryObjectReceiveStream[Answer], group: list[Answer]) -> bool:
    """Take what has been answered already; return whether it is worth waiting for more."""
    weight = sum(map(_weight, group))
    while weight < _GROUP:
        try:
            group.append(answers.receive_nowait())
        except anyio.WouldBlock:
            return True
        except anyio.EndOfStream:
            return False
        weight += _weight(group[-1])
    return False


async def _receive(stream: MemoryObjectReceiveStream[_Item]) -> _Item | None:
    """Receive; None at the end. Where nothing has to be waited for, that takes no turn."""
    try:
        return stream.receive_nowait()
    except anyio.WouldBlock:
        pass
    except anyio.EndOfStream:
        return None
    try:
        return await stream.receive()
    except anyio.EndOfStream:
        return None


async def _send(stream: MemoryObjectSendStream[_Item], item: _Item) -> None:
    """Send. Where nothing has to be waited for, that takes no turn."""
    try:
        stream.send_nowait(item)
    except anyio.WouldBlock:
        await stream.send(item)


def _weight(answer: Answer) -> int:
    listing = answer.listing
    if listing is None:
        return 1
    return 1 + len(listing.tools) + len(listing.prompts) + len(listing.resources)


def _first(error: Exception) -> Exception:
    """Take one error out of groups of them: whoever asked expects what the database raised."""
    return _first(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error  # pyright: ignore[reportUnknownArgumentType,reportUnknownMemberType]  # isinstance forgets the parameter
