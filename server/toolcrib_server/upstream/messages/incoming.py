"""Sorts what a server says that is no answer: which request it is about, or that it is about none.

On Streamable HTTP the stream tells; where all comes by one channel, tokens and subscription ids do,
and where there are none, whether only one request can be meant.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, cast

from toolcrib_registry.types import JsonObject
from toolcrib_server.sdk import load_sdk

from . import rpc
from .dialogue import Dialogue, Reply

PROGRESS = "notifications/progress"
MESSAGE = "notifications/message"
CANCELLED = "notifications/cancelled"
RESOURCE_UPDATED = "notifications/resources/updated"
CHANGES = frozenset(
    {
        "notifications/tools/list_changed",
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
        RESOURCE_UPDATED,
    }
)
"""What is for whoever listens on a connection, not for a request."""


class Outside(Protocol):
    """Takes what belongs to no request. Nothing here may block."""

    @property
    def can_hear(self) -> bool:
        """Whether anybody hears messages that are about no request."""
        ...

    @property
    def can_ask(self) -> bool:
        """Whether anybody answers requests that belong to none of ours."""
        ...

    def hear(self, method: str, params: JsonObject) -> None:
        """Take a notification."""
        ...

    def ask(
        self, message: Mapping[str, Any], reply: Reply, *, about: Sequence[Dialogue] = ()
    ) -> None:
        """Take a request, which may be about these of ours."""
        ...

    def withdraw(self, asked: object) -> None:
        """Note that the server no longer wants this request of its own answered."""
        ...


class Nobody:
    """Hears nothing."""

    can_hear = False
    can_ask = False

    def hear(self, method: str, params: JsonObject) -> None:
        """Do nothing."""

    def ask(
        self, message: Mapping[str, Any], reply: Reply, *, about: Sequence[Dialogue] = ()
    ) -> None:
        """Do nothing."""

    def withdraw(self, asked: object) -> None:
        """Do nothing."""


class Incoming:
    """Sorts for one link; ``by_streams`` says that what is about a request comes by its stream."""

    def __init__(self, outside: Outside, *, by_streams: bool) -> None:
        self._outside = outside
        self._by_streams = by_streams
        self._dialogues: dict[int, Dialogue] = {}
        self._in_flight = 0

    @contextmanager
    def expecting(self, call_id: int, dialogue: Dialogue | None) -> Generator[None]:
        """Know a request while it is in flight."""
        self._in_flight += 1
        if dialogue is not None:
            self._dialogues[call_id] = dialogue
        try:
            yield
        finally:
            self._in_flight -= 1
            self._dialogues.pop(call_id, None)

    def take(self, message: Mapping[str, Any], reply: Reply, *, by: Dialogue | None = None) -> bool:
        """Hand on a message that is no answer; ``by`` is the request on whose stream it came.

        False: it is no message at all.
        """
        method = message.get("method")
        if not isinstance(method, str):
            return False
        if "id" in message:
            self._ask(message, reply, by)
            return True
        self._hear(method, rpc.params_of(message), by)
        return True

    def _ask(self, message: Mapping[str, Any], reply: Reply, by: Dialogue | None) -> None:
        # Many servers ask by the stream that belongs to no request, whatever it is about.
        askable = [by] if by is not None else [*self._dialogues.values()]
        askable = [each for each in askable if each.can_ask]
        is_outside = by is None and self._by_streams and self._outside.can_ask
        if len(askable) == 1 and not is_outside:
            askable[0].ask(message, reply)
        else:
            self._outside.ask(message, reply, about=() if is_outside else askable)

    def _hear(self, method: str, params: JsonObject, by: Dialogue | None) -> None:
        subscription = _subscription_of(params)
        if subscription is not None:
            listener = by if by is not None and by.listens else self._find(subscription)
            if listener is not None:
                listener.tell(method, _without_subscription(params))
        elif method == PROGRESS:
            self._tell_progress(params)
        elif method == CANCELLED:
            self._outside.withdraw(params.get("requestId"))
        elif by is not None and by.listens:
            by.tell(method, params)
        elif method in CHANGES:
            self._outside.hear(method, params)
        else:
            self._tell_related(method, params, by)

    def _tell_progress(self, params: JsonObject) -> None:
        dialogue = self._find(params.get("progressToken"))
        step = rpc.read_progress(params)
        if dialogue is not None and step is not None:
            dialogue.tell(PROGRESS, step)

    def _tell_related(self, method: str, params: JsonObject, by: Dialogue | None) -> None:
        related = by
        if by is None and method == MESSAGE and not (self._by_streams and self._outside.can_hear):
            related = self._only_loggable()
        if related is not None and related.can_hear:
            related.tell(method, params)
        else:
            self._outside.hear(method, params)

    def _only_loggable(self) -> Dialogue | None:
        """Find the request that a log message must be about, where nothing says which that is.

        Of several of one client it is the newest; what may be another client's is nobody's.
        """
        found = [each for each in self._dialogues.values() if each.hears_logs]
        if not found or any(each.key != found[0].key for each in found):
            return None
        is_alone = found[0].key != "" or self._in_flight == 1
        return found[-1] if is_alone else None

    def _find(self, call_id: object) -> Dialogue | None:
        known = rpc.read_id(call_id)
        return None if known is None else self._dialogues.get(known)


def _subscription_of(params: JsonObject) -> object:
    load_sdk()
    from mcp.shared.subscriptions import (  # noqa: PLC0415  # slow: see `sdk`
        SUBSCRIPTION_ID_META_KEY,
    )

    meta = params.get("_meta")
    known = cast("dict[str, Any]", meta) if isinstance(meta, dict) else {}
    return known.get(SUBSCRIPTION_ID_META_KEY)


def _without_subscription(params: JsonObject) -> JsonObject:
    load_sdk()
    from mcp.shared.subscriptions import (  # noqa: PLC0415  # slow: see `sdk`
        SUBSCRIPTION_ID_META_KEY,
    )

    meta = {k: v for k, v in params["_meta"].items() if k != SUBSCRIPTION_ID_META_KEY}
    rest = {k: v for k, v in params.items() if k != "_meta"}
    return {**rest, "_meta": meta} if meta else rest
