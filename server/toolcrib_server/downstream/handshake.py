"""One conversation of the handshake era, from ``initialize`` to its end.

Both sides may ask here: what a service wants to know of the client goes out as a request, and the
client's answers come back as messages of their own. Knows no transport and no framing.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace
from functools import partial
from typing import Any, cast

import anyio
import anyio.abc
from mcp_types.jsonrpc import INVALID_PARAMS, INVALID_REQUEST

from toolcrib_registry.types import JsonObject

from .answering import Say, Teller, defect, describe, pass_note
from .asking import Question, lacking, missing_capabilities, settle
from .envelope import read_level, strip, token_of
from .limits import LIMITS, Limits
from .listening import LIST_CHANGES, Listening
from .messages import Call, Id, Note, Reply
from .questions import Questions
from .results import initialization, negotiate, of_the_handshake, unknown_method
from .service import Client, Request, RpcError, Service

logger = logging.getLogger(__name__)

LEAVE_TIMEOUT_S = 5.0
MAX_SUBSCRIPTIONS = 1_000
_NO_MORE = frozenset({"server/discover", "subscriptions/listen"})
"""Requests that came with 2026-07-28."""
_ASKED = frozenset({"elicitation/create", "sampling/createMessage", "roots/list"})


class Conversation:
    """What is said between a service and one client that has shaken hands."""

    def __init__(
        self,
        service: Service,
        params: JsonObject,
        *,
        principal: str,
        say: Say,
        tasks: anyio.abc.TaskGroup,
        limits: Limits = LIMITS,
    ) -> None:
        """Open it with the parameters of ``initialize``; ``say`` sends what is of no request.

        Raises:
            RpcError: They are not what they have to be.
        """
        self.service = service
        self._say = say
        self._questions = Questions(timeout_s=limits.ask_timeout_s)
        self._listening = Listening(
            lambda: self.client, self._tell, tasks, pause_s=limits.listen_pause_s
        )
        self._capabilities: JsonObject = {}
        self._uris: tuple[str, ...] = ()
        self._subscribing = anyio.Lock()
        self._follows = False
        self._tasks = tasks
        self.client = Client(
            principal=principal,
            version=negotiate(params),
            capabilities=_object(params, "capabilities"),
            info=_object(params, "clientInfo"),
            session=uuid.uuid4().hex,
            notify=self._tell,
            ask=partial(self._ask, say),
        )

    async def greet(self) -> JsonObject:
        """Return the result of ``initialize``.

        Raises:
            RpcError: The service cannot say what there is.
        """
        described = await describe(self.service, self.client)
        result = initialization(described, self.client.version)
        self._capabilities = result["capabilities"]
        return result

    async def answer(self, call: Call, say: Say | None = None) -> JsonObject:
        """Answer a request; ``say`` sends what is said and asked meanwhile.

        Raises:
            RpcError: The answer is an error.
        """
        match call.method:
            case "initialize":
                raise RpcError(INVALID_REQUEST, "This conversation has been initialized.")
            case "ping":
                return {}
            case "logging/setLevel" if "logging" in self._capabilities:
                level = read_level(call.params.get("level"))
                self.client = replace(self.client, log_level=level)
                return {}
            case "resources/subscribe" if self._has("resources", "subscribe"):
                return await self._subscribe(_uri(call.params))
            case "resources/unsubscribe" if self._has("resources", "subscribe"):
                return await self._unsubscribe(_uri(call.params))
            case "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe":
                raise unknown_method(call.method)
            case method if method in _NO_MORE:
                raise unknown_method(method)
            case _:
                return await self._handle(call, say or self._say)

    def take(self, reply: Reply) -> None:
        """Take in an answer of the client's; one to no question of ours is passed over."""
        self._questions.take(reply)

    async def note(self, note: Note) -> None:
        """Take in a notification of the client's, in bounded time."""
        if note.method == "notifications/initialized":
            self.follow()
        elif note.method != "notifications/progress":
            await pass_note(self.service, self.client, note)

    def follow(self) -> None:
        """Tell of changed lists from now on; once, however often it is begun."""
        if not self._follows:
            self._follows = True
            self._tasks.start_soon(self._begin_to_follow)

    async def leave(self) -> None:
        """End it, in bounded time."""
        self._questions.end()
        self._listening.stop()
        with anyio.move_on_after(LEAVE_TIMEOUT_S, shield=True):
            try:
                await self.service.leave(self.client)
            except Exception:
                logger.exception("What was kept for a client could not be dropped")

    # --- requests ------------------------------------------------------------------------------

    async def _handle(self, call: Call, say: Say) -> JsonObject:
        token = token_of(call.params)
        request = Request(
            method=call.method,
            params=strip(call.params),
            client=self.client,
            notify=self._teller(say, token),
            wants_progress=token is not None,
            ask=partial(self._ask, say),
        )
        try:
            return of_the_handshake(await settle(self.service, request))
        except RpcError:
            raise
        except Exception as error:  # top of a request: logged and answered
            raise defect(error) from error

    def _teller(self, say: Say, token: Id | None = None) -> Teller:
        return Teller(say, token=token, log_level=self.client.log_level, unasked=True)

    async def _tell(self, method: str, params: JsonObject) -> None:
        await self._teller(self._say)(method, params)

    async def _ask(self, say: Say, method: str, params: JsonObject) -> JsonObject:
        if method in _ASKED:
            asked = {"asked": Question(method, params)}
            if missing := missing_capabilities(asked, self.client.capabilities):
                raise lacking(missing)
        return await self._questions.ask(say, method, params)

    # --- changes -------------------------------------------------------------------------------

    async def _begin_to_follow(self) -> None:
        try:
            async with self._subscribing:
                await self._want(self._uris)
        except RpcError as error:
            logger.info("A client is not told of changed lists: %s", error.message)

    async def _subscribe(self, uri: str) -> JsonObject:
        async with self._subscribing:
            if uri in self._uris:
                return {}
            if len(self._uris) >= MAX_SUBSCRIPTIONS:
                raise RpcError(INVALID_REQUEST, "Too many subscriptions: end one first.")
            agreed = await self._want((*self._uris, uri))
            if uri not in (agreed.get("resourceSubscriptions") or ()):
                raise RpcError(INVALID_PARAMS, f"{uri[:200]} cannot be subscribed to.")
            self._uris = (*self._uris, uri)
        return {}

    async def _unsubscribe(self, uri: str) -> JsonObject:
        async with self._subscribing:
            if uri in self._uris:
                left = tuple(each for each in self._uris if each != uri)
                await self._want(left)
                self._uris = left
        return {}

    async def _want(self, uris: tuple[str, ...]) -> JsonObject:
        wanted: dict[str, Any] = {
            name: True
            for name in LIST_CHANGES
            if self._follows and self._has(name.removesuffix("ListChanged"), "listChanged")
        }
        if uris:
            wanted["resourceSubscriptions"] = list(uris)
        return await self._listening.want(self.service, wanted)

    def _has(self, feature: str, part: str) -> bool:
        declared = self._capabilities.get(feature)
        return isinstance(declared, dict) and bool(cast("dict[str, Any]", declared).get(part))


def _object(params: JsonObject, key: str) -> JsonObject:
    value = params.get(key, {})
    if not isinstance(value, dict):
        raise RpcError(INVALID_PARAMS, f"{key!r} must be an object.")
    return cast("dict[str, Any]", value)


def _uri(params: JsonObject) -> str:
    uri = params.get("uri")
    if not isinstance(uri, str):
        raise RpcError(INVALID_PARAMS, "'uri' must be a text.")
    return uri
