"""A streamed answer, event by event: checked, bounded, and never kept waiting for the next.

Knows chunks of the chat API and where they end; nothing of who reads them.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import anyio

from toolcrib_registry.errors import (
    AnswerCut,
    Peer,
    ResultTooLarge,
    UpstreamProtocolError,
    UpstreamTimeout,
)
from toolcrib_server.upstream.failures import LinkFailure
from toolcrib_server.upstream.messages.decoding import decode
from toolcrib_server.upstream.network.endpoint_client import Reply
from toolcrib_server.upstream.network.events import EventParser, ServerEvent

from .faults import error_in_answer, error_of_link
from .limits import ModelLimits
from .target import Target
from .usage import Usage, read_usage

_DONE = "[DONE]"
_IT = Peer.PROVIDER
_ENCODE = json.JSONEncoder(separators=(",", ":")).encode
"""In ASCII: a chunk may end in half of a character."""
_AFTER_END_S = 0.05
_PERHAPS_NOT_FINITE = re.compile(r"NaN|Infinity|[eE]\+?[0-9]{3}")


@dataclass(frozen=True, slots=True)
class Chunk:
    """One event of a stream: its data as it came, credentials masked, and decoded."""

    data: str
    content: Mapping[str, Any]

    @property
    def has_token(self) -> bool:
        """Whether it holds part of the answer: text, a tool call, a thought, or its end."""
        return any(
            choice.get("finish_reason") or any(v for k, v in _delta(choice).items() if k != "role")
            for choice in self.choices
        )

    @property
    def text(self) -> str:
        """The text that it adds to the answer."""
        added = (_delta(choice).get("content") for choice in self.choices)
        return "".join(part for part in added if isinstance(part, str))

    def of_model(self, name: str) -> Chunk:
        """Name the model so; a chunk that does already, or names none, stays as it came."""
        if self.content.get("model") in (None, name):
            return self
        content = {**self.content, "model": name}
        return Chunk(_ENCODE(content), content)

    @property
    def choices(self) -> list[Mapping[str, Any]]:
        """Its choices; empty in the chunk that bears the usage alone."""
        return _objects(self.content.get("choices"))


class ChatStream:
    """The chunks of one answer, in order. ``deadline`` is by the event loop's clock."""

    def __init__(
        self, target: Target, reply: Reply, *, limits: ModelLimits, deadline: float
    ) -> None:
        self._target = target
        self._received = reply.chunks()
        self._limits = limits
        self._deadline = deadline
        self.usage: Usage | None = None
        """What the provider said that it took; None until it has, and if it never does."""

    async def chunks(self) -> AsyncIterator[Chunk]:
        """Yield each chunk as soon as it is whole.

        Raises:
            AnswerCut: The stream ended before the answer did.
            UpstreamError: It brought an error, something else than JSON, too much, or nothing.
        """
        complete = False
        async for event in self._events():
            if event.data.strip() == _DONE:
                await self._read_on()
                return
            chunk = self._read(event)
            complete = complete or any(c.get("finish_reason") for c in chunk.choices)
            self.usage = read_usage(chunk.content) or self.usage
            yield chunk
        if not complete:
            raise AnswerCut(self._target.provider, "ended the stream before the answer was whole")

    async def _events(self) -> AsyncIterator[ServerEvent]:
        parser = EventParser(self._limits.max_event_bytes)
        chunks = self._received
        total, last = 0, anyio.current_time()
        try:
            while (received := await self._next(chunks, last)) is not None:
                total += len(received)
                if total > self._limits.max_stream_bytes:
                    limit = self._limits.max_stream_bytes
                    raise ResultTooLarge(self._target.provider, size=total, limit=limit, peer=_IT)
                for event in parser.feed(received):
                    last = anyio.current_time()
                    yield event
        except LinkFailure as failure:
            raise error_of_link(self._target, failure, begun=True) from failure

    async def _read_on(self) -> None:
        """Read what follows the end, usually nothing: only then the connection serves again."""
        with anyio.move_on_after(_AFTER_END_S), contextlib.suppress(LinkFailure):
            async for _ in self._received:
                pass

    async def _next(self, chunks: AsyncIterator[bytes], last: float) -> bytes | None:
        """Read on; what is no event, as a comment, does not put the deadline off."""
        idle = last + self._limits.idle_timeout_s
        until = min(self._deadline, idle)
        try:
            with anyio.fail_after(max(until - anyio.current_time(), 0)):
                return await anext(chunks, None)
        except TimeoutError:
            what = "with the whole answer" if until == self._deadline else "with the next token"
            waited = self._limits.timeout_s if until == self._deadline else idle - last
            raise UpstreamTimeout(self._target.provider, what, waited, peer=_IT) from None

    def _read(self, event: ServerEvent) -> Chunk:
        data = self._target.redact(event.data)
        content = read_object(self._target, data)
        error = error_in_answer(self._target, content)
        if error is not None:
            raise error
        return Chunk(data, content)


def read_object(target: Target, text: str) -> Mapping[str, Any]:
    """Decode a JSON object.

    Raises:
        UpstreamError: It is none, or one that cannot be handed on.
    """
    try:
        decoded = decode(text)
    except ValueError as error:
        raise _unfit(target, f"sent invalid JSON ({error}).") from error
    except LinkFailure as failure:
        raise _unfit(target, f"{failure.reason}.") from failure
    if not isinstance(decoded, dict):
        raise _unfit(target, "sent JSON that is no object.")
    if _PERHAPS_NOT_FINITE.search(text) and _is_not_finite(cast("object", decoded)):
        raise _unfit(target, "sent a number that is not finite.")
    return cast("Mapping[str, Any]", decoded)


def _unfit(target: Target, reason: str) -> UpstreamProtocolError:
    return UpstreamProtocolError(target.provider, reason, peer=_IT)


def _is_not_finite(value: object) -> bool:
    """Whether decoded JSON holds NaN or an infinity, which cannot be handed on as JSON."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending.extend(cast("dict[str, object]", item).values())
        elif isinstance(item, list):
            pending.extend(cast("list[object]", item))
        elif isinstance(item, float) and not math.isfinite(item):
            return True
    return False


def _delta(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    delta = choice.get("delta")
    return cast("Mapping[str, Any]", delta) if isinstance(delta, Mapping) else {}


def _objects(value: object) -> list[Mapping[str, Any]]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Mapping[str, Any]", item) for item in items if isinstance(item, Mapping)]
