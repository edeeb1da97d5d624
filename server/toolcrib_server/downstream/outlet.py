"""Where the answer to a POST of the handshake era goes, and all that is said ahead of it.

What is said is kept by the session for a while, so that a client that loses the connection may come
back for it. As long as nothing is said, there is nothing to keep.
"""

from __future__ import annotations

import contextlib
from http import HTTPStatus

import anyio.lowlevel
from mcp_types.jsonrpc import INTERNAL_ERROR

from toolcrib_registry.types import JsonObject
from toolcrib_server.jsonrpc.text import encode

from .event_stream import EventStream
from .response import ClientGone, Response, event
from .service import RpcError
from .session import Session


class Outlet:
    """Where the answer to a POST goes, with all that is said and asked ahead of it."""

    def __init__(self, session: Session, answer: Response) -> None:
        self._session = session
        self._answer = answer
        self._stream: EventStream | None = None

    async def say(self, message: JsonObject) -> None:
        """Send a message ahead of the answer.

        Raises:
            RpcError: It is a question, and the client takes no streams.
        """
        if not self._answer.streams:
            if "id" in message:
                raise RpcError(INTERNAL_ERROR, "The client cannot be asked: it takes no streams.")
            return
        await self._put(encode(message))

    async def finish(self, message: JsonObject | list[JsonObject]) -> None:
        """Send the answer."""
        with contextlib.suppress(ClientGone):
            if self._stream is not None:
                await self._put(encode(message))
                await self._answer.end()
            elif message:
                await self._answer.finish(message)
            else:
                await self._answer.reply(HTTPStatus.ACCEPTED)
        if self._stream is not None:
            self._session.end_stream(self._stream)

    async def _put(self, data: bytes) -> None:
        if self._stream is None:
            self._stream = self._session.open_stream()
            if self._session.primes:
                await self._put(b"")
        event_id = self._stream.id_of(self._stream.put(data))
        try:
            await self._answer.write(event(data, event_id=event_id))
        except ClientGone:  # it may come back for it
            await anyio.lowlevel.checkpoint()
