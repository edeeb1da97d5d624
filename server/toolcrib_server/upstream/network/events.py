"""Server-sent events: bytes in, events out, in linear time and bounded memory.

Follows the event-stream format of the HTML standard, as far as MCP uses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from toolcrib_server.upstream.failures import Oversized


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event. ``id`` is the last id seen on the stream, for resuming it."""

    event: str
    data: str
    id: str | None


class EventParser:
    """Cuts a stream of bytes into events of at most ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open = bytearray()
        self._after_cr = False
        self._data: list[bytes] = []
        self._size = 0
        self._event = ""
        self.last_id: str | None = None
        self.retry_ms: int | None = None

    def feed(self, chunk: bytes) -> Iterator[ServerEvent]:
        """Take in what was read; yield each event it completes.

        Raises:
            Oversized: An event has passed the limit.
        """
        if not chunk:
            return
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]  # the second half of a CRLF that was cut in two
        self._after_cr = chunk.endswith(b"\r")
        *lines, rest = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            self._grow(len(line))
            whole = bytes(self._open) + line if self._open else line
            self._open.clear()
            event = self._take(whole)
            if event is not None:
                yield event
        self._grow(len(rest))
        self._open += rest

    def begin(self) -> None:
        """Begin with another stream: what the last one left unfinished is forgotten."""
        self._open.clear()
        self._data, self._event, self._size = [], "", 0
        self._after_cr = False

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self._limit:
            raise Oversized(self._size, self._limit)

    def _take(self, line: bytes) -> ServerEvent | None:
        if not line:
            return self._finish()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match field:
            case b"data":
                self._data.append(value)
            case b"event":
                self._event = value.decode("utf-8", "replace")
            case b"id" if b"\0" not in value:
                self.last_id = value.decode("utf-8", "replace")
            case b"retry" if value.isdigit() and len(value) < 10:  # noqa: PLR2004  # more is years
                self.retry_ms = int(value)
            case _:
                # A comment keeps the connection alive and counts for nothing.
                self._size -= 0 if self._data else len(line)
        return None

    def _finish(self) -> ServerEvent | None:
        data, event = b"\n".join(self._data), self._event or "message"
        has_data = bool(self._data)
        self._data, self._event, self._size = [], "", 0
        if not has_data:
            return None
        return ServerEvent(event, data.decode("utf-8", "replace"), self.last_id)
