"""Reads one HTTP/1.1 answer of any kind as its bytes come in: head first, then the body in parts.

Parsing is done in C; what says two things about where an answer ends is refused here. Knows bytes;
no connection, and nothing of MCP.
"""

from __future__ import annotations

import importlib.util
from typing import Final

from toolcrib_server.upstream.failures import Unanswered

MOST_HEAD_BYTES: Final = 64 * 1024
_MOST_HEADERS: Final = 256
_MOST_INTERIM: Final = 16
"""Answers of the kind 1xx before the one that counts."""
_VERSIONS: Final = frozenset({"1.0", "1.1"})
_FIRST_FINAL: Final = 200
_BODILESS: Final = frozenset({204, 304})


def can_be_read() -> bool:
    """Whether answers can be read on this system; the parser is absent on Windows."""
    return importlib.util.find_spec("httptools") is not None


class Garbled(Unanswered):
    """What came is no HTTP answer, or does not say clearly where it ends."""


class Answer:
    """One answer as it comes in. The methods that begin with ``on_`` are the parser's to call."""

    # Callbacks note what is wrong and go on: what they raise loses its reason on the way through C.
    __slots__ = (
        "_count",
        "_ends_with_connection",
        "_fault",
        "_has_grown",
        "_interim",
        "_method",
        "_parser",
        "_parts",
        "_unproductive_bytes",
        "buffered_bytes",
        "has_begun",
        "headers",
        "is_reusable",
        "is_whole",
        "status",
    )

    def __init__(self, method: str) -> None:
        """Expect the answer to a request of this method."""
        from httptools import HttpResponseParser  # noqa: PLC0415  # absent on Windows

        self._parser = HttpResponseParser(self)
        self._method = method
        self._parts: list[bytes] = []
        self._fault: str | None = None
        self._count = self._interim = self._unproductive_bytes = 0
        self._has_grown = self._ends_with_connection = False
        self.headers: list[tuple[bytes, bytes]] = []
        self.status = 0
        """Zero until the whole head has come."""
        self.buffered_bytes = 0
        """What of the body has come and was not taken."""
        self.has_begun = False
        self.is_whole = False
        self.is_reusable = False
        """Whether the connection may serve another request: this one ended where it said."""

    def feed(self, data: bytes) -> None:
        """Read on.

        Raises:
            Garbled: It is no HTTP, or has no clear end.
        """
        from httptools import HttpParserError, HttpParserUpgrade  # noqa: PLC0415  # as above

        self.has_begun, self._has_grown = True, False
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self.is_whole:
                raise Garbled(self._fault or f"sent what is not HTTP: {error}") from None
            self.is_reusable = False  # what follows the answer is no part of it
        self._count_unproductive(len(data))
        if self._fault is not None:
            raise Garbled(self._fault)

    def feed_end(self) -> None:
        """Take note that the connection has ended.

        Raises:
            Garbled: The answer had not.
        """
        self.is_reusable = False
        if self.status and self._ends_with_connection:
            self.is_whole = True
        if not self.is_whole:
            how = "amid its answer" if self.has_begun else "without an answer"
            raise Garbled(f"broke the connection off: it disconnected {how}")

    def take(self) -> bytes:
        """Take what has come of the body since; empty when that is nothing."""
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self.buffered_bytes = 0
        return body

    def _count_unproductive(self, size: int) -> None:
        # Heads, trailers and the framing of chunks, all of which could otherwise go on for ever.
        self._unproductive_bytes = 0 if self._has_grown else self._unproductive_bytes + size
        if self._unproductive_bytes > MOST_HEAD_BYTES and not self.is_whole:
            self._refuse("sent a head without end")

    def on_message_begin(self) -> None:
        """Begin the answer, or one after it, which nobody asked for."""
        if self.is_whole:
            self.is_reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; a trailer is dropped."""
        self._count += 1
        if self._count > _MOST_HEADERS:
            self._refuse("sent too many headers")
        elif not self.status:
            self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        """Judge the head."""
        if self.status:
            return
        status = self._parser.get_status_code()
        if status < _FIRST_FINAL:
            self._skip_interim(status)
            return
        self._judge_framing(status)
        self.status = status
        if self._method == "HEAD":
            self.is_whole = True

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        if not self.is_whole and self._fault is None:
            self._has_grown = True
            self._parts.append(body)
            self.buffered_bytes += len(body)

    def on_message_complete(self) -> None:
        """End. It is never called where the end is that of the connection."""
        if self.status and not self.is_whole and self._fault is None:
            self.is_whole = True
            self.is_reusable = self._parser.should_keep_alive()

    def _skip_interim(self, status: int) -> None:
        self._interim += 1
        self.headers.clear()
        if status == 101 or self._interim > _MOST_INTERIM:  # noqa: PLR2004  # Switching Protocols
            self._refuse(f"answered HTTP {status}, which nobody asked for")

    def _judge_framing(self, status: int) -> None:
        lengths = [value for name, value in self.headers if name == b"content-length"]
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        version = self._parser.get_http_version()
        if version not in _VERSIONS:
            self._refuse(f"answered with HTTP {version}")
        elif len(lengths) + len(codings) > 1:
            self._refuse("says twice how long its answer is")
        elif codings and (codings[0].lower() != b"chunked" or version != "1.1"):
            self._refuse(f"sent its answer as {codings[0][:40].decode('latin-1')!r}")
        self._ends_with_connection = not lengths and not codings and status not in _BODILESS

    def _refuse(self, fault: str) -> None:
        self._fault = self._fault or fault  # what follows the first is of no use
