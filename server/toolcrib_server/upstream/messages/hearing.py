"""What is heard of a server's changes on one connection, and when somebody must be told of them.

Knows the notifications; opens no stream. The list itself is always read anew, so of any number of
notifications only one thing matters: that something may have changed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import anyio

from toolcrib_registry.types import JsonObject, ServerName

logger = logging.getLogger(__name__)

ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
LIST_CHANGES = {
    "tools": "toolsListChanged",
    "prompts": "promptsListChanged",
    "resources": "resourcesListChanged",
}
"""Each list by the capability that announces it, with its word in a subscription's filter."""
_NOTIFICATIONS = frozenset(f"notifications/{kind}/list_changed" for kind in LIST_CHANGES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """How closely servers are listened to, and how patiently."""

    max_listening: int = 200
    """Servers that are listened to at once, each over a connection that stays open for it."""
    agree_s: float = 2.0
    """What a server may take to agree to tell of changes, before its lists are read without."""
    again_s: tuple[float, float] = (1.0, 300.0)
    """The shortest and the longest pause before a stream that ended is opened again."""
    quiet_s: float = 900.0
    """A stream without a byte for so long is taken for dead."""
    greet_again_s: float = 3600.0
    """New capabilities and instructions of a server are noticed within so long."""
    turn_s: float = 30.0
    """How long a call waits for its turn behind one that asks somebody something."""


def announced_changes(capabilities: Mapping[str, Any]) -> frozenset[str]:
    """Of which lists a server announces changes: some of tools, prompts, resources."""
    return frozenset(kind for kind in LIST_CHANGES if _announces(capabilities.get(kind)))


def _announces(capability: object) -> bool:
    known = cast("dict[str, Any]", capability) if isinstance(capability, dict) else {}
    return known.get("listChanged") is True


class Hearing:
    """Whether changes of a server's lists are heard on a connection."""

    def __init__(self, server: ServerName, told: Callable[[ServerName], None]) -> None:
        self._server = server
        self._told = told
        self._readers = 0
        self._settled = anyio.Event()
        self.kinds: frozenset[str] = frozenset()
        """The lists whose changes are heard now."""
        self.agreements = 0
        """How often the server agreed to tell of changes."""
        self.is_vain = False
        """Whether the server has shown that it will tell of none."""

    def on_notification(self, method: str, params: Mapping[str, Any]) -> None:
        """Take in what the server said unasked. Anything but a change or an agreement is passed."""
        if method in _NOTIFICATIONS:
            self._tell()
        elif method == ACKNOWLEDGED:
            self._agree(params.get("notifications"))

    async def hear(self, method: str, params: JsonObject) -> None:
        """Take in what was said on a stream of ours."""
        self.on_notification(method, params)

    def _agree(self, notifications: object) -> None:
        agreed = cast("dict[str, Any]", notifications) if isinstance(notifications, dict) else {}
        kinds = {kind for kind, word in LIST_CHANGES.items() if agreed.get(word) is True}
        self.agreements += 1
        self.is_vain = not kinds
        self.came_up(frozenset(kinds))

    def came_up(self, kinds: frozenset[str], *, missed: bool = True) -> None:
        """Note that changes of these lists are heard from now on.

        What may have been ``missed`` before is told of, unless somebody is about to read the lists.
        """
        self.kinds = kinds
        self._settled.set()
        if kinds and missed and not self._readers:
            self._tell()

    def went_down(self) -> None:
        """Note that nothing is heard for now, and that to wait for it may take long."""
        self.kinds = frozenset()
        self._settled.set()

    def give_up(self) -> None:
        """Note that nothing will be heard on this connection: let nobody wait for it."""
        self.went_down()
        self.is_vain = True

    async def settle(self, timeout_s: float) -> None:
        """Wait until changes are heard, or it is clear that they will not be; or for so long."""
        try:
            with anyio.move_on_after(timeout_s):
                await self._settled.wait()
        finally:
            self._settled.set()  # the next need not wait as long again

    async def settle_for_reading(self, timeout_s: float) -> None:
        """Wait so before the lists are read: what was missed until then needs no telling."""
        self._readers += 1
        try:
            await self.settle(timeout_s)
        finally:
            self._readers -= 1

    def _tell(self) -> None:
        try:
            self._told(self._server)
        except Exception:
            logger.exception("Nobody could be told that a list of %s changed", self._server)
