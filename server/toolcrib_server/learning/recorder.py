"""Records what came of entries: of calls that followed a search, and of what people say.

Calls never wait: outcomes are buffered and written in batches. What is kept is the query, the
entry and the verdict; arguments and results are never looked at.
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final, TypeVar

import anyio
import anyio.to_thread

from toolcrib_registry.errors import InvalidInput, NotPermitted, StoreError
from toolcrib_registry.store import Store
from toolcrib_registry.types import CallRecord, EntryId, Outcome, OutcomeSource, Verdict

from .mode import LearningMode, Sharing
from .plausibility import plausibility
from .recent import RecentSearches

logger = logging.getLogger(__name__)

T = TypeVar("T")

DAILY_LIMIT: Final = 500
"""Outcomes of one principal in a day. More is no use that a person or an agent makes."""
MAX_QUERY_CHARS: Final = 4_000
"""As much of a query as search reads."""
_WINDOW_MIN: Final = 15
"""How long after a search a call is taken to follow from it."""
_CAPACITY: Final = 10_000
_VERDICTS: Final = {"ok": Verdict.WORKED, "tool-error": Verdict.FAILED}
"""Other ends of a call (refused arguments, an upstream that is away) say nothing of the fit."""
_FAILED_CALL: Final = 0.5
"""A call that failed may have been made badly: it counts half."""


def utc_now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


class OutcomeLog:
    """A buffer in front of the store's outcomes. Belongs to one event loop."""

    def __init__(
        self,
        store: Store,
        *,
        mode: LearningMode,
        sharing: Sharing,
        keep: int,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.mode = mode
        self.sharing = sharing
        self._store = store
        self._keep = keep
        self._now = now
        self._recent = RecentSearches(window=timedelta(minutes=_WINDOW_MIN))
        self._pending: deque[Outcome] = deque(maxlen=_CAPACITY)
        self._writing = anyio.Lock()
        self._said: Counter[str] = Counter()
        self._today: date | None = None

    def note_search(self, principal: str, query: str, ids: Sequence[EntryId]) -> None:
        """Remember, for a while and in memory only, what a principal was shown."""
        if self.mode.watches_calls:
            self._recent.note(principal, query, ids, at=self._now())

    def note_call(self, record: CallRecord) -> None:
        """Tie a call to the search before it, if there was one that listed the tool."""
        verdict = _VERDICTS.get(record.outcome)
        if verdict is None or not self.mode.watches_calls:
            return
        shown = self._recent.find(record.principal, record.subject, at=self._now())
        if shown is None or not self._may_say(record.principal):
            return
        worth = _FAILED_CALL if verdict is Verdict.FAILED else 1.0
        self._pending.append(
            Outcome(
                id=uuid.uuid4().hex,
                at=self._now(),
                tenant=self.sharing.tenant_of(record.principal),
                principal=record.principal,
                query=shown.query[:MAX_QUERY_CHARS],
                entry=record.subject,
                verdict=verdict,
                source=OutcomeSource.CALL,
                weight=worth * plausibility(record.subject, shown.ids),
            )
        )

    def check(self, query: str) -> None:
        """Refuse what could not be recorded, before any work is done for it.

        Raises:
            NotPermitted: Learning is off.
            InvalidInput: The query is blank.
        """
        if not self.mode.takes_feedback:
            raise NotPermitted(
                "Learning is off here, so feedback is not kept. TOOLCRIB_LEARNING=feedback (or on) "
                "turns it on."
            )
        if not query.strip():
            raise InvalidInput("The query is empty: say which search the feedback is about.")

    async def tell(
        self,
        principal: str,
        query: str,
        entry: EntryId,
        verdict: Verdict,
        *,
        recalled: Sequence[EntryId],
    ) -> Outcome:
        """Record what somebody says. ``recalled`` is what search finds for the query, best first.

        Raises:
            NotPermitted: Learning is off, or the principal said too much today.
            InvalidInput: The query is blank.
        """
        self.check(query)
        if not self._may_say(principal):
            raise NotPermitted(
                f"{DAILY_LIMIT} outcomes were recorded of you today; more are not taken until "
                "tomorrow."
            )
        said = Outcome(
            id=uuid.uuid4().hex,
            at=self._now(),
            tenant=self.sharing.tenant_of(principal),
            principal=principal,
            query=query[:MAX_QUERY_CHARS],
            entry=entry,
            verdict=verdict,
            source=OutcomeSource.FEEDBACK,
            weight=plausibility(entry, recalled),
        )
        await anyio.to_thread.run_sync(self._write, (said,))
        return said

    async def run(self, *, interval_s: float = 1.0) -> None:
        """Write what is pending at each interval. Never returns."""
        while True:
            await anyio.sleep(interval_s)
            await self.flush()

    async def flush(self) -> None:
        """Write what is pending. A failed write keeps it for the next try."""
        async with self._writing:
            await self._flush()

    async def forget(
        self,
        forget: Callable[[], T],
        *,
        principal: str | None = None,
        tenant: str | None = None,
        before: datetime | None = None,
    ) -> T:
        """Forget what is in memory, and call ``forget``, in a thread, while nothing is written.

        Of outcomes, those go that fit all that is given; of what was shown, the principal's or all.
        """
        async with self._writing:
            await self._flush()
            gone = await anyio.to_thread.run_sync(forget)
            self._recent.forget(principal)
            kept = [
                one
                for one in self._pending
                if (principal is not None and one.principal != principal)
                or (tenant is not None and one.tenant != tenant)
                or (before is not None and one.at >= before)
            ]
            self._pending = deque(kept, maxlen=_CAPACITY)
            return gone

    async def _flush(self) -> None:
        if not self._pending:
            return
        batch = tuple(self._pending)
        try:
            await anyio.to_thread.run_sync(self._write, batch)
        except StoreError as error:
            logger.warning("%d outcomes wait for the database: %s", len(batch), error)
            return
        written = {one.id for one in batch}
        while self._pending and self._pending[0].id in written:
            self._pending.popleft()

    def _write(self, outcomes: Sequence[Outcome]) -> None:
        self._store.record_outcomes(outcomes, keep=self._keep)

    def _may_say(self, principal: str) -> bool:
        today = self._now().date()
        if today != self._today:
            self._today = today
            self._said.clear()
        self._said[principal] += 1
        return self._said[principal] <= DAILY_LIMIT
