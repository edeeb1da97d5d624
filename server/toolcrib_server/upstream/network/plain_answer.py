"""Reads one HTTP answer of the plainest kind: status 200, JSON, of known length, nothing after it.

Everything else is a `Surprise`, which decides nothing: others read all kinds of answers. Parsing is
done in C. Knows bytes; no connection, and nothing of MCP.
"""

from __future__ import annotations

from toolcrib_server.upstream.failures import LinkFailure

_MOST_HEADERS = 100
_MOST_HEAD_BYTES = 32 * 1024
_OK = 200
_JSON = b"application/json"


class Surprise(LinkFailure):
    """There is no plain answer; who knows every kind of answer may ask again."""


class PlainAnswer:
    """One answer as it comes in. The methods that begin with ``on_`` are the parser's to call."""

    # Callbacks note what is wrong and go on: what they raise loses its reason on the way through C.
    __slots__ = (
        "_body",
        "_fault",
        "_head_bytes",
        "_head_is_read",
        "_headers",
        "_limit_bytes",
        "_media_type",
        "_parser",
        "_received",
        "_whole",
        "is_reusable",
    )

    def __init__(self, *, limit_bytes: int) -> None:
        """Expect an answer of at most ``limit_bytes``, its head and framing included.

        Raises:
            Surprise: Answers cannot be read on this system.
        """
        try:
            from httptools import HttpResponseParser  # noqa: PLC0415  # absent on Windows
        except ImportError:
            raise Surprise("cannot be read here") from None
        self._parser = HttpResponseParser(self)
        self._limit_bytes = limit_bytes
        self._received = self._head_bytes = self._headers = 0
        self._head_is_read = False
        self._media_type = b""
        self._body: list[bytes] = []
        self._whole: bytes | None = None
        self._fault: str | None = None
        self.is_reusable = False

    @property
    def has_begun(self) -> bool:
        """Whether any of it has come."""
        return self._received > 0

    def feed(self, data: bytes) -> bytes | None:
        """Read on; return the body once all of it is there.

        Raises:
            Surprise: It is no plain answer.
        """
        from httptools import HttpParserError, HttpParserUpgrade  # noqa: PLC0415  # as above

        self._received += len(data)
        if self._received > self._limit_bytes:
            raise Surprise(f"sent more than {self._limit_bytes} bytes")
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            raise Surprise(f"sent what is not HTTP: {error}") from None
        if not self._head_is_read and self._received > _MOST_HEAD_BYTES:
            self._refuse("sent a head without end")
        if self._fault is not None:
            raise Surprise(self._fault)
        return self._whole

    def on_message_begin(self) -> None:
        """Refuse a second answer: nobody asked for one."""
        if self._whole is not None:
            self._refuse("sent more than one answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take note of a header, or of a trailer, which plain answers have none of."""
        self._headers += 1
        self._head_bytes += len(name) + len(value)
        if self._headers > _MOST_HEADERS or self._head_bytes > _MOST_HEAD_BYTES:
            self._refuse("sent too large a head")
        elif self._head_is_read:
            self._refuse("sent headers after its answer")
        lowered = name.lower()
        if lowered == b"content-type":
            self._media_type = value.partition(b";")[0].strip().lower()
        elif lowered == b"content-encoding":
            self._refuse("sent an encoded answer")

    def on_headers_complete(self) -> None:
        """Judge the head."""
        self._head_is_read = True
        status, version = self._parser.get_status_code(), self._parser.get_http_version()
        if status != _OK or version != "1.1" or self._media_type != _JSON:
            self._refuse(f"answered HTTP {version} {status} {self._media_type.decode('latin-1')}")

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Put the body together. It is never called where the end is that of the connection."""
        self._whole = b"".join(self._body)
        self.is_reusable = self._parser.should_keep_alive()

    def _refuse(self, fault: str) -> None:
        self._fault = self._fault or fault  # what follows the first is of no use
