"""One offer's turn at a call: opened with its budget, closed with its measure.

Nothing is sent from here; whoever has a turn closes it, whatever came of it.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

from toolcrib_registry.errors import ToolcribError, UpstreamTimeout
from toolcrib_registry.store.spending import Reservation
from toolcrib_registry.types import CallRecord
from toolcrib_server.invocation.bodies.request import Needs
from toolcrib_server.invocation.figures.measured import Measured, offer_key, shape_of_call
from toolcrib_server.invocation.figures.rolling import OfferFigures
from toolcrib_server.invocation.records.audit import AuditLog
from toolcrib_server.invocation.records.shapes import shape_of
from toolcrib_server.invocation.traffic.breakers import Breakers
from toolcrib_server.selection.candidate import Candidate
from toolcrib_server.upstream.models.usage import Usage

from .order import ModelOrder, Pick
from .spending import Budgets

_MOST_LONGER = 6
"""A token of 24 bytes on average: more than any language has."""
_MOST_DEARER = 20.0
"""Times the price: tokens that nobody sees cost too, but not so much."""
_FAIR_WAIT_S = 30.0
"""An offer that was given less time than this is not to blame for having no answer."""


@dataclass(slots=True, kw_only=True)
class Turn:
    """One offer's turn."""

    order: ModelOrder
    pick: Pick
    key: str
    needs: Needs
    timeout_s: float
    reserved: Reservation
    started: float = field(default_factory=time.perf_counter)
    first_at: float | None = None

    @property
    def provider(self) -> str:
        """Who provides the offer."""
        return self.pick.candidate.provider or ""


class Turns:
    """Opens and closes turns: what one may cost, and what it measured."""

    def __init__(
        self,
        *,
        audit: AuditLog,
        figures: OfferFigures,
        budgets: Budgets,
        breakers: Breakers,
    ) -> None:
        self._audit = audit
        self._figures = figures
        self._budgets = budgets
        self._breakers = breakers

    async def open(self, order: ModelOrder, pick: Pick, needs: Needs, *, timeout_s: float) -> Turn:
        """Open one, with what it may cost set aside.

        Raises:
            BudgetExceeded: The key has spent what it may.
            NotCallable: The key has a budget, and the price is unknown.
        """
        cost = pick.candidate.cost_usd(tokens_in=needs.tokens_in, tokens_out=needs.expected_out)
        reserved = await self._budgets.reserve(
            order.principal,
            cost.value if cost else None,
            pick.candidate.label,
            timeout_s=timeout_s,
        )
        key = offer_key(pick.candidate)
        self._breakers.begin(key)
        return Turn(
            order=order,
            pick=pick,
            key=key,
            needs=needs,
            timeout_s=timeout_s,
            reserved=reserved,
        )

    async def close(self, turn: Turn, outcome: str, usage: Usage, *, estimated: bool) -> Measured:
        """Take the measure of a turn, and record it."""
        now = time.perf_counter()
        candidate = turn.pick.candidate
        cost = candidate.cost_usd(tokens_in=usage.tokens_in, tokens_out=usage.tokens_out)
        priced = cost.value if cost else None
        told = _believed_cost(usage.cost_usd, priced)
        first_at = turn.first_at
        measured = Measured(
            id=uuid.uuid4().hex,
            at=datetime.now(UTC),
            outcome=outcome,
            duration_ms=(now - turn.started) * 1000,
            first_token_ms=None if first_at is None else (first_at - turn.started) * 1000,
            tokens_in=usage.tokens_in,
            tokens_out=usage.tokens_out,
            guessed_in=turn.needs.tokens_in,
            estimated=estimated,
            cost_usd=priced if told is None else told,
            told_usd=told,
            priced_usd=None if told is None else priced,
        )
        self._figures.note(turn.key, measured)
        self._audit.add(_record(turn, measured))
        await self._budgets.settle(turn.reserved, measured.cost_usd)
        return measured

    def judge(self, turn: Turn, error: ToolcribError | None) -> None:
        """Say how it went, for whether the offer is left alone."""
        if error is None:
            self._breakers.succeed(turn.key)
        elif not isinstance(error, UpstreamTimeout) or turn.timeout_s >= _FAIR_WAIT_S:
            # A caller in a hurry must not have an offer left alone by all the others.
            self._breakers.fail(turn.key, error)


def believed_usage(told: Usage | None, guessed: Usage, candidate: Candidate) -> tuple[Usage, bool]:
    """Take what the provider told, unless it cannot be: too much for its model, or nothing.

    Returns what is believed, and whether that is the guess.
    """
    context = candidate.context_tokens
    if told is None or (guessed.tokens_in and not told.tokens_in):
        return guessed, True
    if context is not None and max(told.tokens_in, told.tokens_out) > 2 * context.value:
        return guessed, True
    # Who counts so few of so many bytes would look cheap, and slow by the token.
    if told.tokens_out * _MOST_LONGER < guessed.tokens_out:
        return guessed, True
    return told, False


def _believed_cost(told: float | None, priced: float | None) -> float | None:
    """Take what the provider says that a call cost, unless its own price makes that absurd."""
    if told is None or (priced and told > _MOST_DEARER * priced):
        return None
    return told


def _record(turn: Turn, measured: Measured) -> CallRecord:
    return CallRecord(
        id=measured.id,
        at=measured.at,
        subject=turn.pick.candidate.model.id,
        server=None,
        face=turn.order.face,
        principal=turn.order.principal,
        outcome=measured.outcome,
        duration_ms=measured.duration_ms,
        argument_shape=shape_of_call(measured, turn.key, shape_of(turn.order.body)),
    )
