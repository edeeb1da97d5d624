"""Learns a policy for each tenant beside the serving, and hands selection the one that is ready.

A selection only looks up what is there; learning happens in a worker thread, when outcomes, domains
or models changed, and not at every change. A new policy takes the old one's place at once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from toolcrib_registry.errors import ToolcribError
from toolcrib_registry.store import Store
from toolcrib_registry.store.routing import RatingCount
from toolcrib_registry.types import (
    Domain,
    EntryKind,
    Model,
    ModelOutcome,
    Revision,
    hash_content,
)
from toolcrib_server.learning.mode import EVERYONE, Sharing
from toolcrib_server.learning.taking_up import FAILED, TakingUp

from .heeding import heeding
from .mode import RoutingMode
from .profiles import profile_of

if TYPE_CHECKING:
    from toolcrib_embeddings import Encoder, SearchIndex

    # Numpy is slow to import: what needs it is imported where it works.
    from .keeping import KeptPolicies
    from .library import OnProgress
    from .policy import Policy

logger = logging.getLogger(__name__)

LOOK_S: Final = 10.0
_SHORTEST_S: Final = 15.0
"""Between two fits of one tenant; a fit that took long waits ten times as long for the next."""
_PATIENCE: Final = 10
_MOST_TENANTS: Final = 32
"""Tenants with outcomes of their own that have a policy of their own; others use everyone's."""


def utc_now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to learn from, as far as a count tells."""

    counts: Mapping[str, RatingCount]
    domains: tuple[Domain, ...]
    models: tuple[Model, ...]
    models_hash: str

    @property
    def tenants(self) -> tuple[str, ...]:
        """Everyone's first, then the tenants with the most outcomes of their own."""
        others = (tenant for tenant in self.counts if tenant != EVERYONE)
        own = sorted(others, key=lambda tenant: -self.counts[tenant].outcomes)
        shared = (EVERYONE,) if EVERYONE in self.counts or self.domains else ()
        return (*shared, *own[:_MOST_TENANTS])

    def version(self, tenant: str, default: str | None) -> str:
        """Name the state of all that a tenant's policy is learned from."""
        counts = [
            (name, one.outcomes, str(one.latest))
            for name in dict.fromkeys((EVERYONE, tenant))
            if (one := self.counts.get(name))
        ]
        domains = [(domain.name, domain.examples) for domain in self.domains]
        return hash_content([counts, domains, self.models_hash, default])


class RoutingLearner:
    """Learns, and gives each selection the policy of its principal."""

    def __init__(
        self,
        store: Store,
        index: Callable[[], Awaitable[SearchIndex]],
        *,
        mode: RoutingMode,
        sharing: Sharing,
        default: str | None = None,
        now: Callable[[], datetime] = utc_now,
        folder: Path | None = None,
    ) -> None:
        """Keep what is learned in ``folder``, for the next process and for those beside."""
        self.mode = mode
        self.sharing = sharing
        self._store = store
        self._index = index
        self._default = default
        self.now = now
        self.taking_up = TakingUp()
        self._ready: Mapping[str, Policy] = {}
        self._failed: Mapping[str, str] = {}
        self._learning: str | None = None
        self._keeping = threading.Lock()
        self._forgotten = 0
        self._models: tuple[Revision, tuple[Model, ...], str] | None = None
        self._limiter = anyio.CapacityLimiter(1)
        self._folder = folder

    def policy(self, principal: str) -> Policy | None:
        """Give what selections of a principal use; None for nothing. Costs a look-up."""
        ready = self._ready
        return ready.get(self.sharing.tenant_of(principal)) or ready.get(EVERYONE)

    def expect(self) -> None:
        """Announce that `run` is about to begin: the first selections wait for its first look."""
        if self.mode.uses:
            self.taking_up.expect()

    async def taken_up(self, principal: str) -> str | None:
        """Wait, not for long, for what a principal's selections use; say why there is nothing yet.

        None also where there is nothing to be learned from.
        """
        reason = await self.taking_up.wait()
        tenant = self.sharing.tenant_of(principal)
        if tenant in self._ready:
            return None
        if reason is None and EVERYONE not in self._ready:
            return self._failed.get(tenant) or self._failed.get(EVERYONE)
        return reason

    @property
    def ready(self) -> Mapping[str, Policy]:
        """Every policy that is ready, by tenant."""
        return self._ready

    @property
    def learning(self) -> str | None:
        """The tenant that is learned from right now."""
        return self._learning

    @property
    def failed(self) -> Mapping[str, str]:
        """Why learning from a tenant's outcomes failed, where the last attempt did."""
        return self._failed

    async def run(self, *, interval_s: float = LOOK_S) -> None:
        """Look at each interval whether there is something new to learn. Never returns."""
        while True:
            try:
                await self.look()
                self.taking_up.finish()
            except ToolcribError as error:
                logger.warning("Routing waits: %s", error)
                self.taking_up.finish(error.detail)
            except Exception as error:  # noqa: BLE001  # top of a task; its text may be a query's
                logger.error("Routing waits: %s", type(error).__name__)
                self.taking_up.finish(FAILED)
            await anyio.sleep(interval_s)

    async def look(
        self,
        *,
        tenants: Collection[str] | None = None,
        at_once: bool = False,
        on_progress: OnProgress | None = None,
    ) -> None:
        """Learn where something changed; ``at_once``, also where the last time is not long ago.

        Without outcomes and domains this costs one count.
        """
        if not self.mode.uses:
            return
        seen = await anyio.to_thread.run_sync(self._see, limiter=self._limiter)
        if not seen.tenants:
            self._ready = {}
            await anyio.to_thread.run_sync(self._forget_kept)
            return
        index = await self._index()
        if _is_mute(index):
            self._ready = {}
            return
        wanted = [t for t in seen.tenants if tenants is None or t in tenants]
        with heeding(on_progress) as show:
            work = partial(
                self._look, index.encoder, seen, wanted, at_once=at_once, on_progress=show
            )
            await anyio.to_thread.run_sync(work, limiter=self._limiter)

    async def prepare(
        self, texts: Collection[str], *, on_progress: OnProgress | None = None
    ) -> None:
        """Encode queries or examples, so that learning from them does not have to.

        Cancelled, it ends with the batch at hand; what was encoded before is kept.
        """
        from .library import kept_vectors  # noqa: PLC0415  # slow

        index = await self._index()
        if _is_mute(index):
            return
        with heeding(on_progress) as show:
            work = partial(
                kept_vectors, self._store, index.encoder, sorted(texts), on_progress=show
            )
            await anyio.to_thread.run_sync(work, limiter=self._limiter)

    def forget(self, forget: Callable[[], int]) -> int:
        """Forget outcomes, and use nothing learned from any until the next look. Blocks."""
        with self._keeping:
            gone = forget()
            if gone:
                self._forgotten += 1
                self._ready = {}
                self._forget_kept()
            return gone

    # --- in a worker thread --------------------------------------------------------------------

    def _see(self) -> Seen:
        counts, domains = self._store.routing.count(), self._store.routing.list_domains()
        if not counts and not domains:
            return Seen({}, (), (), "")
        head = self._store.head()
        if self._models is None or self._models[0] != head:
            models = tuple(_live_models(self._store))
            self._models = (head, models, hash_content([_said_of(model) for model in models]))
        return Seen(counts, domains, *self._models[1:])

    def _look(
        self,
        encoder: Encoder,
        seen: Seen,
        wanted: Sequence[str],
        *,
        at_once: bool,
        on_progress: OnProgress | None,
    ) -> None:
        self._drop([tenant for tenant in self._ready if tenant not in seen.tenants])
        for tenant in wanted:
            version = seen.version(tenant, self._default)
            current = self._ready.get(tenant)
            if current and (current.version == version or not (at_once or self._is_due(current))):
                continue
            self._learning = tenant
            try:
                self._learn(encoder, seen, tenant, version, on_progress)
                self._failed = {t: why for t, why in self._failed.items() if t != tenant}
            except ToolcribError as error:
                self._failed = {**self._failed, tenant: error.detail}
                logger.warning("Routing of %s waits: %s", tenant, error.detail)
            finally:
                self._learning = None

    def _learn(
        self,
        encoder: Encoder,
        seen: Seen,
        tenant: str,
        version: str,
        on_progress: OnProgress | None,
    ) -> None:
        forgotten = self._forgotten
        kept = self._kept()
        policy = kept.find(tenant, version, encoder.id) if kept else None
        if policy is None:
            policy = self._fitted(encoder, seen, tenant, version, on_progress)
        else:
            kept = None
        with self._keeping:
            if self._forgotten == forgotten:
                policy = kept.keep(policy, encoder.id) if kept else policy
                self._ready = {**self._ready, tenant: policy}

    def _fitted(
        self,
        encoder: Encoder,
        seen: Seen,
        tenant: str,
        version: str,
        on_progress: OnProgress | None,
    ) -> Policy:
        from .guarding import guard_of  # noqa: PLC0415  # slow
        from .library import kept_vectors  # noqa: PLC0415  # slow
        from .policy import Material, learn  # noqa: PLC0415  # slow

        outcomes = self._read(tenant)
        texts = dict.fromkeys(one.query for one in outcomes)
        vectors = kept_vectors(self._store, encoder, texts, on_progress=on_progress)
        material = Material(
            tenant=tenant,
            version=version,
            outcomes=outcomes,
            vectors=vectors,
            models=seen.models,
            guard=guard_of(self._store, encoder, seen.domains),
            default=self._default,
        )
        return learn(material, now=self.now())

    def _kept(self) -> KeptPolicies | None:
        from .keeping import KeptPolicies  # noqa: PLC0415  # slow

        return KeptPolicies(self._folder) if self._folder else None

    def _forget_kept(self, tenants: Collection[str | None] = (None,)) -> None:
        if self._folder is None or not self._folder.is_dir():
            return
        kept = self._kept()
        for tenant in tenants:
            if kept:
                kept.forget(tenant)

    def _read(self, tenant: str) -> tuple[ModelOutcome, ...]:
        """Read everyone's outcomes and the tenant's own, the oldest first."""
        tenants = dict.fromkeys((EVERYONE, tenant))
        read = [one for name in tenants for one in self._store.routing.list_outcomes(name)]
        return tuple(sorted(read, key=lambda one: one.at))

    def _drop(self, tenants: Collection[str]) -> None:
        with self._keeping:
            if tenants:
                self._ready = {t: p for t, p in self._ready.items() if t not in tenants}
                self._forget_kept(tenants)

    def _is_due(self, current: Policy) -> bool:
        wait_s = max(_SHORTEST_S, _PATIENCE * current.took_s)
        return self.now() - current.learned_at >= timedelta(seconds=wait_s)


def _live_models(store: Store) -> Iterable[Model]:
    entries = store.iter_entries(kind=EntryKind.MODEL, live=True)
    return (entry for entry in entries if isinstance(entry, Model))


def _said_of(model: Model) -> list[object]:
    profile = profile_of(model)
    return [getattr(profile, name) for name in profile.__slots__]


def _is_mute(index: SearchIndex) -> bool:
    from toolcrib_embeddings import NoEncoder  # noqa: PLC0415  # slow to import

    return isinstance(index.encoder, NoEncoder)
