"""What each key may spend on models in a day, and what it has: known before a call, not after.

Knows keys by name and sums in USD; nothing of models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Protocol

from toolcrib_registry.errors import BudgetExceeded, NotCallable
from toolcrib_registry.types import CallRecord

from .figures import OFFER_KEY, measured_in

ANYBODY = "*"
"""Stands for every key that is not named: each has that budget of its own."""


class Budgets(Protocol):
    """Decides whether a key may spend."""

    def reserve(self, principal: str, cost_usd: float | None, what: str) -> float:
        """Set aside what a call is expected to cost; return that.

        Raises:
            BudgetExceeded: The key would spend more than it may.
            NotCallable: The key has a budget, and the price is unknown.
        """
        ...

    def settle(self, principal: str, reserved_usd: float, spent_usd: float | None) -> None:
        """Put what a call has cost in the place of what was set aside."""
        ...


class DailyBudgets:
    """A budget for each UTC day, in memory. ``limits`` are USD by the name of the key."""

    def __init__(
        self,
        limits: Mapping[str, float] | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._limits = dict(limits or {})
        self._now = now
        self._day = now().date()
        self._spent: dict[str, float] = {}
        self._reserved: dict[str, float] = {}

    @property
    def began(self) -> datetime:
        """When the day began whose spending is counted."""
        return datetime.combine(self._day, time.min, tzinfo=UTC)

    def reserve(self, principal: str, cost_usd: float | None, what: str) -> float:
        """Set aside what a call is expected to cost; return that.

        Raises:
            BudgetExceeded: The key would spend more than it may.
            NotCallable: The key has a budget, and the price is unknown.
        """
        limit = self._limits.get(principal, self._limits.get(ANYBODY))
        if limit is None:
            return 0.0
        if cost_usd is None:
            raise NotCallable(
                f"{what} cannot be called with the key {principal!r}: the key has a budget, and "
                "the price is unknown. Register its prices (0 is free)."
            )
        self._turn()
        spent = self._spent.get(principal, 0.0)
        held = self._reserved.get(principal, 0.0)
        # What is free never exceeds anything.
        if cost_usd and spent + held + cost_usd > limit:
            raise BudgetExceeded(
                f"The key {principal!r} may spend {limit:g} USD a day and has spent {spent:.6g}; "
                f"this call of {what} may cost {cost_usd:.6g}.",
                retry_after_s=self._left_s(),
            )
        self._reserved[principal] = held + cost_usd
        return cost_usd

    def settle(self, principal: str, reserved_usd: float, spent_usd: float | None) -> None:
        """Put what a call has cost in the place of what was set aside."""
        self._turn()
        self._reserved[principal] = max(self._reserved.get(principal, 0.0) - reserved_usd, 0.0)
        self._spent[principal] = self._spent.get(principal, 0.0) + (spent_usd or 0.0)

    def spent_usd(self, principal: str) -> float:
        """Say what a key has spent today."""
        self._turn()
        return self._spent.get(principal, 0.0)

    def recall(self, records: Iterable[CallRecord]) -> None:
        """Count what audit records say was spent today."""
        for record in records:
            if OFFER_KEY in record.argument_shape and record.at.date() == self._day:
                self.settle(record.principal, 0.0, measured_in(record).cost_usd)

    def _turn(self) -> None:
        today = self._now().date()
        if today != self._day:
            self._day = today
            self._spent.clear()

    def _left_s(self) -> float:
        now = self._now()
        tomorrow = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return (tomorrow - now).total_seconds()
