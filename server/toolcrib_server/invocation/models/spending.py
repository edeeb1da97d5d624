"""What each key may spend on models in a day, and what it has: known before a call, not after.

The sums stand in the store, so that all processes which share it see the same. Knows keys by name
and sums in USD; nothing of models.
"""

from __future__ import annotations

import logging
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Final, Protocol

import anyio
import anyio.to_thread

from toolcrib_registry.errors import BudgetExceeded, NotCallable, StoreError
from toolcrib_registry.store import Store
from toolcrib_registry.store.spending import Balance, Reservation
from toolcrib_registry.types import EntryKind
from toolcrib_server.invocation.figures.measured import OFFER_KEY, measured_in

logger = logging.getLogger(__name__)

ANYBODY = "*"
"""Stands for every key that is not named: each has that budget of its own."""
_GRACE_S: Final = 60.0
"""After its deadline a call may still be settled; by then its process is taken for dead."""
_MOST_RECORDS: Final = 1_000_000
_MOST_OWED: Final = 10_000


class Budgets(Protocol):
    """Decides whether a key may spend."""

    async def reserve(
        self, principal: str, cost_usd: float | None, what: str, *, timeout_s: float
    ) -> Reservation:
        """Set aside what a call is expected to cost, for as long as it may take.

        Raises:
            BudgetExceeded: The key would spend more than it may.
            NotCallable: The key has a budget, and the price is unknown.
        """
        ...

    async def settle(self, reservation: Reservation, spent_usd: float | None) -> None:
        """Put what a call has cost in the place of what was set aside."""
        ...


class DailyBudgets:
    """A budget for each UTC day. ``limits`` are USD by the name of the key.

    A key without a limit costs no look at the store, and neither does a call that is free.
    """

    def __init__(
        self,
        store: Store,
        limits: Mapping[str, float] | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._limits = dict(limits or {})
        self._now = now
        self._owed: deque[tuple[Reservation, float]] = deque(maxlen=_MOST_OWED)

    async def reserve(
        self, principal: str, cost_usd: float | None, what: str, *, timeout_s: float
    ) -> Reservation:
        """Set aside what a call is expected to cost, for as long as it may take.

        Raises:
            BudgetExceeded: The key would spend more than it may.
            NotCallable: The key has a budget, and the price is unknown.
            StoreError: It has a budget, and nobody can tell what it has spent.
        """
        asked = self._asked(principal, cost_usd or 0.0, timeout_s)
        limit = self._limit(principal)
        if limit is None:
            return asked
        if cost_usd is None:
            raise NotCallable(
                f"{what} cannot be called with the key {principal!r}: the key has a budget, and "
                "the price is unknown. Register its prices (0 is free)."
            )
        # What is free never exceeds anything.
        if cost_usd:
            await _whole(partial(self._reserve, asked, limit, what))
        return asked

    async def settle(self, reservation: Reservation, spent_usd: float | None) -> None:
        """Put what a call has cost in the place of what was set aside.

        Where the store cannot be written, that is done at the next call; never raises for it.
        """
        spent = spent_usd or 0.0
        if self._limit(reservation.principal) is None or not (reservation.usd or spent):
            return
        await _whole(partial(self._settle, reservation, spent))

    def spent_usd(self, principal: str) -> float:
        """Say what a key with a budget has spent today, by whichever process. Blocks."""
        now = self._now()
        return self._store.spending.balance(principal, now.date(), now=now).spent_usd

    # --- in a worker thread --------------------------------------------------------------------

    def _reserve(self, asked: Reservation, limit: float, what: str) -> None:
        self._pay_owed()
        balance = self._balance(asked, limit)
        if not balance.granted:
            held = f", {balance.held_usd:.6g} more is set aside" if balance.held_usd else ""
            raise BudgetExceeded(
                f"The key {asked.principal!r} may spend {limit:g} USD a day and has spent "
                f"{balance.spent_usd:.6g}{held}; this call of {what} may cost {asked.usd:.6g}.",
                retry_after_s=self._left_s(),
            )

    def _balance(self, asked: Reservation, limit: float) -> Balance:
        spending = self._store.spending
        balance = spending.reserve(asked, limit_usd=limit, now=self._now())
        if balance is None:
            spending.open(asked.principal, asked.day, spent_usd=self._recorded(asked))
            balance = spending.reserve(asked, limit_usd=limit, now=self._now())
        assert balance is not None, "the day has been opened"
        return balance

    def _recorded(self, asked: Reservation) -> float:
        """Sum what the records say that the key spent before it had a budget today."""
        since = datetime.combine(asked.day, time.min, tzinfo=UTC)
        records = self._store.list_calls(
            kind=EntryKind.MODEL, principal=asked.principal, since=since, limit=_MOST_RECORDS
        )
        costs = (
            measured_in(record).cost_usd
            for record in records
            if OFFER_KEY in record.argument_shape and record.at.date() == asked.day
        )
        return sum(cost for cost in costs if cost)

    def _settle(self, reservation: Reservation, spent: float) -> None:
        self._owed.append((reservation, spent))
        try:
            self._pay_owed()
        except StoreError as error:
            logger.warning("%d calls wait to be put on account: %s", len(self._owed), error)

    def _pay_owed(self) -> None:
        while self._owed:
            try:
                reservation, spent = self._owed.popleft()
            except IndexError:
                return  # another thread pays it
            try:
                self._store.spending.settle(reservation, spent_usd=spent)
            except StoreError:
                self._owed.append((reservation, spent))
                raise

    # --- what it knows -------------------------------------------------------------------------

    def _limit(self, principal: str) -> float | None:
        return self._limits.get(principal, self._limits.get(ANYBODY))

    def _asked(self, principal: str, usd: float, timeout_s: float) -> Reservation:
        now = self._now()
        return Reservation(
            id=uuid.uuid4().hex,
            principal=principal,
            day=_day(now),
            usd=usd,
            expires_at=now + timedelta(seconds=timeout_s + _GRACE_S),
        )

    def _left_s(self) -> float:
        now = self._now()
        tomorrow = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return (tomorrow - now).total_seconds()


def _day(now: datetime) -> date:
    return now.astimezone(UTC).date()


async def _whole(work: Callable[[], None]) -> None:
    """Do it to the end, also for a caller who leaves: half of it would leave money set aside."""
    with anyio.CancelScope(shield=True):
        await anyio.to_thread.run_sync(work)
