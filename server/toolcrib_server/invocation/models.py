"""Calls models: permit, limit, send, fall back, measure, record. No face has a path of its own.

Goes through the offers it is given, best first, until one answers or the first token has come;
knows nothing of how they were ranked, and keeps nothing of what was said.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar, cast

import anyio

from toolcrib_registry.errors import (
    AnswerCut,
    BudgetExceeded,
    ContextTooLong,
    InvalidInput,
    NotCallable,
    NotPermitted,
    RateLimited,
    RequestRefused,
    ToolcribError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from toolcrib_registry.types import CallRecord, JsonObject, Offer
from toolcrib_server.selection.candidate import Candidate
from toolcrib_server.upstream.models.client import ModelClient
from toolcrib_server.upstream.models.local import LocalServers
from toolcrib_server.upstream.models.stream import ChatStream, Chunk
from toolcrib_server.upstream.models.target import Target
from toolcrib_server.upstream.models.usage import Usage, read_usage

from .arguments import shape_of
from .audit import AuditLog
from .breakers import Breakers
from .figures import Measured, OfferFigures, offer_key, shape_of_call
from .orders import Needs, estimate_tokens, needs_of, objects
from .picking import Pick
from .spending import Budgets

logger = logging.getLogger(__name__)

T = TypeVar("T")

_MOST_TRIES = 4
_PATIENCE_S = 5.0
"""How long a wait that a provider asks for is sat out, where nobody else can answer."""
_PAUSE_S = 0.25
_FAIR_WAIT_S = 30.0
"""An offer that was given less time than this is not to blame for having no answer."""
_MOST_WITHOUT_TOKEN = 1_000
"""Events before the first token, which are kept until it comes."""
_OPTIONS = "stream_options"

Permit = Callable[[str, Candidate], None]
"""Raises `NotPermitted` when a principal may not use an offer."""


class Resolve(Protocol):
    """Fills in an offer's references for one call."""

    def __call__(self, offer: Offer, *, url: str) -> Target:
        """Say where it goes, with which headers.

        Raises:
            NotCallable: A reference leads nowhere.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOrder:
    """A request with those who may answer it, best first. ``body`` is as the caller sent it."""

    picks: Sequence[Pick]
    body: JsonObject
    face: str
    principal: str
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """An offer that was tried, or passed over, and why."""

    candidate: Candidate
    error: ToolcribError


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Who answered, why it was asked, who failed before it, and what the call measured."""

    pick: Pick
    answer: JsonObject
    failed: tuple[Failed, ...]
    measured: Measured


@dataclass(slots=True, kw_only=True)
class _Try:
    """One offer's turn."""

    order: ModelOrder
    pick: Pick
    key: str
    needs: Needs
    timeout_s: float
    reserved_usd: float
    started: float = field(default_factory=time.perf_counter)
    first_at: float | None = None

    @property
    def provider(self) -> str:
        return self.pick.candidate.provider or ""


class ModelFlow:
    """A streamed answer whose first token is there. Read its `chunks` once."""

    def __init__(
        self, turn: _Try, stream: ChatStream, *, hides_usage: bool, failed: Sequence[Failed]
    ) -> None:
        self.pick = turn.pick
        self.failed = tuple(failed)
        self.measured: Measured | None = None
        """What the call measured; None until it is over."""
        self._turn = turn
        self._stream = stream
        self._hides_usage = hides_usage
        self._begun: list[Chunk] = []
        self._rest = stream.chunks()
        self._size = 0
        self.outcome = "cancelled"
        self.error: ToolcribError | None = None

    async def begin(self) -> None:
        """Wait for the first token.

        Raises:
            UpstreamError: It does not come.
        """
        async for chunk in self._rest:
            self._begun.append(chunk)
            if chunk.has_token:
                self._turn.first_at = time.perf_counter()
                return
            if len(self._begun) >= _MOST_WITHOUT_TOKEN:
                said = f"sent {_MOST_WITHOUT_TOKEN} events without a token."
                raise UpstreamProtocolError(self._turn.provider, said)
        raise AnswerCut(self._turn.provider, "ended without a token")

    async def chunks(self) -> AsyncIterator[Chunk]:
        """Yield each chunk as soon as it is there.

        Raises:
            UpstreamError: The answer ends before it is whole.
        """
        try:
            for chunk in self._begun:
                self._size += _length(chunk)
                yield chunk
            async for chunk in self._rest:
                self._size += _length(chunk)
                if chunk.choices or not self._hides_usage:
                    yield chunk
            self.outcome = "ok"
        except ToolcribError as error:
            self.outcome, self.error = error.code, error
            raise

    def usage(self) -> tuple[Usage, bool]:
        """Say what it took, and whether that is an estimate."""
        needs = self._turn.needs
        guessed = Usage(needs.tokens_in, -(-self._size // 4))
        return _usage(self._stream.usage, guessed, self.pick.candidate)


class ModelInvoker:
    """The one way out for calls of models."""

    def __init__(
        self,
        client: ModelClient,
        local: LocalServers,
        resolve: Resolve,
        *,
        audit: AuditLog,
        figures: OfferFigures,
        budgets: Budgets,
        breakers: Breakers,
        permit: Permit | None = None,
        recall: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """``recall`` takes up what was measured and spent before; it is awaited once."""
        self._client = client
        self._local = local
        self._resolve = resolve
        self._audit = audit
        self._figures = figures
        self._budgets = budgets
        self._breakers = breakers
        self._permit = permit or _permit_all
        self._recall = recall
        self._recalling = anyio.Lock()
        self._plain: set[str] = set()
        """Offers that take no ``stream_options``."""

    async def chat(self, order: ModelOrder) -> Answered:
        """Ask for a whole answer.

        Raises:
            UpstreamError: No offer answered; the error is that of the best.
            BudgetExceeded: The key has spent what it may.
            NotPermitted: The principal may use none of them.
            NotCallable: None of them can be called as it is registered.
        """

        async def ask(turn: _Try) -> JsonObject:
            async with self._target(turn) as target:
                body = {**order.body, "model": target.model}
                return await self._client.chat(target, body, timeout_s=turn.timeout_s)

        return await self._answer(order, needs_of(order.body), ask)

    async def embed(self, order: ModelOrder) -> Answered:
        """Ask for the vectors of texts. Give it the offers of one model only.

        Raises:
            ToolcribError: As `chat`.
        """

        async def ask(turn: _Try) -> JsonObject:
            async with self._target(turn) as target:
                body = {**order.body, "model": target.model}
                return await self._client.embed(target, body, timeout_s=turn.timeout_s)

        needs = Needs(tokens_in=estimate_tokens(str(order.body.get("input"))), tokens_out=0)
        return await self._answer(order, needs, ask)

    @asynccontextmanager
    async def stream(self, order: ModelOrder) -> AsyncGenerator[ModelFlow]:
        """Ask for an answer in chunks; entered when the first token is there.

        Enter and leave it in one task; leaving early ends the answer at the provider.

        Raises:
            ToolcribError: As `chat`; after the first token no other offer is tried.
        """
        async with AsyncExitStack() as stack:
            failed: list[Failed] = []

            async def begin(turn: _Try) -> ModelFlow:
                async with AsyncExitStack() as opened:
                    flow = await self._begin(opened, turn, failed)
                    stack.push_async_exit(opened.pop_all())
                return flow

            flow, turn = await self._first(order, needs_of(order.body), begin, failed)
            try:
                yield flow
            finally:
                usage, estimated = flow.usage()
                flow.measured = self._close(turn, flow.outcome, usage, estimated=estimated)
                self._judge(turn, flow.error)

    async def _begin(
        self, stack: AsyncExitStack, turn: _Try, failed: Sequence[Failed]
    ) -> ModelFlow:
        target = await stack.enter_async_context(self._target(turn))
        body = {**turn.order.body, "model": target.model, "stream": True}
        asks = _OPTIONS not in body and turn.key not in self._plain
        if asks:
            body[_OPTIONS] = {"include_usage": True}
        try:
            opening = self._client.stream(target, body, timeout_s=turn.timeout_s)
            stream = await stack.enter_async_context(opening)
        except RequestRefused as error:
            if not asks or _OPTIONS not in error.detail:
                raise
            self._plain.add(turn.key)
            return await self._begin(stack, turn, failed)
        flow = ModelFlow(turn, stream, hides_usage=asks, failed=failed)
        await flow.begin()
        return flow

    async def _answer(
        self, order: ModelOrder, needs: Needs, ask: Callable[[_Try], Awaitable[JsonObject]]
    ) -> Answered:
        failed: list[Failed] = []
        answer, turn = await self._first(order, needs, ask, failed)
        guessed = Usage(needs.tokens_in, estimate_tokens(_said(answer)))
        usage, estimated = _usage(read_usage(answer), guessed, turn.pick.candidate)
        measured = self._close(turn, "ok", usage, estimated=estimated)
        self._judge(turn, None)
        return Answered(pick=turn.pick, answer=answer, failed=tuple(failed), measured=measured)

    # --- going through the offers --------------------------------------------------------------

    async def _first(
        self,
        order: ModelOrder,
        needs: Needs,
        ask: Callable[[_Try], Awaitable[T]],
        failed: list[Failed],
    ) -> tuple[T, _Try]:
        """Ask one offer after the other until one answers."""
        await self._recall_once()
        deadline = anyio.current_time() + self._timeout_s(order)
        tries = self._tries(order, failed)
        passed_over = len(failed)
        for number, pick in enumerate(tries):
            rest = tries[number + 1 :]
            try:
                return await self._ask(order, pick, needs, ask, deadline)
            except ToolcribError as error:
                failed.append(Failed(pick.candidate, error))
                logger.info("%s failed: %s", pick.candidate.label, error.detail)
                if not _next_may_answer(error, pick, rest):
                    break
        return await self._once_more(order, needs, ask, failed[passed_over:], deadline)

    async def _recall_once(self) -> None:
        """Take up what was spent before; nobody spends until that is known."""
        if self._recall is None:
            return
        async with self._recalling:
            if self._recall is not None:
                await self._recall()
                self._recall = None

    async def _once_more(
        self,
        order: ModelOrder,
        needs: Needs,
        ask: Callable[[_Try], Awaitable[T]],
        failed: Sequence[Failed],
        deadline: float,
    ) -> tuple[T, _Try]:
        """Where all have failed, wait for the one that asks for a short wait; then give up."""
        last = failed[-1]
        wait_s = _short_wait_s(last.error)
        left_s = deadline - anyio.current_time()
        pick = next((p for p in order.picks if p.candidate is last.candidate), None)
        if pick is None or wait_s is None or wait_s >= left_s:
            raise failed[0].error
        await anyio.sleep(wait_s)
        return await self._ask(order, pick, needs, ask, deadline)

    async def _ask(
        self,
        order: ModelOrder,
        pick: Pick,
        needs: Needs,
        ask: Callable[[_Try], Awaitable[T]],
        deadline: float,
    ) -> tuple[T, _Try]:
        turn = self._open(order, pick, needs, deadline)
        try:
            return await ask(turn), turn
        except ToolcribError as error:
            self._close(turn, error.code, Usage(0, 0), estimated=True)
            self._judge(turn, error)
            raise
        except BaseException:
            # What was sent is paid for, also by who does not wait for the answer.
            self._close(turn, "cancelled", Usage(needs.tokens_in, 0), estimated=True)
            raise

    def _tries(self, order: ModelOrder, failed: list[Failed]) -> list[Pick]:
        """Pick those that are not left alone for now, or say why all are."""
        rested: list[Pick] = []
        for pick in order.picks:
            key = offer_key(pick.candidate)
            if self._breakers.waits_s(key) > 0:
                failed.append(Failed(pick.candidate, self._breakers.refusal(key)))
            else:
                rested.append(pick)
        if not rested:
            soonest = min(failed, key=lambda f: getattr(f.error, "retry_after_s", None) or 0.0)
            raise soonest.error
        return rested[:_MOST_TRIES]

    def _open(self, order: ModelOrder, pick: Pick, needs: Needs, deadline: float) -> _Try:
        timeout_s = deadline - anyio.current_time()
        if timeout_s <= 0:
            provider = pick.candidate.provider or ""
            raise UpstreamTimeout(provider, "before the deadline", self._timeout_s(order))
        self._permit(order.principal, pick.candidate)
        cost = pick.candidate.cost_usd(tokens_in=needs.tokens_in, tokens_out=needs.expected_out)
        reserved = self._budgets.reserve(
            order.principal, cost.value if cost else None, pick.candidate.label
        )
        key = offer_key(pick.candidate)
        self._breakers.begin(key)
        return _Try(
            order=order,
            pick=pick,
            key=key,
            needs=needs,
            timeout_s=timeout_s,
            reserved_usd=reserved,
        )

    def _close(self, turn: _Try, outcome: str, usage: Usage, *, estimated: bool) -> Measured:
        """Take the measure of a turn, and record it."""
        now = time.perf_counter()
        candidate = turn.pick.candidate
        cost = candidate.cost_usd(tokens_in=usage.tokens_in, tokens_out=usage.tokens_out)
        first_at = turn.first_at
        measured = Measured(
            at=datetime.now(UTC),
            outcome=outcome,
            duration_ms=(now - turn.started) * 1000,
            first_token_ms=None if first_at is None else (first_at - turn.started) * 1000,
            tokens_in=usage.tokens_in,
            tokens_out=usage.tokens_out,
            estimated=estimated,
            cost_usd=cost.value if cost else None,
        )
        self._budgets.settle(turn.order.principal, turn.reserved_usd, measured.cost_usd)
        self._figures.note(turn.key, measured)
        self._audit.add(_record(turn, measured))
        return measured

    def _judge(self, turn: _Try, error: ToolcribError | None) -> None:
        if error is None:
            self._breakers.succeed(turn.key)
        elif not isinstance(error, UpstreamTimeout) or turn.timeout_s >= _FAIR_WAIT_S:
            # A caller in a hurry must not have an offer left alone by all the others.
            self._breakers.fail(turn.key, error)

    @asynccontextmanager
    async def _target(self, turn: _Try) -> AsyncGenerator[Target]:
        """Say where the request goes; have the server run where it is one of this machine."""
        offer = turn.pick.candidate.offer
        if offer is None or not offer.callable:
            raise NotCallable(
                f"{turn.pick.candidate.label} cannot be called: register an endpoint."
            )
        if offer.launch is None:
            yield self._resolve(offer, url=offer.endpoint or "")
            return
        deadline = anyio.current_time() + turn.timeout_s
        async with AsyncExitStack() as stack:
            try:
                with anyio.fail_after(turn.timeout_s):
                    url = await stack.enter_async_context(self._local.use(offer))
            except TimeoutError:
                waited = "while its server was being started"
                raise UpstreamTimeout(offer.provider, waited, turn.timeout_s) from None
            turn.timeout_s = max(deadline - anyio.current_time(), 0.001)
            yield self._resolve(offer, url=url)

    def _timeout_s(self, order: ModelOrder) -> float:
        most = self._client.limits.timeout_s
        if order.timeout_s is None:
            return most
        if not order.timeout_s > 0:
            raise InvalidInput(f"The timeout is {order.timeout_s:g} s; it must be more than 0.")
        return min(order.timeout_s, most)


def _permit_all(_: str, __: Candidate) -> None:
    """Permit everything: nobody set limits."""


def _next_may_answer(error: ToolcribError, pick: Pick, rest: Sequence[Pick]) -> bool:
    """Whether to go on: never past what is the request's own fault, as far as one can tell."""
    match error:
        case RequestRefused() if not isinstance(error, ContextTooLong):
            # Another provider of the same model would refuse it too.
            return any(p.candidate.model.name != pick.candidate.model.name for p in rest)
        case UpstreamError() | NotCallable() | BudgetExceeded() | NotPermitted():
            return bool(rest)
        case _:
            return False


def _short_wait_s(error: ToolcribError) -> float | None:
    """Say how long to wait before another try does no harm and may help; None: it would not."""
    match error:
        case RateLimited(retry_after_s=wait_s) | UpstreamUnavailable(retry_after_s=wait_s):
            wait_s = _PAUSE_S if wait_s is None else wait_s
            return wait_s if wait_s <= _PATIENCE_S else None
        case _:
            return None


def _usage(told: Usage | None, guessed: Usage, candidate: Candidate) -> tuple[Usage, bool]:
    """Take what the provider told, unless it cannot be: too much for its model, or nothing."""
    context = candidate.context_tokens
    if told is None or (guessed.tokens_in and not told.tokens_in):
        return guessed, True
    if context is not None and max(told.tokens_in, told.tokens_out) > 2 * context.value:
        return guessed, True
    return told, False


def _length(chunk: Chunk) -> int:
    """Measure the text of a chunk, for an estimate of its tokens."""
    parts = (cast("Mapping[str, Any]", c.get("delta") or {}) for c in chunk.choices)
    said = (value for part in parts for key, value in part.items() if key != "role")
    return sum(len(value) for value in said if isinstance(value, str))


def _said(answer: JsonObject) -> str:
    messages = objects([choice.get("message") for choice in objects(answer.get("choices"))])
    return "".join(str(message.get("content") or "") for message in messages)


def _record(turn: _Try, measured: Measured) -> CallRecord:
    return CallRecord(
        id=uuid.uuid4().hex,
        at=measured.at,
        subject=turn.pick.candidate.model.id,
        server=None,
        face=turn.order.face,
        principal=turn.order.principal,
        outcome=measured.outcome,
        duration_ms=measured.duration_ms,
        argument_shape=shape_of_call(measured, turn.key, shape_of(turn.order.body)),
    )
