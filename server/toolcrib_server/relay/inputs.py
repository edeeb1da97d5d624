"""The one place where a request of a client meets what an upstream wants to be told meanwhile.

Whatever state a client has to bring back is sealed: for whom, for which request, and until when.
Knows neither how a request is sent on nor what it is about.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeAlias, cast

import anyio
import anyio.to_thread
from mcp_types import URL_ELICITATION_REQUIRED

from toolcrib_registry.errors import InvalidConfig, UpstreamProtocolError
from toolcrib_registry.types import JsonObject
from toolcrib_server.downstream.asking import MAY_ASK, check_askable, lacking
from toolcrib_server.downstream.service import Request, RpcError
from toolcrib_server.upstream.messages.interaction import Interaction

from .held_call import HeldCall
from .holding import HeldCalls
from .profiles import asking, profile_of
from .questions import can_be_asked
from .retry import Retry, binding, find_state, read_answers, read_retry, refuse_state
from .sealing import Seal, SealError

logger = logging.getLogger(__name__)

Send: TypeAlias = Callable[[Interaction, JsonObject], Awaitable[JsonObject]]
"""Makes a call through the invoker: (interaction, parameters that belong to the retry)."""
_TTL_S = 600.0


class Inputs:
    """Puts servers' questions to clients, in the way of each one's era. An async context."""

    def __init__(
        self,
        open_seal: Callable[[], Seal],
        *,
        ttl_s: float = _TTL_S,
        most_held: int = 256,
        most_held_each: int = 16,
    ) -> None:
        """``open_seal`` is called in a thread, when something is to be sealed or opened first."""
        self._open_seal = open_seal
        self._seal: Seal | None = None
        self._held = HeldCalls(ttl_s=ttl_s, most=most_held, most_each=most_held_each)

    async def __aenter__(self) -> Self:
        await self._held.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return await self._held.__aexit__(kind, error, trace)

    @property
    def held(self) -> int:
        """How many calls wait for their clients to come back."""
        return len(self._held)

    async def run(self, request: Request, *, subject: str, send: Send) -> JsonObject:
        """Answer a request; ``subject`` names who is asked, and binds what is sealed to it.

        Raises:
            RpcError: What the client brought back cannot be used, or it cannot be asked.
            ToolcribError: As ``send`` does.
        """
        if request.method not in MAY_ASK:
            return await send(_interaction(request), {})
        retry = await self._read(request, subject)
        client = request.client
        if retry.held or (client.session is None and can_be_asked(client.capabilities)):
            return await self._hold(request, subject, send, retry)
        try:
            result = await send(_interaction(request), retry.extra)
        except UpstreamProtocolError as error:
            return await self._ask_to_visit(request, subject, error)
        return await self._relay(request, subject, result)

    # --- questions that a server asks by its answer --------------------------------------------

    async def _relay(self, request: Request, subject: str, result: JsonObject) -> JsonObject:
        """Hand on a result; the state of one that asks is sealed."""
        if result.get("resultType") != "input_required":
            return result
        _check_askable(request, result)
        state = result.get("requestState")
        if not isinstance(state, str):
            return result
        try:
            sealed = await self._close(request, subject, {"up": state})
        except SealError as error:
            raise RpcError(502, f"The server's requestState {error.reason}.") from None
        return {**result, "requestState": sealed}

    async def _ask_to_visit(
        self, request: Request, subject: str, error: UpstreamProtocolError
    ) -> JsonObject:
        """Put URLs that a server of 2025-11-25 wants visited first as 2026-07-28 puts them.

        Raises:
            UpstreamProtocolError: It says something else, or the client is of that era itself.
            RpcError: The client cannot be asked.
        """
        pages = _pages(error.rpc_data)
        is_asked = error.rpc_code == URL_ELICITATION_REQUIRED and pages
        if not is_asked or request.client.session is not None:
            raise error
        questions = {
            f"elicitation-{at}": {"method": "elicitation/create", "params": {**page, "mode": "url"}}
            for at, page in enumerate(pages, start=1)
        }
        asked = {"resultType": "input_required", "inputRequests": questions}
        check_askable(request.method, asked, request.client)
        return {**asked, "requestState": await self._close(request, subject, {"again": True})}

    # --- questions in the midst of a call ------------------------------------------------------

    async def _hold(self, request: Request, subject: str, send: Send, retry: Retry) -> JsonObject:
        call = None if retry.held is None else self._held.find(retry.held)
        if call is not None:
            call.answer(retry.answers)
        elif retry.held is not None and self._held.has_ended(retry.held):
            raise refuse_state(
                "has been used: that call is over. Make a new call if it is still needed"
            )
        else:
            known = {**retry.earlier, **retry.answers} if retry.held else {}
            ask = partial(_send_held, request, send, retry.extra)
            call = self._held.start(request.client, subject, known, ask)
        async with self._held.attend(call):
            await call.wait(request.notify)
        return await self._outcome(request, subject, call)

    async def _outcome(self, request: Request, subject: str, call: HeldCall) -> JsonObject:
        if not call.is_over:
            return await self._ask(request, subject, call)
        try:
            if call.failure is not None:
                raise call.failure
        except UpstreamProtocolError as error:
            if call.missing:
                raise lacking(call.missing) from error
            return await self._ask_to_visit(request, subject, error)
        result = call.result or {}
        if call.missing and result.get("isError"):
            raise lacking(call.missing)
        return await self._relay(request, subject, result)

    async def _ask(self, request: Request, subject: str, call: HeldCall) -> JsonObject:
        questions = call.questions
        asked = {"resultType": "input_required", "inputRequests": questions}
        check_askable(request.method, asked, request.client)
        kept = {"held": call.id, "asked": sorted(questions), "answers": call.answers}
        try:
            state = await self._close(request, subject, kept)
        except SealError:
            # Answers may be large. Without them all is asked again, should the call be lost.
            state = await self._close(request, subject, {**kept, "answers": {}})
        return {**asked, "requestState": state}

    # --- what clients carry --------------------------------------------------------------------

    async def _close(self, request: Request, subject: str, kept: JsonObject) -> str:
        seal = await self._opened()
        return seal.seal({**kept, "for": binding(request, subject)}, ttl_s=self._held.ttl_s)

    async def _read(self, request: Request, subject: str) -> Retry:
        """Open what the client brings back.

        Raises:
            RpcError: It is malformed, altered, too old, or for something else.
        """
        sealed = find_state(request)
        if sealed is None:
            return Retry(read_answers(request))
        try:
            kept = (await self._opened()).open(sealed)
        except SealError as error:
            raise refuse_state(error.reason) from None
        return read_retry(request, subject, kept)

    async def _opened(self) -> Seal:
        if self._seal is None:
            try:
                self._seal = await anyio.to_thread.run_sync(self._open_seal)
            except InvalidConfig as error:
                logger.error("Clients cannot be asked anything: %s", error.detail)
                raise
        return self._seal


async def _send_held(request: Request, send: Send, extra: JsonObject, call: HeldCall) -> JsonObject:
    wanted = _notices(request)
    interaction = Interaction(
        profile=profile_of(request.client, lane=call.lane),
        on_notice=None if wanted is None else call.notify,
        on_ask=call.ask,
    )
    return await send(interaction, extra)


def _interaction(request: Request) -> Interaction:
    return Interaction(
        profile=profile_of(request.client),
        on_notice=_notices(request),
        on_ask=None if request.ask is None else asking(request.ask),
    )


def _notices(request: Request) -> Any:
    client = request.client
    wants = request.wants_progress or client.log_level is not None or client.session is not None
    return request.notify if wants else None


def _check_askable(request: Request, result: JsonObject) -> None:
    """Hold back what this client cannot be asked.

    Raises:
        RpcError: It has not declared that it can be, or nothing is asked and there is no state.
    """
    check_askable(request.method, result, request.client)
    if not result.get("inputRequests") and "requestState" not in result:
        raise RpcError(502, "The server wants more before it answers, and does not say what.")


def _pages(data: object) -> list[JsonObject]:
    known = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
    listed = known.get("elicitations")
    pages = cast("list[Any]", listed) if isinstance(listed, list) else []
    return [cast("JsonObject", page) for page in pages if isinstance(page, dict)]
