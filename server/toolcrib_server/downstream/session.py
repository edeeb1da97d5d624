"""One session of the handshake era over HTTP: a conversation, and the streams it is carried by."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager

import anyio
import anyio.abc
from mcp_types.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST

from toolcrib_registry.types import JsonObject
from toolcrib_server.jsonrpc.text import encode

from .answering import Say
from .event_stream import MAX_KEPT_BYTES, EventStream
from .handshake import Conversation
from .limits import LIMITS, Limits
from .messages import Call, Id, Note, failure, id_of, response
from .service import RpcError, Service

STANDING = "0"
"""The stream of what belongs to no request: a GET brings it."""
MAX_ENDED_STREAMS = 8
REQUEST_CANCELLED = -32800
"""What a cancelled request is answered: in this era its stream ends only with a response."""


class Session:
    """What is kept of one client between its requests."""

    def __init__(
        self,
        service: Service,
        params: JsonObject,
        *,
        principal: str,
        place: str,
        tasks: anyio.abc.TaskGroup,
        limits: Limits = LIMITS,
    ) -> None:
        """Begin it with the parameters of ``initialize``, at a ``place``: the endpoint's path.

        Raises:
            RpcError: They are not what they have to be.
        """
        self._limits = limits
        self.principal = principal
        self.place = place
        self.standing = EventStream(STANDING)
        self.conversation = Conversation(
            service, params, principal=principal, say=self._say, tasks=tasks, limits=limits
        )
        self._streams: OrderedDict[str, EventStream] = OrderedDict({STANDING: self.standing})
        self._named = 0
        self._in_flight: dict[Id, anyio.CancelScope] = {}
        self._readers: list[object] = []
        self._users = 0
        self.used_at = time.monotonic()
        self.over = anyio.Event()

    @property
    def id(self) -> str:
        """What the client names it by."""
        assert self.conversation.client.session is not None
        return self.conversation.client.session

    @property
    def version(self) -> str:
        """The protocol version that was agreed."""
        return self.conversation.client.version

    @property
    def primes(self) -> bool:
        """Whether the client expects each stream to begin with an empty event."""
        return self.version >= "2025-11-25"

    @contextmanager
    def in_use(self) -> Generator[None]:
        """Keep the session from being idle."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            self.used_at = time.monotonic()

    def is_idle(self, seconds: float) -> bool:
        """Whether nothing has been going on for so long."""
        return not self._users and time.monotonic() - self.used_at >= seconds

    # --- requests ------------------------------------------------------------------------------

    async def answer(self, call: Call, say: Say) -> JsonObject:
        """Answer a request, whatever comes of it, with a whole message."""
        refused = self._refusal(call)
        if refused is not None:
            return failure(call.id, refused)
        with anyio.CancelScope() as scope:
            self._in_flight[call.id] = scope
            try:
                return response(call.id, await self.conversation.answer(call, say))
            except RpcError as error:
                return failure(call.id, error)
            finally:
                del self._in_flight[call.id]
        return failure(call.id, RpcError(REQUEST_CANCELLED, "The request was cancelled."))

    def _refusal(self, call: Call) -> RpcError | None:
        if call.id in self._in_flight:
            return RpcError(INVALID_REQUEST, f"The id {call.id!r} is in use: not answered yet.")
        if len(self._in_flight) >= self._limits.max_in_flight:
            text = f"{self._limits.max_in_flight} requests wait for their answers."
            return RpcError(INTERNAL_ERROR, text)
        return None

    async def note(self, note: Note) -> None:
        """Take in a notification of the client's."""
        if note.method == "notifications/cancelled":
            called = id_of({"id": note.params.get("requestId")})
            scope = None if called is None else self._in_flight.get(called)
            if scope is not None:
                scope.cancel()
        elif note.method != "notifications/initialized":  # who listens is told, not before
            await self.conversation.note(note)

    # --- streams -------------------------------------------------------------------------------

    def open_stream(self) -> EventStream:
        """Begin the stream of a request."""
        self._named += 1
        name, room = str(self._named), MAX_KEPT_BYTES // len(self._streams)
        # What is said goes to the client at once, too: nothing has to be kept for it to arrive.
        stream = self._streams[name] = EventStream(name, max_bytes=room, at_least=0)
        return stream

    def end_stream(self, stream: EventStream) -> None:
        """End the stream of a request. It is kept for a while, as one of the last few."""
        stream.end()
        ended = [each for each in self._streams.values() if each.has_ended]
        for each in ended[: max(0, len(ended) - MAX_ENDED_STREAMS)]:
            del self._streams[each.name]

    def find_stream(self, name: str) -> EventStream | None:
        """Return a stream that can be taken up again."""
        return self._streams.get(name)

    @contextmanager
    def reading(self) -> Generator[object]:
        """Be the reader of the standing stream, until a newer one comes or one leaves.

        Raises:
            RpcError: There are too many.
        """
        if len(self._readers) >= self._limits.max_readers:
            text = f"{self._limits.max_readers} streams are open already."
            raise RpcError(INVALID_REQUEST, text)
        reader = object()
        self._readers.append(reader)
        self.standing.stir()
        try:
            yield reader
        finally:
            self._readers.remove(reader)
            self.standing.stir()

    @property
    def readers(self) -> int:
        """How many streams are open for what belongs to no request."""
        return len(self._readers)

    def reads(self, reader: object) -> bool:
        """Whether it is the one to whom the standing stream goes: the newest."""
        return self._readers[-1] is reader

    async def _say(self, message: JsonObject) -> None:
        if "id" in message:  # a question
            await self._wait_heard()
        self.standing.put(encode(message))

    async def _wait_heard(self) -> None:
        with anyio.move_on_after(self._limits.heard_within_s):
            while not self._readers:
                await self.standing.wait()
            return
        raise RpcError(INTERNAL_ERROR, "The client cannot be asked: it has no stream open.")

    # --- the end -------------------------------------------------------------------------------

    async def end(self) -> None:
        """End it, in bounded time."""
        self.over.set()
        for scope in list(self._in_flight.values()):
            scope.cancel()
        for stream in self._streams.values():
            stream.end()
        await self.conversation.leave()
