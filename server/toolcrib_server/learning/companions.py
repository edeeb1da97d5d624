"""Keeps ready, for each tenant, what was learned of tools that need each other.

Reads the audit of calls beside the serving; a search only looks up what is ready. What was refused
holds whatever the mode.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from toolcrib_registry.errors import ToolcribError
from toolcrib_registry.store import Store
from toolcrib_registry.types import CallStep, Entry, EntryId, ForgottenCalls

from .following import Followed, follow
from .mode import LearningMode, Sharing
from .needed import Needed, tell_needs
from .recorder import DAILY_LIMIT, utc_now
from .taking_up import FAILED, TakingUp

if TYPE_CHECKING:
    from toolcrib_embeddings.ranking.companions import Companions

logger = logging.getLogger(__name__)

_LOOK_S: Final = 60.0
_EVERY_MIN: Final = 10
"""Between two readings of the audit, unless something was forgotten."""
_WINDOW_DAYS: Final = 180
_MOST_STEPS: Final = 20_000
_MOST_OF_ONE: Final = 4 * DAILY_LIMIT

Pairs = Mapping[EntryId, tuple[Followed, ...]]


class CompanionDesk:
    """Learns which tools need which, and gives each search what holds for its principal."""

    def __init__(
        self,
        store: Store,
        *,
        mode: LearningMode,
        sharing: Sharing,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.mode = mode
        self._store = store
        self._sharing = sharing
        self._now = now
        self.taking_up = TakingUp()
        self._learning = threading.Lock()
        self._pairs: Mapping[str, Pairs] = {}
        self._refused: frozenset[tuple[EntryId, EntryId]] = frozenset()
        self._forgotten: tuple[ForgottenCalls, ...] = ()
        self._ready: Mapping[str, Companions] = {}
        self._others: Companions | None = None
        self._seen: str | None = None
        self._read_at: datetime | None = None

    @property
    def learns(self) -> bool:
        """Whether calls teach anything here."""
        return self.mode.watches_calls and self.mode.uses

    def companions(self, principal: str) -> Companions | None:
        """Give what searches of a principal use. Costs a look-up."""
        return self._ready.get(self._sharing.tenant_of(principal), self._others)

    def pairs(self) -> Mapping[str, Pairs]:
        """Tell by tenant what is in use: which tools bring which, from use."""
        return self._pairs

    @property
    def refused(self) -> frozenset[tuple[EntryId, EntryId]]:
        """Pairs of which the first is never to bring the second, unless that is declared."""
        return self._refused

    async def run(self, *, interval_s: float = _LOOK_S) -> None:
        """Look at each interval whether there is more to learn. Never returns."""
        while True:
            try:
                await self.look()
                self.taking_up.finish()
            except ToolcribError as error:
                logger.warning("Learning which tools go together waits: %s", error)
                self.taking_up.finish(error.detail)
            except Exception as error:  # noqa: BLE001  # top of a task
                logger.error("Learning which tools go together waits: %s", type(error).__name__)
                self.taking_up.finish(FAILED)
            await anyio.sleep(interval_s)

    def expect(self) -> None:
        """Announce that `run` is about to begin: the first searches wait for its first look."""
        self.taking_up.expect()

    async def look(self, *, now: bool = False) -> None:
        """Read what is new, and use it; ``now`` also what came since the last time."""
        await anyio.to_thread.run_sync(partial(self._look, at_once=now))

    async def forget(
        self, *, principal: str | None, tenant: str | None, before: datetime | None
    ) -> None:
        """Learn nothing from calls that fit all that is given, up to now; the audit keeps them."""
        until = min(before or self._now(), self._now())
        forget = partial(
            self._store.needs.forget_calls, tenant=tenant, principal=principal, until=until
        )
        await anyio.to_thread.run_sync(forget)
        await self.look(now=True)

    async def needs(self, entry: Entry, *, principal: str = "local") -> tuple[Needed, ...]:
        """Tell what a search that finds the entry may bring along, and how that is known."""
        await self.look()
        companions = self.companions(principal)
        if companions is None:
            return ()
        return await anyio.to_thread.run_sync(tell_needs, self._store, entry, companions)

    async def refuse(self, entry: EntryId, needed: EntryId, *, actor: str) -> bool:
        """Never bring ``needed`` along because of ``entry``; False when it is so already."""
        refuse = partial(self._store.needs.refuse, entry, needed, at=self._now(), actor=actor)
        done = await anyio.to_thread.run_sync(refuse)
        await self.look()
        return done

    async def allow(self, entry: EntryId, needed: EntryId) -> bool:
        """Take a refusal back; False when there is none."""
        done = await anyio.to_thread.run_sync(self._store.needs.allow, entry, needed)
        await self.look()
        return done

    # --- in a worker thread --------------------------------------------------------------------

    def _look(self, *, at_once: bool) -> None:
        with self._learning:
            needs = self._store.needs
            refused, forgotten = needs.list_refused(), needs.list_forgotten()
            pairs = self._pairs
            if self._is_due(at_once=at_once or forgotten != self._forgotten):
                pairs = self._learn(forgotten)
            if (pairs, refused) != (self._pairs, self._refused) or self._others is None:
                self._use(pairs, refused)
            self._forgotten = forgotten

    def _is_due(self, *, at_once: bool) -> bool:
        if not self.learns:
            return False
        if at_once or self._read_at is None:
            return True
        rested = self._now() - self._read_at >= timedelta(minutes=_EVERY_MIN)
        return rested and self._store.needs.latest_call() != self._seen

    def _learn(self, forgotten: tuple[ForgottenCalls, ...]) -> Mapping[str, Pairs]:
        now = self._now()
        self._seen, self._read_at = self._store.needs.latest_call(), now
        steps = self._store.needs.list_steps(
            since=now - timedelta(days=_WINDOW_DAYS), each=_MOST_OF_ONE, limit=_MOST_STEPS
        )
        by_tenant: dict[str, list[CallStep]] = defaultdict(list)
        for step in steps:
            tenant = self._sharing.tenant_of(step.principal)
            if not any(_fits(step, tenant, one) for one in forgotten):
                by_tenant[tenant].append(step)
        learned = {tenant: follow(its, now=now) for tenant, its in by_tenant.items()}
        return {tenant: pairs for tenant, pairs in learned.items() if pairs}

    def _use(self, pairs: Mapping[str, Pairs], refused: frozenset[tuple[EntryId, EntryId]]) -> None:
        from toolcrib_embeddings.ranking.companions import Companions, Learned  # noqa: PLC0415  # slow

        self._pairs, self._refused = pairs, refused
        self._others = Companions(refused=refused)
        self._ready = {
            tenant: Companions(
                {
                    tool: tuple(Learned(one.entry, one.why) for one in followed)
                    for tool, followed in its.items()
                },
                refused,
            )
            for tenant, its in pairs.items()
        }


def _fits(step: CallStep, tenant: str, one: ForgottenCalls) -> bool:
    return (
        step.at < one.until
        and one.tenant in {None, tenant}
        and one.principal in {None, step.principal}
    )
