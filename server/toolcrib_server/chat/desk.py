"""The one way from a request to an answer, for every door: `/v1`, MCP, the shell.

Decides first who may answer, then whether an answer is known, then what is shown along, then asks;
what it learns of kept answers on the way it passes on. Knows no face.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import anyio.to_thread

from toolcrib_registry.errors import NotCallable
from toolcrib_registry.types import JsonObject
from toolcrib_server.answers.cache import AnswerCache
from toolcrib_server.answers.examples import Example, dress
from toolcrib_server.answers.keeping import StreamedText
from toolcrib_server.answers.lookup import Lookup
from toolcrib_server.answers.question import Asked
from toolcrib_server.answers.wish import CacheMode
from toolcrib_server.cascade.climbing import Cascade, Climbed
from toolcrib_server.cascade.plan import CascadePlan, read_plan
from toolcrib_server.invocation.bodies.request import check_chat
from toolcrib_server.invocation.models.invoker import ModelInvoker
from toolcrib_server.invocation.models.order import ModelOrder, Pick
from toolcrib_server.invocation.models.picking import ModelPicker
from toolcrib_server.jsonrpc.bulk import aside

from .flow import ChatFlow
from .reply import Prepared, Reply, climbed_reply, kept_reply, reply_of
from .request import ChatRequest
from .taught import Taught, examples_of

logger = logging.getLogger(__name__)

_OF_STREAMS = frozenset({"stream", "stream_options"})


class ChatDesk:
    """Answers chats."""

    def __init__(
        self,
        picker: ModelPicker,
        invoker: ModelInvoker,
        *,
        cascade: Cascade | None = None,
        answers: AnswerCache | None = None,
    ) -> None:
        """Without ``cascade`` none is climbed, without ``answers`` none is given again."""
        self._picker = picker
        self._invoker = invoker
        self._cascade = cascade
        self._answers = answers

    async def prepare(self, request: ChatRequest) -> Prepared:
        """Decide who may answer, and whether it is known already; asks nobody yet.

        Raises:
            InvalidInput: The request, or how it wants to climb, makes no sense.
            NotFound: There is no such model; near names are offered.
            NotCallable: It cannot be called, or there is no cascade here.
            NoModelFits: No offer that can be called meets the limits.
        """
        await aside(check_chat, request.body)
        picks = await self._picker.pick(
            request.model,
            request.body,
            constraints=request.constraints,
            objective=request.objective,
            principal=request.principal,
        )
        first = picks[0]
        logger.info("%s: %s. %s", request.model, first.candidate.label, " ".join(first.reasons))
        order = _order(request, picks)
        if request.climbs:
            return await self._prepare_climb(request, order)
        looked = await self._look(request, picks)
        if looked is None or looked.kept is not None:
            return self._prepared(request, order, looked)
        examples = examples_of(self._answers, looked, picks)
        order = replace(order, body=dress(order.body, examples))
        return self._prepared(request, order, looked, examples=examples)

    async def answer(self, prepared: Prepared) -> Reply:
        """Give the whole answer.

        Raises:
            ToolcribError: Nobody answered; the error is that of the best.
        """
        if prepared.plan is not None:
            return await self._climb(prepared, prepared.plan)
        if not prepared.asks:
            return kept_reply(prepared)
        answered = await self._invoker.chat(prepared.order)
        reply = reply_of(prepared, answered)
        self._keep(prepared, answered.pick, reply.answer, reply.cost_usd)
        return reply

    @asynccontextmanager
    async def stream(self, prepared: Prepared) -> AsyncGenerator[ChatFlow]:
        """Ask for the answer in chunks; entered when the first token is there.

        Only for what `Prepared.streams`. Enter and leave it in one task.

        Raises:
            ToolcribError: As `answer`; after the first token no other offer is tried.
        """
        keeps = prepared.looked is not None and prepared.looked.question is not None
        together = StreamedText() if keeps else None
        async with self._invoker.stream(prepared.order) as flow:
            yield ChatFlow(flow, prepared, together)
        whole = together.whole() if together is not None and flow.outcome == "ok" else None
        if whole is not None:
            cost_usd = flow.measured.cost_usd if flow.measured else None
            self._keep(prepared, flow.pick, whole, cost_usd)

    async def _prepare_climb(self, request: ChatRequest, order: ModelOrder) -> Prepared:
        if self._cascade is None:
            raise NotCallable("This server climbs no cascades.")
        commands = self._cascade.commands
        read = partial(read_plan, request.cascade, request.body, commands=commands)
        plan = await anyio.to_thread.run_sync(read)
        answers, looked = self._answers, None
        if answers is not None and answers.settings.mode is CacheMode.EXAMPLES:
            looked = await answers.study(_asked(request, answers))
        return self._prepared(request, _whole(order), looked, plan=plan)

    async def _climb(self, prepared: Prepared, plan: CascadePlan) -> Reply:
        assert self._cascade is not None, "it was there when it was prepared"
        answers, looked = self._answers, prepared.looked
        taught = Taught(answers, looked) if answers is not None and looked is not None else None
        climbed = await self._cascade.climb(
            prepared.order,
            plan,
            constraints=prepared.request.constraints,
            dress=taught.dress if taught else None,
        )
        if taught is None:
            return climbed_reply(prepared, climbed, examples=())
        self._learn(prepared, taught, climbed)
        shown = taught.shown.get(climbed.answered.pick.candidate.model.name, ())
        return climbed_reply(prepared, climbed, examples=shown)

    def _learn(self, prepared: Prepared, taught: Taught, climbed: Climbed) -> None:
        """Keep what was accepted as an example, and pass on how the examples did."""
        for step in climbed.steps:
            taught.note(step)
        if climbed.accepted and self._answers is not None and prepared.looked is not None:
            answered = climbed.answered
            self._answers.keep(
                prepared.looked,
                pick=answered.pick,
                answer=answered.answer,
                cost_usd=answered.measured.cost_usd,
                examples=taught.shown.get(answered.pick.candidate.model.name, ()),
                is_checked=True,
            )

    async def _look(self, request: ChatRequest, picks: tuple[Pick, ...]) -> Lookup | None:
        """Look whether it was answered before; None where nobody thinks of a cache."""
        answers = self._answers
        if answers is None:
            return None
        if answers.settings.mode is CacheMode.OFF and not request.cache.is_asked:
            return None
        asked = _asked(request, answers)
        return await answers.look(asked, picks, principal=request.principal, face=request.face)

    def _keep(
        self, prepared: Prepared, pick: Pick, answer: JsonObject, cost_usd: float | None
    ) -> None:
        if self._answers is not None and prepared.looked is not None:
            self._answers.keep(
                prepared.looked,
                pick=pick,
                answer=answer,
                cost_usd=cost_usd,
                examples=prepared.examples,
            )

    def _prepared(
        self,
        request: ChatRequest,
        order: ModelOrder,
        looked: Lookup | None,
        *,
        plan: CascadePlan | None = None,
        examples: tuple[Example, ...] = (),
    ) -> Prepared:
        if examples:
            logger.info(
                "%d examples are shown to %s", len(examples), order.picks[0].candidate.label
            )
        return Prepared(
            request=request,
            order=order,
            looked=looked,
            plan=plan,
            examples=examples,
            shows_question=self._answers is not None and not self._answers.is_shared,
        )


def _asked(request: ChatRequest, answers: AnswerCache) -> Asked:
    return Asked(
        tenant=answers.tenant_of(request.principal),
        model=request.model,
        body=request.body,
        constraints=request.constraints,
        objective=request.objective,
        wish=request.cache,
    )


def _order(request: ChatRequest, picks: tuple[Pick, ...]) -> ModelOrder:
    return ModelOrder(
        picks=picks,
        body=request.body,
        face=request.face,
        principal=request.principal,
        timeout_s=request.timeout_s,
    )


def _whole(order: ModelOrder) -> ModelOrder:
    """Ask for it in one piece."""
    body = {name: value for name, value in order.body.items() if name not in _OF_STREAMS}
    return replace(order, body=body)
