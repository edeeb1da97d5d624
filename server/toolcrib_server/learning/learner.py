"""Learns from a tenant's outcomes, judges it by replay, and hands searches what passed.

A search only looks up what is ready; learning happens beside, in a worker thread, when enough is
new. Forgetting takes effect with the next look, in every process.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread

from toolcrib_registry.errors import ToolcribError
from toolcrib_registry.store import Store
from toolcrib_registry.types import JsonObject, Learned, Outcome

from .gate import Choice, decide
from .library import documents, plain_query, query_vectors, vectors_of
from .mode import LearningMode, Sharing
from .recorder import utc_now
from .replay import ARMS, Arm, Report, replay
from .retrieval import IndexRetriever

if TYPE_CHECKING:
    from toolcrib_embeddings import Encoder, SearchIndex
    from toolcrib_embeddings.lessons import Lessons

logger = logging.getLogger(__name__)

_LOOK_S: Final = 60.0
_FEWEST_NEW: Final = 50
"""Outcomes before a tenant is learned from again, or a fifth of what it was learned from."""
_NEW_SHARE: Final = 0.2
_EVERY_H: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantState:
    """What stands with one tenant."""

    tenant: str
    outcomes: int
    in_use: str | None
    """The arm that searches use; None for nothing."""
    reason: str
    judged_at: datetime | None
    report: JsonObject | None
    """The last replay, as it was stored."""


class Learner:
    """Learns, and gives each search what is in use for its principal."""

    def __init__(
        self,
        store: Store,
        index: Callable[[], Awaitable[SearchIndex]],
        *,
        mode: LearningMode,
        sharing: Sharing,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.mode = mode
        self._store = store
        self._index = index
        self._sharing = sharing
        self._now = now
        self._ready: Mapping[str, Lessons] = {}
        self._limiter = anyio.CapacityLimiter(1)

    def lessons(self, principal: str) -> Lessons | None:
        """Give what searches of a principal use; None for nothing. Costs a look-up."""
        return self._ready.get(self._sharing.tenant_of(principal))

    async def run(self, *, interval_s: float = _LOOK_S) -> None:
        """Look for new outcomes at each interval, and learn where it is due. Never returns."""
        while True:
            try:
                await self.look()
            except ToolcribError as error:
                logger.warning("Learning waits: %s", error)
            await anyio.sleep(interval_s)

    async def look(self, *, learn: bool = True) -> None:
        """Learn where enough is new, then make ready what is in use now."""
        if not self.mode.uses:
            return
        counts = await anyio.to_thread.run_sync(self._store.count_outcomes)
        if not counts:
            self._ready = {}
            return
        work = partial(self._look, await self._index(), counts, learn=learn)
        self._ready = await anyio.to_thread.run_sync(work, limiter=self._limiter)

    async def learn(
        self, tenant: str, *, on_progress: Callable[[int, int], None] | None = None
    ) -> Learned:
        """Replay a tenant's outcomes now, and store what is in use from now on."""
        work = partial(self._learn, await self._index(), tenant, on_progress=on_progress)
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    async def states(self) -> tuple[TenantState, ...]:
        """Tell how it stands with every tenant that has outcomes."""
        counts = await anyio.to_thread.run_sync(self._store.count_outcomes)
        if not counts:
            return ()
        encoder_id = (await self._index()).encoder.id
        return await anyio.to_thread.run_sync(self._states, encoder_id, counts)

    def drop(self) -> None:
        """Use nothing until the next look: something was forgotten."""
        self._ready = {}

    # --- in a worker thread --------------------------------------------------------------------

    def _look(
        self, index: SearchIndex, counts: Mapping[str, int], *, learn: bool
    ) -> dict[str, Lessons]:
        encoder = index.encoder
        ready: dict[str, Lessons] = {}
        for tenant, count in counts.items():
            learned = self._store.find_learned(tenant, encoder.id)
            if learn and _is_due(learned, count, now=self._now()):
                learned = self._learn(index, tenant)
            arm = arm_in_use(learned)
            if learned is not None and arm is not None:
                ready[tenant] = self._lessons(encoder, learned, arm, count)
        return ready

    def _lessons(self, encoder: Encoder, learned: Learned, arm: Arm, count: int) -> Lessons:
        from toolcrib_embeddings.adapter import QueryAdapter  # noqa: PLC0415  # slow to import
        from toolcrib_embeddings.lessons import Lessons  # noqa: PLC0415  # the same
        from toolcrib_embeddings.memory import QueryMemory  # noqa: PLC0415  # the same

        latest = self._store.latest_outcome(learned.tenant)
        version = f"{learned.at.isoformat()}/{count}/{latest}"
        current = self._ready.get(learned.tenant)
        if current is not None and current.version == version:
            return current
        adapter = memory = None
        if arm.adapter and learned.adapter:
            adapter = QueryAdapter.load(learned.adapter, encoder_id=encoder.id)
        if arm.strength:
            outcomes = self._read(learned.tenant)
            memory = QueryMemory.of(outcomes, query_vectors(self._store, encoder, outcomes))
        return Lessons(learned.tenant, version, adapter, memory, arm.strength)

    def _learn(
        self,
        index: SearchIndex,
        tenant: str,
        *,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Learned:
        from toolcrib_embeddings.adapter import train_adapter  # noqa: PLC0415  # slow to import

        encoder, outcomes = index.encoder, self._read(tenant)
        queries = query_vectors(self._store, encoder, outcomes)
        live = self._store.iter_entries(live=True)
        corpus = documents(self._store, encoder, index.representation, live)
        vectors = vectors_of(encoder, queries, corpus)
        texts = {plain_query(one.query): queries[one.query_hash] for one in outcomes}
        retriever = IndexRetriever(corpus, encoder, texts)
        report = replay(outcomes, retriever, vectors, on_progress=on_progress)
        previous = arm_in_use(self._store.find_learned(tenant, encoder.id))
        choice = decide(report, in_use=previous.name if previous else None)
        adapter = None
        if choice.arm and choice.arm.adapter:
            adapter = train_adapter(outcomes, queries, vectors.entries, encoder_id=encoder.id)
        learned = Learned(
            tenant=tenant,
            encoder_id=encoder.id,
            at=self._now(),
            report=_render(report, choice, len(outcomes)),
            adapter=adapter.dump() if adapter else None,
        )
        self._store.put_learned(learned)
        return learned

    def _read(self, tenant: str) -> list[Outcome]:
        return list(self._store.iter_outcomes(tenant=tenant))

    def _states(self, encoder_id: str, counts: Mapping[str, int]) -> tuple[TenantState, ...]:
        return tuple(
            _state(tenant, count, self._store.find_learned(tenant, encoder_id), self.mode)
            for tenant, count in counts.items()
        )


def arm_in_use(learned: Learned | None) -> Arm | None:
    """Read which arm is in use; one that this release does not know is none."""
    name = learned.report.get("inUse") if learned else None
    return next((arm for arm in ARMS if arm.name == name), None)


def _is_due(learned: Learned | None, count: int, *, now: datetime) -> bool:
    if learned is None:
        return count >= _FEWEST_NEW
    if count >= _FEWEST_NEW and now - learned.at >= timedelta(hours=_EVERY_H):
        return True  # a full store's count stays, though its outcomes are others
    then: int = learned.report.get("outcomes", 0)
    # Fewer than then: the oldest made room, or some were forgotten.
    return abs(count - then) >= max(_FEWEST_NEW, _NEW_SHARE * then)


def _render(report: Report, choice: Choice, outcomes: int) -> dict[str, Any]:
    return {
        "inUse": choice.arm.name if choice.arm else None,
        "reason": choice.reason,
        "outcomes": outcomes,
        "learnedFrom": report.learned_from,
        "cases": report.cases,
        "before": report.before,
        "gains": [asdict(gain) for gain in report.gains],
    }


def _state(tenant: str, count: int, learned: Learned | None, mode: LearningMode) -> TenantState:
    arm = arm_in_use(learned)
    reason = learned.report.get("reason", "") if learned else "not replayed yet"
    if not mode.uses:
        arm, reason = None, f"TOOLCRIB_LEARNING={mode} uses nothing"
    return TenantState(
        tenant=tenant,
        outcomes=count,
        in_use=arm.name if arm else None,
        reason=reason,
        judged_at=learned.at if learned else None,
        report=learned.report if learned else None,
    )
