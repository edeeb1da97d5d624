"""Writes example questions for tools that have none: in the background, or when told to.

What was written for a content is never written again; what cannot be had now is tried later. The
index learns of it from the change log, like of anything else.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

import anyio
import anyio.to_thread

from toolcrib_registry.errors import BudgetExceeded, InvalidInput, NotFound, ToolcribError
from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryId, Revision, ServerName, Tool, WrittenQuestions
from toolcrib_server.sync.checkpoints import checkpoint_from_environment
from toolcrib_server.sync.leases import Leases

from .author import PRINCIPAL, Author
from .cleaning import Kept, keep_questions
from .pace import Pace
from .prompts import ask_questions
from .survey import Survey, names_of_servers, survey

logger = logging.getLogger(__name__)

LEASE: Final = "(writer)"
"""What keeps two processes from writing the same: no server can be named so."""
AT_ONCE: Final = 2
TIMEOUT_S: Final = 120.0
_TRIES: Final = 2
"""A model that is asked again says something else."""
_HOPELESS: Final = 4
"""Calls that failed, one after the other."""
_LOOK_S: Final = 10.0
_SHORTEST_REST_S: Final = 60.0
_LONGEST_REST_S: Final = 1_800.0

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What came of writing. ``stopped`` says why there is more to do; None: nothing is left."""

    written: int = 0
    refused: int = 0
    failed: int = 0
    """Calls that failed; what they were for waits."""
    failure: str | None = None
    """The last one's."""
    left: int = 0
    pruned: int = 0
    cost_usd: float | None = 0.0
    """None where a price is unknown."""
    stopped: str | None = None


@dataclass(slots=True)
class _Turn:
    """How one round of writing goes."""

    paced: bool
    others: frozenset[str]
    total: int
    on_progress: OnProgress | None
    result: Written
    failed_in_a_row: int = 0
    done: int = 0

    def note(self, kept: Kept, cost_usd: float | None) -> None:
        spent = self.result.cost_usd
        self.result = replace(
            self.result,
            written=self.result.written + bool(kept.texts),
            refused=self.result.refused + (not kept.texts),
            cost_usd=None if spent is None or cost_usd is None else spent + cost_usd,
        )
        self.failed_in_a_row = 0

    def fail(self, why: str) -> None:
        self.failed_in_a_row += 1
        self.result = replace(self.result, failed=self.result.failed + 1, failure=why)

    def step(self) -> None:
        self.done += 1
        if self.on_progress:
            self.on_progress(self.done, self.total)

    def stop(self, why: str) -> None:
        self.result = replace(self.result, stopped=self.result.stopped or why)


class QuestionWriter:
    """Writes questions. Without an author it writes none, and says how things stand."""

    def __init__(
        self, store: Store, author: Author | None, pace: Pace, *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._store = store
        self._author = author
        self._timeout_s = timeout_s
        self.pace = pace
        self.error: str | None = None
        """Why the last round did not come to its end; None when it did."""
        self._leases = Leases(store, checkpoint=checkpoint_from_environment())
        self._seen: Revision | None = None
        self._pause_s = 0.0
        """Until it may ask again, as the last round left it."""

    @property
    def model(self) -> str | None:
        """The model that writes, as it was named; None while none does."""
        return None if self._author is None else self._author.model

    async def find(self) -> None:
        """Make sure that there is a model to be asked; calls nothing.

        Raises:
            NotFound: It is not registered.
            NotCallable: It is off, or nobody serves it.
        """
        if self._author is not None:
            await self._author.find()

    async def survey(self, server: ServerName | None = None) -> Survey:
        """Count which tools have questions, and which wait.

        Raises:
            NotFound: There is no such server.
        """
        if server is not None:
            await anyio.to_thread.run_sync(self._store.get_server, server)
        writer = self._author.writer if self._author else None
        look = partial(survey, self._store, writer=writer, server=server)
        return await anyio.to_thread.run_sync(look)

    async def write(
        self,
        *,
        server: ServerName | None = None,
        limit: int | None = None,
        paced: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Written:
        """Write for what waits, at most ``limit`` contents; ``paced``: no more than an hour's.

        One process at a time; what is done is kept, whatever ends it.

        Raises:
            InvalidInput: No model is set to write.
            NotFound: There is no such server.
        """
        if self._author is None:
            raise InvalidInput(
                "No model is set to write questions: set TOOLCRIB_WRITER_MODEL to the name of one "
                "that is registered, or to auto."
            )
        lease = ServerName(LEASE)
        taken = await self._leases.take([lease])
        if lease not in taken.leases:
            return Written(stopped="another process is writing")
        try:
            work = partial(self._write_waiting, self._author, server, limit, paced, on_progress)
            return await self._while_renewing(work)
        finally:
            await self._leases.release([lease])

    async def forget(self, server: ServerName | None = None, *, actor: str) -> int:
        """Drop what was written, for a server's tools or for all; say for how many contents.

        Raises:
            NotFound: There is no such server.
        """
        if server is not None:
            await anyio.to_thread.run_sync(self._store.get_server, server)
        drop = partial(self._store.written.forget_questions, server=server, actor=actor)
        return await anyio.to_thread.run_sync(drop)

    async def run(self) -> None:
        """Write whenever something changed, at its pace; after a failure later. Never returns."""
        rest_s = _SHORTEST_REST_S
        while self._author is not None:
            left = await self._round()
            if self.error is not None:
                await anyio.sleep(rest_s)
                rest_s = min(2 * rest_s, _LONGEST_REST_S)
                continue
            rest_s = _SHORTEST_REST_S
            if left:
                await anyio.sleep(max(self._pause_s, _SHORTEST_REST_S))
            else:
                await self._wait_for_change()

    async def _round(self) -> int:
        try:
            self._seen = await anyio.to_thread.run_sync(self._store.head)
            result = await self.write(paced=True)
            self._pause_s = await self.pace.waits_s()
        except ToolcribError as error:
            self.error = error.detail
            return 1
        # Whether it only waits for its hour to pass.
        is_paused = result.stopped is not None and self._pause_s > 0
        self.error = result.failure or (None if is_paused else result.stopped)
        if self.error is not None:
            logger.warning("Example questions wait: %s", self.error)
        return result.left

    async def _wait_for_change(self) -> None:
        head = self._seen
        while head == self._seen:
            await anyio.sleep(_LOOK_S)
            try:
                head = await anyio.to_thread.run_sync(self._store.head)
            except ToolcribError as error:
                logger.warning("What changed cannot be read: %s", error)

    # --- one round -------------------------------------------------------------------------

    async def _while_renewing(self, work: Callable[[], Awaitable[Written]]) -> Written:
        """Keep other processes from writing meanwhile."""
        failure: ToolcribError | None = None
        result = Written()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._renew)
            try:
                result = await work()
            except ToolcribError as error:
                # Raised outside, where no group wraps it.
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return result

    async def _renew(self) -> None:
        try:
            await self._leases.renew_in_time((ServerName(LEASE),))
        except ToolcribError as error:
            # What another process then writes as well is kept once.
            logger.warning("The right to write could not be renewed: %s", error)

    async def _write_waiting(
        self,
        author: Author,
        server: ServerName | None,
        limit: int | None,
        paced: bool,  # noqa: FBT001  # passed on as it was given
        on_progress: OnProgress | None,
    ) -> Written:
        pruned = await anyio.to_thread.run_sync(self._store.written.prune_questions)
        waiting = (await self.survey(server)).waiting
        chosen = dict(list(waiting.items())[:limit])
        others = await anyio.to_thread.run_sync(names_of_servers, self._store)
        turn = _Turn(paced, others, len(chosen), on_progress, Written(pruned=pruned))
        await self._write_all(author, chosen, turn)
        done = turn.result
        return replace(done, left=len(waiting) - done.written - done.refused)

    async def _write_all(self, author: Author, chosen: dict[str, EntryId], turn: _Turn) -> None:
        queue = iter(chosen.items())
        async with anyio.create_task_group() as tasks:
            for _ in range(AT_ONCE):
                tasks.start_soon(self._work, author, queue, turn)

    async def _work(
        self, author: Author, queue: Iterator[tuple[str, EntryId]], turn: _Turn
    ) -> None:
        for content_hash, id_ in queue:
            if turn.result.stopped is None:
                try:
                    await self._write(author, content_hash, id_, turn)
                except ToolcribError as error:
                    self._blame(error, turn)
            if turn.result.stopped is not None:
                return
            turn.step()

    def _blame(self, error: ToolcribError, turn: _Turn) -> None:
        """Go on after a failure, unless the next would fail as well."""
        turn.fail(error.detail)
        lasting = isinstance(error, BudgetExceeded | NotFound | InvalidInput)
        if lasting or turn.failed_in_a_row >= _HOPELESS:
            turn.stop(error.detail)

    async def _write(self, author: Author, content_hash: str, id_: EntryId, turn: _Turn) -> None:
        text = await anyio.to_thread.run_sync(self._read, id_, content_hash)
        if text is None:
            return
        for number in range(1, _TRIES + 1):
            if turn.paced and not await self.pace.take():
                turn.stop(f"{self.pace.per_hour} calls were made in the last hour")
                return
            wrote = await author.ask(ask_questions(text), timeout_s=self._timeout_s)
            kept = keep_questions(wrote.text, entry=text, others=turn.others)
            if kept.texts or number == _TRIES:
                turn.note(kept, wrote.cost_usd)
                await self._keep(content_hash, Author.sign(wrote.model), kept)
                return

    async def _keep(self, content_hash: str, writer: str, kept: Kept) -> None:
        written = WrittenQuestions(
            content_hash=content_hash,
            writer=writer,
            at=datetime.now(UTC),
            questions=kept.texts,
            refusal=kept.refusal,
        )
        add = partial(self._store.written.add_questions, [written], actor=PRINCIPAL)
        # What was paid for is kept, also by who is stopped meanwhile.
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(add)

    def _read(self, id_: EntryId, content_hash: str) -> str | None:
        """Read what an entry says of itself now; None where it is gone, or another."""
        from toolcrib_embeddings import render_document  # noqa: PLC0415  # slow

        entry = self._store.get_entries([id_], live=True).get(id_)
        if not isinstance(entry, Tool) or entry.content_hash != content_hash:
            return None
        return render_document(entry).text
