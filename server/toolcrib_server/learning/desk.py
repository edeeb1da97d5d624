"""Where learning meets the faces: what was shown, what people say of it, and forgetting.

Joins recorder, learner and store; knows no face and no wire format.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial

import anyio.to_thread

from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryId, Outcome, Verdict

from .companions import CompanionDesk
from .learner import Learner
from .mode import LearningMode
from .recorder import MAX_QUERY_CHARS, OutcomeLog
from .standing import TenantState

Recall = Callable[[str], Awaitable[Sequence[EntryId]]]
"""Ranks entries for a query, best first, a hundred deep."""


class FeedbackDesk:
    """What the faces ask of learning."""

    def __init__(
        self,
        store: Store,
        log: OutcomeLog,
        learner: Learner,
        recall: Recall,
        *,
        companions: CompanionDesk | None = None,
    ) -> None:
        """``companions`` are what was learned from calls; without, nothing was."""
        self._store = store
        self._log = log
        self._learner = learner
        self._recall = recall
        self._companions = companions

    @property
    def mode(self) -> LearningMode:
        """How far learning goes here."""
        return self._log.mode

    def note_search(
        self, principal: str, query: str | Sequence[str], ids: Sequence[EntryId]
    ) -> None:
        """Take note of an answer, so that a call that follows can be tied to it."""
        text = query if isinstance(query, str) else ". ".join(query)
        self._log.note_search(principal, text, ids)

    async def tell(self, principal: str, query: str, name: str, verdict: Verdict) -> Outcome:
        """Record what a principal says of an entry for a query.

        Raises:
            NotFound: No entry has that name; near names are offered.
            NotPermitted: Learning is off, or the principal said too much today.
            InvalidInput: The query is blank.
        """
        entry = await anyio.to_thread.run_sync(self._store.get_named, name)
        query = query[:MAX_QUERY_CHARS]
        self._log.check(query)
        return await self._log.tell(
            principal, query, entry.id, verdict, recalled=await self._recall(query)
        )

    async def forget(
        self,
        *,
        principal: str | None = None,
        tenant: str | None = None,
        before: datetime | None = None,
    ) -> int:
        """Forget the outcomes that fit all that is given, and what was learned from them.

        Raises:
            InvalidInput: Nothing is given.
        """
        forget = partial(
            self._store.forget_outcomes, principal=principal, tenant=tenant, before=before
        )
        gone = await self._log.forget(
            partial(self._learner.forget, forget),
            principal=principal,
            tenant=tenant,
            before=before,
        )
        if self._companions is not None:
            await self._companions.forget(principal=principal, tenant=tenant, before=before)
        return gone.outcomes

    async def states(self) -> tuple[TenantState, ...]:
        """Tell how it stands with every tenant that has outcomes."""
        await self._log.flush()
        return await self._learner.states()
