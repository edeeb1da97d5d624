"""What checks said is kept as outcomes of models, and thresholds are learned from them.

So that a cascade teaches the choice of models too: an answer that fits no schema is an outcome.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio.to_thread

from toolcrib_registry.store import Store
from toolcrib_registry.types import RatingSource
from toolcrib_server.routing.desk import RoutingDesk
from toolcrib_server.routing.rows import MAX_QUERY_CHARS, OutcomeRow

from .calibration import Threshold, learn_threshold, pairs_of
from .climbing import Step

_KEPT_S = 60.0


class CascadeMemory:
    """Keeps what checks said. Thresholds are learned again after a minute."""

    def __init__(self, store: Store, desk: RoutingDesk) -> None:
        self._store = store
        self._desk = desk
        self._thresholds: dict[str, tuple[float, Threshold]] = {}

    async def record(self, principal: str, task: str, steps: Sequence[Step]) -> None:
        """Record the score of every answer that was checked; not where a check itself failed.

        Raises:
            NotPermitted: The principal has said too much today.
        """
        rows = [
            OutcomeRow(
                where="cascade",
                query=task[:MAX_QUERY_CHARS],
                model=step.model,
                score=step.score,
                cost_usd=step.answered.measured.cost_usd,
                latency_ms=step.answered.measured.duration_ms,
            )
            for step in steps
            if step.answered is not None and all(verdict.made for verdict in step.verdicts)
        ]
        if rows and self._desk.learner.mode.takes:
            await self._desk.record(rows, principal=principal, source=RatingSource.VERIFIER)

    async def find_threshold(self, principal: str) -> Threshold:
        """Find the threshold that the principal's tenant has learned."""
        tenant = self._desk.learner.sharing.tenant_of(principal)
        kept = self._thresholds.get(tenant)
        if kept is None or kept[0] < anyio.current_time():
            found = await anyio.to_thread.run_sync(self._learn, tenant)
            kept = self._thresholds[tenant] = (anyio.current_time() + _KEPT_S, found)
        return kept[1]

    def _learn(self, tenant: str) -> Threshold:
        return learn_threshold(pairs_of(self._store.routing.list_outcomes(tenant)))
