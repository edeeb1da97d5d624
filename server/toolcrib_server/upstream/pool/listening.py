"""Carries one listener over the loss of connections, so that a server's restart is not its concern.

Knows no transport and opens nothing: it is handed a way to listen once.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import anyio

from toolcrib_registry.errors import UpstreamError
from toolcrib_registry.types import JsonObject
from toolcrib_server.upstream.backoff import Backoff
from toolcrib_server.upstream.messages.hearing import ACKNOWLEDGED, LIST_CHANGES, Attention
from toolcrib_server.upstream.messages.incoming import RESOURCE_UPDATED
from toolcrib_server.upstream.messages.interaction import OnNotice

logger = logging.getLogger(__name__)

ListenOnce = Callable[[OnNotice], Awaitable[None]]
"""Listens until the server ends that, or the connection is lost: then it raises `UpstreamError`."""
_PATIENCE_S = 120.0
"""After so long without the server its listeners are told that it is lost."""
_LONGEST_PAUSE_S = 30.0
_STEADY_S = 60.0


class Listening:
    """One who listens to a server, over as many connections as it takes."""

    def __init__(self, on_notice: OnNotice, attention: Attention) -> None:
        self._on_notice = on_notice
        self._backoff = Backoff(*attention.again_s)
        self._agreed: JsonObject | None = None
        self._agreed_at = 0.0

    async def run(self, once: ListenOnce, *, may_go_on: Callable[[], bool]) -> None:
        """Listen, and again when the connection is lost, as long as that is likely to help.

        Raises:
            UpstreamError: It was lost for good, or never agreed to tell of anything.
        """
        lost_at: float | None = None
        while True:
            self._agreed_at = 0.0
            try:
                await once(self._hear)
            except UpstreamError as error:
                lost_at = self._note_loss(lost_at)
                is_late = anyio.current_time() - lost_at > _PATIENCE_S
                if self._agreed is None or is_late or not may_go_on():
                    raise
                logger.debug("Listening to %s ended: %s", error.server, error.detail)
                retry_after_s = getattr(error, "retry_after_s", None) or 0.0
            else:
                return
            pause_s = max(min(self._backoff.next_s(), _LONGEST_PAUSE_S), retry_after_s)
            await anyio.sleep(pause_s)

    def _note_loss(self, before: float | None) -> float:
        """Say since when nothing is heard."""
        now = anyio.current_time()
        if not self._agreed_at:
            return now if before is None else before
        if now - self._agreed_at > _STEADY_S:
            self._backoff.reset()
        return now

    async def _hear(self, method: str, params: JsonObject) -> None:
        if method != ACKNOWLEDGED:
            await self._on_notice(method, params)
            return
        is_first, self._agreed_at = self._agreed is None, anyio.current_time()
        if is_first:
            self._agreed = _dict(params.get("notifications"))
            await self._on_notice(method, params)
            return
        for missed in _all_that_may_have_changed(self._agreed or {}):
            await self._on_notice(*missed)


def _all_that_may_have_changed(agreed: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    for kind, word in LIST_CHANGES.items():
        if agreed.get(word) is True:
            yield f"notifications/{kind}/list_changed", {}
    uris = agreed.get("resourceSubscriptions")
    for uri in cast("list[Any]", uris) if isinstance(uris, list) else []:
        yield RESOURCE_UPDATED, {"uri": uri}


def _dict(value: object) -> JsonObject:
    return cast("JsonObject", value) if isinstance(value, dict) else {}
