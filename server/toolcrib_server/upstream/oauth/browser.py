"""The browser's way back: a page on this machine that takes the authorization code, once.

RFC 8252, section 7.3: a loopback address, with any port.
"""

from __future__ import annotations

import html
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, parse_qs, urlsplit

import anyio
import anyio.abc

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.sdk import load_sdk
from toolcrib_server.upstream.failures import Unauthorized

if TYPE_CHECKING:
    from mcp.shared.auth import AuthorizationCodeResult

_HOST: Final = "127.0.0.1"
_PATH: Final = "/callback"
_MOST_BYTES: Final = 16 * 1024
_READ_S: Final = 10.0
Show = Callable[[str], Awaitable[None]]
"""Shows somebody a URL."""


class Browser:
    """Somebody with a browser, who is shown a page and comes back from it. Use `open_browser`."""

    def __init__(self, port: int, show: Show, *, patience_s: float) -> None:
        self._port = port
        self._show = show
        self._patience_s = patience_s
        self._came = anyio.Event()
        self._query: dict[str, list[str]] = {}
        self._state: list[str] | None = None
        """What the browser has to bring back; whoever does not know it was not sent from here."""

    @property
    def redirect_uri(self) -> str:
        """Where the browser comes back to."""
        return f"http://{_HOST}:{self._port}{_PATH}"

    async def visit(self, url: str) -> None:
        """Show somebody the page at which to log in."""
        self._came, self._query = anyio.Event(), {}
        self._state = parse_qs(urlsplit(url).query).get("state")
        await self._show(url)

    async def come_back(self) -> AuthorizationCodeResult:
        """Wait for the browser to come back.

        Raises:
            Unauthorized: It does not, or brings a refusal.
        """
        load_sdk()
        from mcp.shared.auth import AuthorizationCodeResult  # noqa: PLC0415  # slow

        with anyio.move_on_after(self._patience_s):
            await self._came.wait()
        code = self._first("code")
        if code is None:
            said = self._first("error_description") or self._first("error")
            waited = f"nobody came back from the browser within {self._patience_s:g} s"
            raise Unauthorized(f"was not logged in at: {said or waited}")
        return AuthorizationCodeResult(
            code=code, state=self._first("state"), iss=self._first("iss")
        )

    async def answer(self, stream: anyio.abc.SocketStream) -> None:
        """Answer one connection: take the code from its address, and say that all is done."""
        with anyio.move_on_after(_READ_S):
            async with stream:
                try:
                    target = _target(await _read_head(stream))
                except (ValueError, anyio.EndOfStream, anyio.BrokenResourceError):
                    return
                query = parse_qs(target.query)
                if target.path != _PATH or self._came.is_set() or not self._expects(query):
                    await stream.send(_page("404 Not Found", "There is nothing here."))
                    return
                self._query = query
                failed = self._first("error")
                said = f"The login failed: {failed}." if failed else "You are logged in."
                await stream.send(_page("200 OK", f"{said} You may close this page."))
                self._came.set()

    def _expects(self, query: dict[str, list[str]]) -> bool:
        """Whether it is the way back: any page, and any program here, can call this address."""
        return self._state is not None and query.get("state") == self._state

    def _first(self, name: str) -> str | None:
        return next(iter(self._query.get(name, [])), None)


@asynccontextmanager
async def open_browser(
    show: Show, *, port: int = 0, patience_s: float = 300.0
) -> AsyncGenerator[Browser]:
    """Listen for the browser on this machine alone; ``port`` 0 is any.

    Raises:
        InvalidInput: The port cannot be had.
    """
    try:
        listener = await anyio.create_tcp_listener(local_host=_HOST, local_port=port)
    except OSError as error:
        raise InvalidInput(
            f"Port {port} of this machine cannot be had for the browser's way back: "
            f"{error.strerror or error}. Choose another with --port."
        ) from error
    browser = Browser(
        listener.extra_attributes[anyio.abc.SocketAttribute.local_port](),
        show,
        patience_s=patience_s,
    )
    failure: Exception | None = None
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, browser.answer)
        try:
            yield browser
        except Exception as error:  # noqa: BLE001  # raised outside: a task group would wrap it
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _read_head(stream: anyio.abc.SocketStream) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        if len(head) > _MOST_BYTES:
            raise ValueError
        head += await stream.receive()
    return head


def _target(head: bytes) -> SplitResult:
    method, target, _ = head.split(b"\r\n", 1)[0].decode("ascii").split(" ", 2)
    if method != "GET":
        raise ValueError
    return urlsplit(target)


def _page(status: str, text: str) -> bytes:
    body = f"<!doctype html><title>Toolcrib</title><p>{html.escape(text)}</p>".encode()
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\nreferrer-policy: no-referrer\r\n\r\n"
    )
    return head.encode() + body
