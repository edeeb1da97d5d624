"""Learns from a tenant's outcomes, judges it by replay, and hands searches what passed.

A search only looks up what is ready; learning happens beside, in a worker thread, when enough is
new. Forgetting takes effect with the next look, in every process.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from toolcrib_registry.errors import EncoderError, NotPermitted, ToolcribError
from toolcrib_registry.store import Store
from toolcrib_registry.types import Forgotten, Learned, Outcome

from .confirming import confirm_by
from .gate import decide
from .library import documents, query_vectors, vectors_of
from .mode import LearningMode, Sharing
from .recorder import utc_now
from .replay import Arm, replay
from .retrieval import IndexRetriever
from .standing import TenantState, arm_in_use, confirmation_of, is_due, render_report, state_of
from .taking_up import FAILED, TakingUp

if TYPE_CHECKING:
    from toolcrib_embeddings import Encoder, SearchIndex
    from toolcrib_embeddings.learning.lessons import Lessons

logger = logging.getLogger(__name__)

_LOOK_S: Final = 60.0


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
        self.taking_up = TakingUp()
        self._ready: Mapping[str, Lessons] = {}
        self._keeping = threading.Lock()
        """Held while something is kept or forgotten: what was forgotten is not kept after it."""
        self._forgotten: Counter[str] = Counter()
        """How often something of a tenant was forgotten."""
        self._limiter = anyio.CapacityLimiter(1)

    def lessons(self, principal: str) -> Lessons | None:
        """Give what searches of a principal use; None for nothing. Costs a look-up."""
        return self._ready.get(self._sharing.tenant_of(principal))

    async def run(self, *, interval_s: float = _LOOK_S) -> None:
        """Look for new outcomes at each interval, and learn where it is due. Never returns.

        First of all it takes up what is in use already: the first searches wait for that.
        """
        await self._try_look(learn=False)
        while True:
            await self._try_look(learn=True)
            await anyio.sleep(interval_s)

    async def _try_look(self, *, learn: bool) -> None:
        try:
            await self.look(learn=learn)
            self.taking_up.finish()
        except ToolcribError as error:
            logger.warning("Learning waits: %s", error)
            self.taking_up.finish(error.detail)
        except Exception as error:  # noqa: BLE001  # top of a task; its text may be a query's
            logger.error("Learning waits: %s", type(error).__name__)
            self.taking_up.finish(FAILED)

    def expect(self) -> None:
        """Announce that `run` is about to begin: the first searches wait for its first look."""
        if self.mode.uses:
            self.taking_up.expect()

    async def look(self, *, learn: bool = True) -> None:
        """Learn where enough is new, then make ready what is in use now."""
        if not self.mode.uses:
            return
        counts = await anyio.to_thread.run_sync(self._store.count_outcomes)
        if not counts:
            self._ready = {}
            return
        index = await self._index()
        if _says_nothing(index):
            return
        work = partial(self._look, index, counts, learn=learn)
        await anyio.to_thread.run_sync(work, limiter=self._limiter)

    async def learn(
        self, tenant: str, *, on_progress: Callable[[int, int], None] | None = None
    ) -> Learned:
        """Replay a tenant's outcomes now, and store what is in use from now on.

        Raises:
            NotPermitted: Some of them were forgotten meanwhile; nothing is stored.
            EncoderError: There is no encoder to replay them with.
        """
        index = await self._index()
        if reason := _says_nothing(index):
            raise EncoderError(reason)
        work = partial(self._learn, index, tenant, on_progress=on_progress)
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    async def states(self) -> tuple[TenantState, ...]:
        """Tell how it stands with every tenant that has outcomes."""
        counts = await anyio.to_thread.run_sync(self._store.count_outcomes)
        if not counts:
            return ()
        encoder_id = (await self._index()).encoder.id
        return await anyio.to_thread.run_sync(self._states, encoder_id, counts)

    # --- in a worker thread --------------------------------------------------------------------

    def forget(self, forget: Callable[[], Forgotten]) -> Forgotten:
        """Forget, and use nothing of the tenants concerned until the next look. Blocks."""
        with self._keeping:
            gone = forget()
            self._forgotten.update(gone.tenants)
            self._ready = {
                tenant: lessons
                for tenant, lessons in self._ready.items()
                if tenant not in gone.tenants
            }
            return gone

    def _look(self, index: SearchIndex, counts: Mapping[str, int], *, learn: bool) -> None:
        with self._keeping:
            seen = Counter(self._forgotten)
        ready: dict[str, Lessons] = {}
        for tenant, count in counts.items():
            try:
                lessons = self._look_at(index, tenant, count, learn=learn)
            except Exception as error:  # noqa: BLE001  # top of a task; its text may be a query's
                logger.warning("Learning of %s waits: %s", tenant, type(error).__name__)
                continue
            if lessons is not None:
                ready[tenant] = lessons
        with self._keeping:
            self._ready = {
                tenant: lessons
                for tenant, lessons in ready.items()
                if self._forgotten[tenant] == seen[tenant]
            }

    def _look_at(
        self, index: SearchIndex, tenant: str, count: int, *, learn: bool
    ) -> Lessons | None:
        learned = self._store.find_learned(tenant, index.encoder.id)
        if learn and is_due(learned, count, now=self._now()):
            learned = self._learn(index, tenant)
        if learned is None or not (arm_in_use(learned) or confirmation_of(learned)):
            return None
        return self._lessons(index.encoder, learned, arm_in_use(learned), count)

    def _lessons(self, encoder: Encoder, learned: Learned, arm: Arm | None, count: int) -> Lessons:
        from toolcrib_embeddings.learning.adapter import QueryAdapter  # noqa: PLC0415  # slow to import
        from toolcrib_embeddings.learning.lessons import Lessons  # noqa: PLC0415  # the same
        from toolcrib_embeddings.learning.memory import QueryMemory  # noqa: PLC0415  # the same

        latest = self._store.latest_outcome(learned.tenant)
        version = f"{learned.at.isoformat()}/{count}/{latest}"
        current = self._ready.get(learned.tenant)
        if current is not None and current.version == version:
            return current
        adapter = memory = None
        if arm and arm.adapter and learned.adapter:
            adapter = QueryAdapter.load(
                learned.adapter, encoder_id=encoder.id, dimension=encoder.dimension
            )
        strength = arm.strength if arm else 0.0
        if strength:
            outcomes = self._read(learned.tenant)
            memory = QueryMemory.of(outcomes, query_vectors(self._store, encoder, outcomes))
        confirmed = confirmation_of(learned)
        return Lessons(learned.tenant, version, adapter, memory, strength, confirmed)

    def _learn(
        self,
        index: SearchIndex,
        tenant: str,
        *,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Learned:
        from toolcrib_embeddings.learning.adapter import train_adapter  # noqa: PLC0415  # slow to import
        from toolcrib_embeddings.queries.negation import read_query  # noqa: PLC0415  # the same

        seen = self._forgotten[tenant]
        encoder, outcomes = index.encoder, self._read(tenant)
        queries = query_vectors(self._store, encoder, outcomes)
        live = self._store.iter_entries(live=True)
        corpus = documents(self._store, encoder, index.representation, live)
        vectors = vectors_of(encoder, queries, corpus)
        texts = {read_query(one.query).text: queries[one.query_hash] for one in outcomes}
        retriever = IndexRetriever(corpus, encoder, texts)
        report = replay(outcomes, retriever, vectors, on_progress=on_progress)
        previous = arm_in_use(self._store.find_learned(tenant, encoder.id))
        choice = decide(report, in_use=previous.name if previous else None)
        adapter = None
        if choice.arm and choice.arm.adapter:
            adapter = train_adapter(outcomes, queries, vectors.entries, encoder_id=encoder.id)
        now = self._now()
        confirmed = confirm_by(outcomes, retriever, vectors, arm=choice.arm, now=now)
        learned = Learned(
            tenant=tenant,
            encoder_id=encoder.id,
            at=now,
            report=render_report(report, choice, len(outcomes), confirmed),
            adapter=adapter.dump() if adapter else None,
        )
        self._keep(learned, outcomes, seen)
        return learned

    def _keep(self, learned: Learned, outcomes: Sequence[Outcome], seen: int) -> None:
        with self._keeping:
            forgotten = self._forgotten[learned.tenant] != seen
            # Another process may have forgotten some.
            if forgotten or _shrank(outcomes, self._read(learned.tenant)):
                raise NotPermitted("Outcomes were forgotten while they were replayed. Try again.")
            self._store.put_learned(learned)

    def _read(self, tenant: str) -> list[Outcome]:
        return list(self._store.iter_outcomes(tenant=tenant))

    def _states(self, encoder_id: str, counts: Mapping[str, int]) -> tuple[TenantState, ...]:
        return tuple(
            state_of(tenant, count, self._store.find_learned(tenant, encoder_id), self.mode)
            for tenant, count in counts.items()
        )


def _says_nothing(index: SearchIndex) -> str | None:
    """Say why the index has no vectors to learn with; None when it has."""
    from toolcrib_embeddings import NoEncoder  # noqa: PLC0415  # slow to import

    return index.encoder.reason if isinstance(index.encoder, NoEncoder) else None


def _shrank(before: Sequence[Outcome], after: Sequence[Outcome]) -> bool:
    """Say whether outcomes went for another reason than that the oldest made room for new ones."""
    kept = {one.id for one in after}
    gone = [one for one in before if one.id not in kept]
    return bool(gone) and (len(after) < len(before) or gone[-1].at > after[0].at)
