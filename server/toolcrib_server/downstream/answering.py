"""What answering takes in either era: words meanwhile, a deadline, a way out of defects."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import anyio
from mcp_types.jsonrpc import INTERNAL_ERROR

from toolcrib_registry.types import JsonObject

from .asking import check_askable
from .envelope import NOT_MODERN, Opened, is_loud_enough
from .messages import Call, Id, Note, notification
from .results import complete, discovery, unknown_method
from .service import Client, Request, RpcError, Service

logger = logging.getLogger(__name__)

Say: TypeAlias = Callable[[JsonObject], Awaitable[None]]
"""Sends the client a whole message, in the stream that it belongs to."""

DISCOVER_TIMEOUT_S = 60.0
NOTE_TIMEOUT_S = 30.0


class Teller:
    """Tells a client of progress and log messages while its request is answered."""

    def __init__(
        self, say: Say, *, token: Id | None, log_level: str | None, unasked: bool = False
    ) -> None:
        self._say = say
        self._token = token
        self._log_level = log_level
        self._unasked = unasked
        """Log messages go to a client that has named no level, as before 2026-07-28."""

    async def __call__(self, method: str, params: JsonObject) -> None:
        """Send a notification, if the client wants it."""
        if method == "notifications/progress":
            if self._token is None:
                return
            params = {**params, "progressToken": self._token}
        elif method == "notifications/message" and not self._wants(params):
            return
        await self._say(notification(method, params))

    def _wants(self, params: JsonObject) -> bool:
        if self._log_level is None:
            return self._unasked
        return is_loud_enough(params, self._log_level)


async def answer(service: Service, call: Call, opened: Opened, say: Say) -> JsonObject:
    """Return the result of a request of 2026-07-28; any but ``subscriptions/listen``.

    Everything such a request needs it brings along: nothing is kept from one to the next.

    Raises:
        RpcError: The answer is an error.
    """
    if call.method == "server/discover":
        return discovery(await describe(service, opened.client))
    if call.method in NOT_MODERN:
        raise unknown_method(call.method)
    request = Request(
        method=call.method,
        params=opened.params,
        client=opened.client,
        notify=Teller(say, token=opened.token, log_level=opened.client.log_level),
        wants_progress=opened.token is not None,
    )
    try:
        result = await service.handle(request)
    except RpcError:
        raise
    except Exception as error:  # top of a request: logged and answered
        raise defect(error) from error
    check_askable(call.method, result, opened.client)
    return complete(call.method, result)


async def describe(service: Service, client: Client) -> JsonObject:
    """Have a service say what there is.

    Raises:
        RpcError: It cannot say, or not in time.
    """
    try:
        with anyio.fail_after(DISCOVER_TIMEOUT_S):
            return await service.discover(client)
    except RpcError:
        raise
    except TimeoutError:
        text = f"What there is could not be learned within {DISCOVER_TIMEOUT_S:g} s."
        raise RpcError(INTERNAL_ERROR, text) from None
    except Exception as error:  # top of a request: logged and answered
        raise defect(error) from error


async def pass_note(service: Service, client: Client, note: Note) -> None:
    """Tell a service of a client's notification, in bounded time; nobody waits for an answer."""
    try:
        with anyio.move_on_after(NOTE_TIMEOUT_S):
            await service.note(client, note.method, note.params)
    except Exception:
        logger.exception("%s came to nothing", note.method[:100])


def defect(error: Exception) -> RpcError:
    """Answer for a defect of ours: logged in full, shown by a number."""
    incident = uuid.uuid4().hex[:12]
    logger.error("Internal error %s", incident, exc_info=error)
    text = f"Toolcrib failed by itself (incident {incident}, see its log). Trying again may help."
    return RpcError(INTERNAL_ERROR, text)
