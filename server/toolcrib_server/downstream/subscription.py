"""One ``subscriptions/listen`` of 2026-07-28: what a service tells, as a stream that is never full.

Changes may come faster than a client reads. What says the same twice is said once, and a client
that is too far behind is told that its subscription has ended: it asks anew, and has missed nothing
that it could not learn by looking.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, cast

import anyio
from mcp_types.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS

from toolcrib_registry.types import JsonObject
from toolcrib_server.jsonrpc.text import encode

from .answering import Say, defect
from .envelope import Opened
from .messages import Call, notification
from .service import RpcError, Service

LISTEN = "subscriptions/listen"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
MAX_WAITING = 1000
"""Notifications that wait for a client to read."""
_ID_KEY = "io.modelcontextprotocol/subscriptionId"


class Subscription:
    """Listens to a service for one request."""

    def __init__(self, service: Service, call: Call, opened: Opened) -> None:
        self._service = service
        self._call = call
        self._opened = opened
        self._waiting: OrderedDict[bytes, JsonObject] = OrderedDict()
        self._news = anyio.Event()
        self._stopped = anyio.Event()
        self._failure: RpcError | None = None
        self._over = False

    @property
    def principal(self) -> str:
        """Who listens."""
        return self._opened.client.principal

    def stop(self) -> None:
        """End it gracefully, as when the server shuts down."""
        self._over = True
        self._news.set()

    async def run(self, say: Say) -> JsonObject:
        """Tell of changes until there are no more; return the result that says so.

        Raises:
            RpcError: Nothing can be told, or no more.
        """
        wanted = wanted_by(self._opened.params)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen, wanted)
            await self._tell(say)
            tasks.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure
        return {"resultType": "complete", "_meta": {_ID_KEY: self._call.id}}

    async def _listen(self, wanted: JsonObject) -> None:
        try:
            await self._service.listen(self._opened.client, wanted, self._note)
        except RpcError as error:
            self._failure = error
        except Exception as error:  # noqa: BLE001  # top of a task: logged and answered
            self._failure = defect(error)
        self.stop()

    async def _note(self, method: str, params: JsonObject) -> None:
        message = notification(method, self._marked(params))
        key = encode(message)
        if key in self._waiting:
            return None
        if len(self._waiting) >= MAX_WAITING:
            text = "The client does not read what it is told of; subscribe again."
            self._failure = RpcError(INTERNAL_ERROR, text)
            self._waiting.clear()
            return self.stop()
        self._waiting[key] = message
        self._news.set()
        return None

    def _marked(self, params: JsonObject) -> JsonObject:
        meta = params.get("_meta")
        known = cast("dict[str, Any]", meta) if isinstance(meta, dict) else {}
        return {**params, "_meta": {**known, _ID_KEY: self._call.id}}

    async def _tell(self, say: Say) -> None:
        while True:
            while self._waiting:
                _, message = self._waiting.popitem(last=False)
                await say(message)
            if self._over:
                return
            await self._news.wait()
            self._news = anyio.Event()


def wanted_by(params: JsonObject) -> JsonObject:
    """Return what a client wants to be told of.

    Raises:
        RpcError: It does not say, or not so that it could be understood.
    """
    wanted = params.get("notifications")
    if not isinstance(wanted, dict):
        raise RpcError(INVALID_PARAMS, "'notifications' must be an object.")
    known = cast("dict[str, Any]", wanted)
    for name, value in known.items():
        if name.endswith("ListChanged") and not isinstance(value, bool):
            raise RpcError(INVALID_PARAMS, f"'notifications.{name}' must be true or false.")
    uris = known.get("resourceSubscriptions", [])
    if not isinstance(uris, list) or not all(
        isinstance(uri, str) for uri in cast("list[Any]", uris)
    ):
        raise RpcError(INVALID_PARAMS, "'notifications.resourceSubscriptions' must be URIs.")
    return known
