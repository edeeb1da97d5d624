"""Who listens on a connection to a server of the handshake era, and what the server was asked for.

Such a server tells of changes once a connection, whoever wants to know: here they are told on to
each who asked, and a resource is subscribed to while anybody listens to it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import anyio

from toolcrib_registry.errors import UpstreamTimeout
from toolcrib_registry.types import JsonObject
from toolcrib_server.upstream.failures import LinkFailure, RpcFailure

from .dialogue import Dialogue
from .hearing import ACKNOWLEDGED, LIST_CHANGES, announced_changes
from .incoming import RESOURCE_UPDATED

logger = logging.getLogger(__name__)

Ask = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""Sends (method, params) to the server and returns the raw result."""
_FAREWELL_S = 5.0
_MOST_RESOURCES = 1000
_MOST_EARLY = 1000


@dataclass(eq=False, slots=True)
class Listener:
    """One who wants to know, and what it was agreed to tell."""

    dialogue: Dialogue
    kinds: frozenset[str]
    """Some of tools, prompts, resources: the lists."""
    uris: set[str] = field(default_factory=set[str])
    early: list[tuple[str, JsonObject]] | None = field(default_factory=list[tuple[str, JsonObject]])
    """What changed before it was told what was agreed; None since."""

    def tell(self, method: str, params: JsonObject) -> None:
        """Tell of a change, though not before it was told what was agreed."""
        if self.early is None:
            self.dialogue.tell(method, params)
        elif len(self.early) < _MOST_EARLY:
            self.early.append((method, params))

    def acknowledge(self) -> None:
        """Tell what was agreed, and what has changed since."""
        early, self.early = self.early or [], None
        self.dialogue.tell(ACKNOWLEDGED, {"notifications": self.describe()})
        for method, params in early:
            self.dialogue.tell(method, params)

    def describe(self) -> JsonObject:
        """Say what was agreed, as a filter of ``subscriptions/listen``."""
        agreed: JsonObject = {
            word: True for kind, word in LIST_CHANGES.items() if kind in self.kinds
        }
        return {**agreed, "resourceSubscriptions": sorted(self.uris)} if self.uris else agreed


class Subscriptions:
    """The listeners of one connection."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._listeners: list[Listener] = []
        self._wanted: Counter[str] = Counter()
        self._changing = anyio.Lock()
        self.is_over = False
        """Whether the connection is being closed: nothing needs to be unsubscribed from."""

    async def join(
        self, dialogue: Dialogue, wanted: JsonObject, capabilities: Mapping[str, Any]
    ) -> Listener:
        """Begin to tell of what is wanted, as far as the server does.

        Raises:
            RpcFailure: It does none of it, and said why.
            LinkFailure: It cannot be asked.
            UpstreamTimeout: It does not answer.
        """
        announced = announced_changes(capabilities)
        kinds = {kind for kind in announced if wanted.get(LIST_CHANGES[kind]) is True}
        listener = Listener(dialogue, frozenset(kinds))
        self._listeners.append(listener)
        try:
            failure = await self._subscribe(listener, _uris_in(wanted))
        except BaseException:
            await self.leave(listener)
            raise
        if failure is not None and not listener.describe():
            await self.leave(listener)
            raise failure
        listener.acknowledge()
        return listener

    async def _subscribe(self, listener: Listener, uris: list[str]) -> RpcFailure | None:
        """Subscribe to each; return what the server said if it refused one."""
        refused: RpcFailure | None = None
        for uri in uris:
            async with self._changing:
                try:
                    if not self._wanted[uri]:
                        await self._ask("resources/subscribe", {"uri": uri})
                except RpcFailure as failure:
                    refused = failure
                    continue
                self._wanted[uri] += 1
                listener.uris.add(uri)
        return refused

    async def leave(self, listener: Listener) -> None:
        """Stop telling; what nobody else listens to is unsubscribed from."""
        self._listeners.remove(listener)
        if self.is_over:
            return
        with anyio.move_on_after(_FAREWELL_S, shield=True):
            for uri in sorted(listener.uris):
                await self._unsubscribe(uri)

    async def _unsubscribe(self, uri: str) -> None:
        async with self._changing:
            self._wanted[uri] -= 1
            if self._wanted[uri]:
                return
            del self._wanted[uri]
            try:
                await self._ask("resources/unsubscribe", {"uri": uri})
            except (LinkFailure, UpstreamTimeout) as failure:
                logger.debug("Unsubscribing from %s failed: %s", uri, failure)

    def tell(self, method: str, params: JsonObject) -> None:
        """Tell everyone who wants to know of this change."""
        if method == RESOURCE_UPDATED:
            told = self._who_wants(str(params.get("uri", "")))
        else:
            kind = method.split("/")[1]
            told = [each for each in self._listeners if kind in each.kinds]
        for listener in told:
            listener.tell(method, params)

    def _who_wants(self, uri: str) -> list[Listener]:
        exactly = [each for each in self._listeners if uri in each.uris]
        # It may name a part of what was subscribed to.
        return exactly or [each for each in self._listeners if _holds(each.uris, uri)]


def _holds(uris: set[str], uri: str) -> bool:
    return any(uri.startswith(whole.rstrip("/") + "/") for whole in uris)


def _uris_in(wanted: JsonObject) -> list[str]:
    raw = wanted.get("resourceSubscriptions")
    listed = cast("list[Any]", raw) if isinstance(raw, list) else []
    uris = dict.fromkeys(uri for uri in listed if isinstance(uri, str))
    return list(uris)[:_MOST_RESOURCES]
