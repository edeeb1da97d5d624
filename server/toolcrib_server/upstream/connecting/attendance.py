"""Keeps a stream of a server's changes open for our own sake, as long as the server will have it.

For servers of 2026-07-28. Knows no transport: it is handed a way to listen once.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio

from toolcrib_registry.types import JsonObject, ServerName
from toolcrib_server.upstream.backoff import Backoff
from toolcrib_server.upstream.failures import BadAnswer, LinkFailure, RpcFailure
from toolcrib_server.upstream.messages.hearing import LIST_CHANGES, Attention, Hearing
from toolcrib_server.upstream.messages.rpc import METHOD_NOT_FOUND

logger = logging.getLogger(__name__)

_STEADY_S = 60.0
"""A stream that held for so long was sound; the pause after its end is the shortest again."""
_REFUSALS = 5
"""After so many attempts in a row without an agreement, a server is polled instead."""


class Attendance:
    """Hears of the changes of one server's lists, from stream to stream."""

    def __init__(self, server: ServerName, hearing: Hearing, attention: Attention) -> None:
        self._server = server
        self._hearing = hearing
        self._backoff = Backoff(*attention.again_s)
        self._refusals = 0

    async def keep(
        self,
        attend: Callable[[JsonObject], Awaitable[None]],
        *,
        announced: Callable[[], frozenset[str]],
    ) -> None:
        """Listen by ``attend`` to the lists that are announced now, and again whenever it ends."""
        while (kinds := announced()) and self._refusals < _REFUSALS:
            started, before = anyio.current_time(), self._hearing.agreements
            try:
                await attend({LIST_CHANGES[kind]: True for kind in sorted(kinds)})
            except (RpcFailure, BadAnswer) as failure:
                if isinstance(failure, RpcFailure) and failure.code == METHOD_NOT_FOUND:
                    return
                self._refusals += 1
            except LinkFailure as failure:
                logger.debug("Listening to %s ended: %s", self._server, failure.reason)
            self._hearing.went_down()
            if self._hearing.agreements > before:
                self._note_agreement(started)
            await anyio.sleep(self._backoff.next_s())

    def _note_agreement(self, started: float) -> None:
        self._refusals = 0
        if anyio.current_time() - started > _STEADY_S:
            self._backoff.reset()
