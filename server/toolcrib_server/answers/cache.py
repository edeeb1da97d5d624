"""Gives an answer again where the same is asked, and says that it did.

Stands before the one way out for models and never takes its place: who may answer is decided first,
and an answer is given again only while whoever gave it may still answer. Kept in the memory of this
process, never written to disk.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from toolcrib_registry.errors import ToolcribError
from toolcrib_registry.types import CallRecord, EntryKind, JsonObject, entry_id, hash_content
from toolcrib_server.invocation.figures.measured import offer_key
from toolcrib_server.invocation.models.desk import Embedder
from toolcrib_server.invocation.models.order import Pick
from toolcrib_server.invocation.records.audit import AuditLog
from toolcrib_server.learning.mode import EVERYONE

from .examples import Example, size_of
from .keeping import is_worth_keeping
from .lookup import AnswerTotals, CacheOutcome, CacheSettings, Lookup
from .question import Asked, Question, question_of
from .sameness import difference
from .shelf import AnswerShelf, Kept, weigh
from .teaching import Teaching
from .worth import Worth

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

_MOST_LOOKED_AT: Final = 8
"""Near questions that are compared word by word."""
_MOST_TOKENS: Final = 200
"""What the bundled encoder surely reads of a text; the rest would not be compared."""


class AnswerCache:
    """Looks answers up, and keeps them. Belongs to the event loop."""

    def __init__(
        self,
        embedder: Embedder,
        settings: CacheSettings,
        *,
        audit: AuditLog | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self._embedder = embedder
        self._audit = audit
        self._now = now
        self._shelf = AnswerShelf(room_bytes=settings.room_bytes, ttl_s=settings.ttl_s)
        self.teaching = Teaching(self._shelf, now=now)
        self._outcomes: Counter[CacheOutcome] = Counter()
        self._refusals: Counter[str] = Counter()
        self._saved_usd = 0.0

    def tenant_of(self, principal: str) -> str:
        """Name whose answers a principal is given."""
        return self.settings.sharing.tenant_of(principal)

    @property
    def totals(self) -> AnswerTotals:
        """What it did so far, and what it holds."""
        self._shelf.prune(now=self._now())
        return AnswerTotals(
            mode=self.settings.mode,
            outcomes=dict(self._outcomes),
            refusals=dict(self._refusals),
            saved_usd=self._saved_usd,
            examples=self.teaching.shown,
            answers=len(self._shelf),
            bytes=self._shelf.bytes,
        )

    async def look(
        self, asked: Asked, picks: Sequence[Pick], *, principal: str, face: str
    ) -> Lookup:
        """Look for an answer that one of ``picks`` gave to the same question. Raises nothing."""
        began = time.perf_counter()
        question = question_of(asked, self.settings.mode)
        if isinstance(question, str):
            found = Lookup(outcome=CacheOutcome.SKIPPED, reason=question)
        else:
            found = await self._look(question, {offer_key(pick.candidate) for pick in picks})
        self._outcomes[found.outcome] += 1
        if found.kept is not None:
            self._saved_usd += found.kept.cost_usd or 0.0
            self._record(found.kept, found, principal, face, time.perf_counter() - began)
        return found

    async def study(self, asked: Asked) -> Lookup:
        """Read what is asked of a cascade: nothing is given again there, but examples may be shown.

        Raises nothing.
        """
        question = question_of(asked, self.settings.mode)
        reason = question if isinstance(question, str) else "a cascade is climbed"
        self._outcomes[CacheOutcome.SKIPPED] += 1
        found = Lookup(outcome=CacheOutcome.SKIPPED, reason=reason)
        if isinstance(question, str) or question.text is None or question.family is None:
            return found
        vector = await self._embed(question.text)
        question = replace(question, key=hash_content(["cascade", question.key]))
        return replace(found, question=question, vector=vector)

    def keep(
        self,
        lookup: Lookup,
        *,
        pick: Pick,
        answer: JsonObject,
        cost_usd: float | None,
        examples: Sequence[Example] = (),
        is_checked: bool = False,
    ) -> None:
        """Keep a new answer, where it is one for a cache.

        ``examples`` are those that it was given with. One that was checked and accepted on the way
        up a cascade is an example for others, and is never given again itself.
        """
        question = lookup.question
        if question is None or not is_worth_keeping(answer):
            return
        candidate, vector = pick.candidate, lookup.vector
        kept = Kept(
            key=question.key,
            scope=question.scope,
            text=question.text,
            vector=vector,
            answer=answer,
            offer=offer_key(candidate),
            model=candidate.model.name,
            provider=candidate.provider,
            cost_usd=cost_usd,
            at=self._now(),
            size=weigh(answer, question.text, 0 if vector is None else len(vector)),
            family=question.family,
            is_open=question.is_open,
            sizes=size_of(candidate),
            serves=not is_checked,
            taught_by=tuple(example.kept.key for example in examples),
            worth=Worth(good=int(is_checked)),
        )
        self._shelf.keep(question.tenant, kept)

    def forget(self, principal: str | None = None) -> int:
        """Forget the answers of a principal's tenant, or all; returns how many."""
        return self._shelf.forget(None if principal is None else self.tenant_of(principal))

    @property
    def is_shared(self) -> bool:
        """Whether one principal is given another's answers."""
        return self.settings.sharing.tenant_of("") == EVERYONE

    async def _look(self, question: Question, offers: Collection[str]) -> Lookup:
        now = self._now()
        miss = Lookup(outcome=CacheOutcome.MISS, question=question)
        if question.looks_up:
            kept = self._shelf.find(question.tenant, question.key, now=now)
            if kept is not None and kept.offer in offers:
                return self._hit(CacheOutcome.EXACT, kept, 1.0)
        if question.text is None:
            return miss
        vector = await self._embed(question.text)
        if vector is None:
            return miss
        miss = replace(miss, vector=vector)
        return self._near(question, vector, offers, miss) if question.looks_up else miss

    def _near(
        self,
        question: Question,
        vector: NDArray[np.float32],
        offers: Collection[str],
        miss: Lookup,
    ) -> Lookup:
        near = self._shelf.near(
            question.tenant,
            question.scope,
            vector,
            least=self.settings.least_similarity,
            most=_MOST_LOOKED_AT,
            now=self._now(),
        )
        reason: str | None = None
        for similarity, kept in near:
            if kept.offer not in offers:
                continue
            why = difference(question.text or "", kept.text or "")
            if why is None:
                self._shelf.touch(question.tenant, kept)
                return self._hit(CacheOutcome.NEAR, kept, similarity)
            reason = reason or why
        if reason is not None:
            self._refusals[reason] += 1
            return replace(miss, reason=f"a similar question asks something else: {reason}")
        return miss

    def _hit(self, outcome: CacheOutcome, kept: Kept, similarity: float) -> Lookup:
        age_s = self._now() - kept.at
        return Lookup(outcome=outcome, kept=kept, similarity=similarity, age_s=age_s)

    async def _embed(self, text: str) -> NDArray[np.float32] | None:
        """Encode a text; None where not all of it can be."""
        import numpy as np  # noqa: PLC0415  # slow to import; only nearness needs it

        try:
            _, vectors, tokens = await self._embedder.embed([text])
        except ToolcribError as error:
            logger.info("Nearness is not looked at: %s", error.detail)
            return None
        return np.asarray(vectors[0], dtype=np.float32) if tokens <= _MOST_TOKENS else None

    def _record(self, kept: Kept, found: Lookup, principal: str, face: str, seconds: float) -> None:
        """Note in the audit log who was given whose answer; no figure of an offer comes of it."""
        if self._audit is None:
            return
        self._audit.add(
            CallRecord(
                id=uuid.uuid4().hex,
                at=datetime.now(UTC),
                subject=entry_id(EntryKind.MODEL, kept.model),
                server=None,
                face=face,
                principal=principal,
                outcome="ok",
                duration_ms=seconds * 1000,
                argument_shape={"cache": found.outcome.value},
            )
        )
