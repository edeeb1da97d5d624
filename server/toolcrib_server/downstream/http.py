"""The MCP endpoint over HTTP, both eras at one URL, for whatever services are found behind it.

Raw ASGI and plain dicts: the SDK's server parses every message into models, twice, which takes
most of what a call through a gateway costs. Knows no service and no path.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self, cast

import anyio
from anyio.abc import TaskGroup
from mcp_types import PROTOCOL_VERSION_META_KEY
from mcp_types.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST, PARSE_ERROR
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from toolcrib_registry.errors import NotFound, ToolcribError
from toolcrib_server.jsonrpc.text import NotJson, TooDeep, decode, encode

from .answering import pass_note
from .envelope import client_of, is_modern, open_envelope, read_meta, refuse_unknown_version
from .exchange import Exchange, Refusal, status_of
from .handshake_http import HandshakeFace
from .headers import Headers, Mirrors, check_agreement
from .limits import LIMITS, Limits
from .messages import Call, Note, failure, id_of, sort
from .response import ClientGone, Receive, Response, Scope, Send
from .service import RpcError, Service
from .sessions import Sessions, find_hog
from .subscription import LISTEN, Subscription
from .visit import Visit
from .watchman import Watchman

_POLICY_VIOLATION = 1008
"""WebSocket close code (RFC 6455, section 7.4.1)."""
Find = Callable[[Scope], Awaitable[Service | None]]
"""Finds the service that a request is for; None, or `NotFound` with near names: there is none."""

_END_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class _Running:
    """What there is while a face is entered."""

    tasks: TaskGroup
    watchman: Watchman
    handshake: HandshakeFace


class HttpFace:
    """Serves MCP at every URL for which ``find`` finds a service, while it is entered.

    Behind `KeyGuard`, whose principal everything is kept apart by, and `BodyGuard`.
    """

    def __init__(self, find: Find, *, limits: Limits = LIMITS) -> None:
        self._find = find
        self._limits = limits
        self._mirrors = Mirrors()
        self._subscriptions: dict[Subscription, None] = {}
        """Those open longest first."""
        self.sessions = Sessions(limits)
        self._running: _Running | None = None

    async def __aenter__(self) -> Self:
        """Begin to serve."""
        tasks = await anyio.create_task_group().__aenter__()
        watchman = Watchman(tasks, keep_alive_s=self._limits.keep_alive_s)
        old = HandshakeFace(self.sessions, tasks, watchman, limits=self._limits)
        tasks.start_soon(self.sessions.sweep)
        tasks.start_soon(watchman.run)
        self._running = _Running(tasks, watchman, old)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """End every session."""
        assert self._running is not None
        tasks = self._running.tasks
        with anyio.move_on_after(_END_TIMEOUT_S, shield=True):
            await self.sessions.end_all()
        tasks.cancel_scope.cancel()
        await tasks.__aexit__(None, None, None)
        self._running = None

    def _open(self) -> _Running:
        if self._running is None:
            text = "This endpoint does not serve yet, or not any more."
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, INTERNAL_ERROR, text)
        return self._running

    def stop(self) -> None:
        """End the streams that would not end by themselves: the server is shutting down."""
        for subscription in list(self._subscriptions):
            subscription.stop()
        self.sessions.hush()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        with contextlib.suppress(ClientGone):
            try:
                service = await self._find(scope)
                if service is None:
                    raise NotFound("MCP endpoint", str(scope["path"]))
            except ToolcribError as error:
                return await _refuse(send, error)
            headers = Headers(scope["headers"])
            return await self._serve(Visit(service, scope, headers, receive, send, self._limits))

    async def _serve(self, visit: Visit) -> None:
        method = visit.scope["method"]
        if method == "POST":
            return await self._post(visit)
        version = visit.headers.version
        old = version is None or version in HANDSHAKE_PROTOCOL_VERSIONS
        if not old or method not in {"GET", "DELETE"}:
            allowed = b"GET, POST, DELETE" if old else b"POST"
            status = HTTPStatus.METHOD_NOT_ALLOWED
            return await Response(visit.send).reply(status, headers=[(b"allow", allowed)])
        try:
            if method == "DELETE":
                return await self._open().handshake.delete(visit)
            if not visit.headers.accepted()[1]:
                return await Response(visit.send).reply(HTTPStatus.NOT_ACCEPTABLE)
            return await self._open().handshake.get(visit)
        except RpcError as error:
            answer = Response(visit.send)
            return await answer.finish(failure(None, error), status=status_of(error))

    async def _post(self, visit: Visit) -> None:
        if not visit.headers.bears_json:
            return await Response(visit.send).reply(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        if not any(visit.headers.accepted()):
            return await Response(visit.send).reply(HTTPStatus.NOT_ACCEPTABLE)
        body = await visit.read()
        if body is None:
            return None
        decoded: object = None
        try:
            decoded = _decode(body)
            return await self._take(visit, decoded)
        except RpcError as error:
            refusal = failure(id_of(decoded), error)
            return await Response(visit.send).finish(refusal, status=status_of(error))

    async def _take(self, visit: Visit, decoded: object) -> None:
        if isinstance(decoded, list):
            return await self._take_batch(visit, cast("list[Any]", decoded))
        message = sort(decoded)
        if isinstance(message, (Call, Note)) and is_modern(message, visit.headers.version):
            if isinstance(message, Call):
                return await self._modern(visit, message)
            return await self._note(visit, message)
        if not isinstance(message, (Call, Note)) and not _is_old(visit):
            raise RpcError(INVALID_REQUEST, "A response answers nothing here.")
        return await self._open().handshake.post(visit, message)

    async def _take_batch(self, visit: Visit, decoded: list[Any]) -> None:
        if not _is_old(visit):
            raise RpcError(INVALID_REQUEST, "A body is one message: there are no batches here.")
        await self._open().handshake.post_batch(visit, decoded)

    async def _modern(self, visit: Visit, call: Call) -> None:
        meta = read_meta(call)
        check_agreement(visit.headers, call, meta[PROTOCOL_VERSION_META_KEY])
        opened = open_envelope(call, meta, principal=visit.principal)
        if call.method == "tools/call":
            self._mirrors.check(visit.headers, call, _schema(visit.service, call))
        exchange = Exchange(call, visit.respond(), visit.receive, self._open().watchman)
        if call.method == LISTEN:
            subscription = Subscription(visit.service, call, opened)
            with self._kept(visit, subscription):
                return await exchange.listen(subscription)
        return await exchange.answer(visit.service, opened)

    @contextlib.contextmanager
    def _kept(self, visit: Visit, subscription: Subscription) -> Generator[None]:
        if not visit.headers.accepted()[1]:
            text = "A subscription is answered with an event stream: accept text/event-stream."
            raise Refusal(HTTPStatus.NOT_ACCEPTABLE, INVALID_REQUEST, text)
        is_full = len(self._subscriptions) >= self._limits.max_subscriptions
        if is_full and not self._end_one(for_=subscription.principal):
            text = f"{self._limits.max_subscriptions} subscriptions are open. Try again later."
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, INTERNAL_ERROR, text)
        self._subscriptions[subscription] = None
        try:
            yield
        finally:
            self._subscriptions.pop(subscription, None)

    def _end_one(self, *, for_: str) -> bool:
        """End the oldest subscription of whoever has most, so that nobody keeps the others out."""
        most = find_hog((each.principal for each in self._subscriptions), for_)
        oldest = next((each for each in self._subscriptions if each.principal == most), None)
        if oldest is None:
            return False
        del self._subscriptions[oldest]
        oldest.stop()
        return True

    async def _note(self, visit: Visit, note: Note) -> None:
        """Take in a notification that belongs to no session; a cancellation is no message here."""
        refuse_unknown_version(visit.headers.version or "")
        meta = note.params.get("_meta")
        if isinstance(meta, dict) and note.method != "notifications/cancelled":
            client = client_of(read_meta(note), principal=visit.principal)
            await pass_note(visit.service, client, note)
        await Response(visit.send).reply(HTTPStatus.ACCEPTED)


def _is_old(visit: Visit) -> bool:
    version = visit.headers.version
    return version is None or version in HANDSHAKE_PROTOCOL_VERSIONS


def _schema(service: Service, call: Call) -> Mapping[str, Any] | None:
    name = call.params.get("name")
    return service.input_schema(name) if isinstance(name, str) else None


def _decode(body: bytes) -> object:
    try:
        return decode(body)
    except NotJson as error:
        raise RpcError(PARSE_ERROR, f"Parse error: {error}") from None
    except TooDeep as error:
        raise RpcError(INVALID_REQUEST, f"The message is {error}.") from None


async def _refuse(send: Send, error: ToolcribError) -> None:
    """Answer that a service cannot be found: it is not there, or the registry cannot be read."""
    missing = error if isinstance(error, NotFound) else None
    status = HTTPStatus.NOT_FOUND if missing else HTTPStatus.SERVICE_UNAVAILABLE
    problem: dict[str, Any] = {
        "type": f"urn:toolcrib:problem:{error.code}",
        "title": error.title,
        "status": status,
        "detail": error.detail,
        "code": error.code,
    }
    if missing:
        near = list(missing.near)
        problem["data"] = {"what": missing.what, "name": missing.name, "near": near}
    headers = [(b"content-type", b"application/problem+json")]
    await Response(send).reply(status, encode(problem), headers=headers)
