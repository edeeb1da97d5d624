"""MCP over standard input and output, for one client, which may speak either era.

A message is a line. Requests are answered as they come to be ready; a request of 2026-07-28 brings
its own envelope, and ``initialize`` begins a conversation of the handshake era, which lasts as long
as the pipe. Whatever the client sends, only MCP is sent back.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Protocol, TypeAlias, cast

import anyio
import anyio.abc
from mcp_types.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR

from toolcrib_registry.types import JsonObject
from toolcrib_server.jsonrpc.text import NotJson, TooDeep, decode, encode

from .answering import Say, answer, defect
from .envelope import is_modern, open_envelope, read_meta
from .handshake import Conversation
from .lines import LineCutter, TooLong, guess_id
from .messages import Call, Id, Note, failure, id_of, response, sort
from .results import modern_error
from .service import RpcError, Service
from .subscription import LISTEN, Subscription

MAX_LINE_BYTES = 8 * 1024 * 1024
MAX_IN_FLIGHT = 1_000
MAX_NOTED = 100
"""Notifications that are being handed on; of more, the last are passed over."""
LAST_ANSWERS_S = 2.0
"""How long requests go on that were sent before the client closed its end: it may still read."""
_FLUSH_S = 1.0
_QUEUED = 16
_SHOWN_BYTES = 512
_BATCHING = frozenset({"2024-11-05", "2025-03-26"})
"""Versions that allow several messages in one line."""

_Sent: TypeAlias = JsonObject | list[Any]


class Incoming(Protocol):
    """Where the client is read."""

    async def receive(self) -> bytes:
        """Return the next bytes; none at the end."""
        ...


class Outgoing(Protocol):
    """Where the client reads."""

    async def send(self, data: bytes) -> None:
        """Write all of it."""
        ...

    def has_reader(self) -> bool:
        """Whether anybody may still read what is written."""
        ...


async def serve_stdio(
    service: Service,
    incoming: Incoming,
    outgoing: Outgoing,
    *,
    principal: str = "local",
    max_line_bytes: int = MAX_LINE_BYTES,
    ending: anyio.Event | None = None,
) -> None:
    """Serve one client until it closes its end, does not read any more, or ``ending`` is set."""
    async with anyio.create_task_group() as tasks:
        face = StdioFace(service, outgoing, tasks, principal=principal)
        tasks.start_soon(face.write)
        if ending is not None:
            tasks.start_soon(face.end_on, ending)
        with face.reading, suppress(OSError):
            await _read(incoming, face, LineCutter(max_line_bytes))
        await face.aclose()
        tasks.cancel_scope.cancel()


async def _read(incoming: Incoming, face: StdioFace, cutter: LineCutter) -> None:
    while chunk := await incoming.receive():
        for line in cutter.feed(chunk):
            await face.take(line)
    await face.take(cutter.rest())


class StdioFace:
    """What goes on over one pipe. Use `serve_stdio`."""

    def __init__(
        self,
        service: Service,
        outgoing: Outgoing,
        tasks: anyio.abc.TaskGroup,
        *,
        principal: str,
    ) -> None:
        self._service = service
        self._outgoing = outgoing
        self._tasks = tasks
        self._principal = principal
        self._opening: Call | None = None
        self._conversation: Conversation | None = None
        self._in_flight: dict[Id, anyio.CancelScope] = {}
        self._listening: set[Subscription] = set()
        self._noted = 0
        self._answered = anyio.Event()
        self._written = anyio.Event()
        self.reading = anyio.CancelScope()
        """Cancelled when there is no sense in reading on."""
        self._queue, self._queued = anyio.create_memory_object_stream[_Sent](_QUEUED)

    # --- in ------------------------------------------------------------------------------------

    async def take(self, line: bytes | TooLong) -> None:
        """Take in one line; what is no message is answered with what is wrong with it."""
        decoded: object = None
        try:
            if isinstance(line, TooLong):
                raise RpcError(INVALID_REQUEST, "The message is longer than this server reads.")
            if line.strip():
                decoded = _decode(line)
                self._take(decoded)
        except RpcError as error:
            # Read on only when this is on its way: who sends nothing but noise is slowed down.
            known = id_of(decoded) if decoded is not None else _guess(line)
            await self._say(failure(known, error))

    def _take(self, decoded: object) -> None:
        if isinstance(decoded, list):
            return self._take_batch(cast("list[object]", decoded))
        message = sort(decoded)
        if isinstance(message, Call):
            self._tasks.start_soon(self._answer, message, self._admit(message), self._say)
        elif isinstance(message, Note):
            self._note(message)
        elif self._conversation:
            self._conversation.take(message)
        return None

    def _take_batch(self, messages: list[object]) -> None:
        if not self._conversation or self._conversation.client.version not in _BATCHING:
            raise RpcError(INVALID_REQUEST, "A line is one message: there are no batches here.")
        if not messages or len(messages) > MAX_IN_FLIGHT:
            raise RpcError(INVALID_REQUEST, f"A batch is 1 to {MAX_IN_FLIGHT} messages.")
        self._tasks.start_soon(self._answer_batch, messages)

    def _note(self, note: Note) -> None:
        if note.method == "notifications/cancelled":
            called = id_of({"id": note.params.get("requestId")})
            if called is not None and (scope := self._in_flight.get(called)):
                scope.cancel()
        elif self._conversation and not is_modern(note, None) and self._noted < MAX_NOTED:
            self._noted += 1
            self._tasks.start_soon(self._pass_on, self._conversation, note)

    async def _pass_on(self, conversation: Conversation, note: Note) -> None:
        try:
            await conversation.note(note)
        finally:
            self._noted -= 1

    def _admit(self, call: Call) -> anyio.CancelScope:
        """Note a request as one that is being answered."""
        if call.id in self._in_flight:
            raise RpcError(
                INVALID_REQUEST, f"The id {call.id!r} is in use: it is not answered yet."
            )
        if len(self._in_flight) >= MAX_IN_FLIGHT:
            raise RpcError(INTERNAL_ERROR, f"{MAX_IN_FLIGHT} requests wait for their answers.")
        if call.method == "initialize" and self._conversation is None:
            self._conversation = Conversation(
                self._service,
                call.params,
                principal=self._principal,
                say=self._say,
                tasks=self._tasks,
            )
            self._opening = call
        scope = self._in_flight[call.id] = anyio.CancelScope()
        return scope

    # --- answers -------------------------------------------------------------------------------

    async def _answer(self, call: Call, scope: anyio.CancelScope, say: Say) -> None:
        try:
            with scope:
                await say(await self._reply(call))
        finally:
            del self._in_flight[call.id]
            self._answered.set()

    async def _answer_batch(self, messages: list[object]) -> None:
        replies: list[Any] = []

        async def keep(reply: JsonObject) -> None:
            replies.append(reply)

        async with anyio.create_task_group() as tasks:
            for decoded in messages:
                try:
                    message = sort(decoded)
                    if isinstance(message, Call):
                        tasks.start_soon(self._answer, message, self._admit(message), keep)
                    else:
                        self._take(decoded)
                except RpcError as error:
                    await keep(failure(id_of(decoded), error))
        if replies:
            await self._say(replies)

    async def _reply(self, call: Call) -> JsonObject:
        try:
            return response(call.id, await self._result(call))
        except RpcError as error:
            is_old = self._conversation and not is_modern(call, None)
            return failure(call.id, error if is_old else modern_error(error))
        except Exception as error:  # noqa: BLE001  # top of a request: logged and answered
            return failure(call.id, defect(error))

    async def _result(self, call: Call) -> JsonObject:
        if self._conversation and call is self._opening:
            return await self._conversation.greet()
        if is_modern(call, None):
            opened = open_envelope(call, read_meta(call), principal=self._principal)
            if call.method == LISTEN:
                return await self._listen(Subscription(self._service, call, opened))
            return await answer(self._service, call, opened, self._say)
        if self._conversation:
            return await self._conversation.answer(call)
        if call.method == "ping":
            return {}
        raise RpcError(
            INVALID_PARAMS,
            "Begin with initialize, or say the protocol version, and what the client can do, in "
            "params._meta of each request.",
        )

    async def _listen(self, subscription: Subscription) -> JsonObject:
        self._listening.add(subscription)
        try:
            return await subscription.run(self._say)
        finally:
            self._listening.discard(subscription)

    # --- out -----------------------------------------------------------------------------------

    async def _say(self, message: _Sent) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            # A message is queued whole or not at all, so that no cancellation leaves half a line.
            await self._queue.send(message)

    async def write(self) -> None:
        """Write what is said, until `aclose` or until nobody reads."""
        try:
            with self._queued:
                async for message in self._queued:
                    await self._outgoing.send(encode(message) + b"\n")
        except OSError:
            self.reading.cancel()
        finally:
            self._written.set()

    # --- the end -------------------------------------------------------------------------------

    async def end_on(self, ending: anyio.Event) -> None:
        """End it as soon as ``ending`` is set."""
        await ending.wait()
        self.reading.cancel()

    async def aclose(self) -> None:
        """Answer what can still be answered soon, and end the rest."""
        for subscription in self._listening:
            subscription.stop()
        if self._outgoing.has_reader():
            with anyio.move_on_after(_FLUSH_S if self.reading.cancel_called else LAST_ANSWERS_S):
                await self._all_answered()
        self._queue.close()
        with anyio.move_on_after(_FLUSH_S):
            await self._written.wait()
        if self._conversation:
            await self._conversation.leave()

    async def _all_answered(self) -> None:
        while self._in_flight:
            self._answered = anyio.Event()
            await self._answered.wait()


def _decode(line: bytes) -> object:
    try:
        return decode(line)
    except NotJson as error:
        raise RpcError(PARSE_ERROR, f"Parse error: {error}") from None
    except TooDeep as error:
        raise RpcError(INVALID_REQUEST, f"The message is {error}.") from None


def _guess(line: bytes | TooLong) -> Id | None:
    if isinstance(line, TooLong):
        return guess_id(line.begin, line.end)
    return guess_id(line[:_SHOWN_BYTES], line[-_SHOWN_BYTES:])
