"""One request of 2026-07-28 over HTTP: from its envelope to its answer.

Whoever closes the answer's stream has cancelled the request, so the connection is watched while a
service works on it.
"""

from __future__ import annotations

import anyio
import anyio.lowlevel
from mcp_types.jsonrpc import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    PARSE_ERROR,
    UNSUPPORTED_PROTOCOL_VERSION,
)

from toolcrib_registry.types import JsonObject

from .answering import answer
from .envelope import Opened
from .messages import Call, failure, response
from .response import ClientGone, Receive, Response
from .results import modern_error
from .service import RpcError, Service
from .subscription import Subscription
from .watchman import Watchman

_STATUS = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    INVALID_PARAMS: 400,
    METHOD_NOT_FOUND: 404,
    HEADER_MISMATCH: 400,
    MISSING_REQUIRED_CLIENT_CAPABILITY: 400,
    UNSUPPORTED_PROTOCOL_VERSION: 400,
}


class Refusal(RpcError):
    """An error that is sent with an HTTP status of its own."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(code, message)
        self.status = status


def status_of(error: RpcError) -> int:
    """Return the HTTP status that an error is sent with."""
    return error.status if isinstance(error, Refusal) else _STATUS.get(error.code, 200)


class Exchange:
    """Answers one request."""

    def __init__(self, call: Call, answer: Response, receive: Receive, watchman: Watchman) -> None:
        self._call = call
        self._answer = answer
        self._scope = anyio.CancelScope()
        """Cancelled when the client has left, or does not read."""
        self._attended = watchman.attend(receive, answer, on_leave=self._scope.cancel)

    async def answer(self, service: Service, opened: Opened) -> None:
        """Answer it, unless the client leaves first.

        Raises:
            ClientGone: It does not read the answer.
        """
        with self._scope, self._attended:
            try:
                result = await answer(service, self._call, opened, self._say)
            except RpcError as error:
                return await self._refuse(error)
            return await self._answer.finish(response(self._call.id, result))

    async def listen(self, subscription: Subscription) -> None:
        """Keep the stream of a subscription open until it ends or the client leaves.

        Raises:
            ClientGone: It does not read.
        """
        with self._scope, self._attended:
            try:
                result = await subscription.run(self._say)
            except RpcError as error:
                return await self._refuse(error)
            # The answer to a subscription is a stream, however short.
            await self._answer.say(response(self._call.id, result))
            return await self._answer.end()

    async def _say(self, message: JsonObject) -> None:
        try:
            await self._answer.say(message)
        except ClientGone:
            self._scope.cancel()
            await anyio.lowlevel.checkpoint()  # whoever says much need not wait by itself

    async def _refuse(self, error: RpcError) -> None:
        sent = modern_error(error)
        await self._answer.finish(failure(self._call.id, sent), status=status_of(sent))
