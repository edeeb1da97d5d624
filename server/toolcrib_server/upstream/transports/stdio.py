"""The stdio transport: one JSON message per line, to and from a child process.

The SDK's own has no cap on a line and takes quadratic time over a long one; this one reads bytes,
in linear time and bounded memory.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio

from toolcrib_registry.types import StdioTransport
from toolcrib_server.jsonrpc.bulk import aside
from toolcrib_server.jsonrpc.text import encode
from toolcrib_server.upstream.failures import BadAnswer, LinkLost, Unrelayable
from toolcrib_server.upstream.limits import LinkLimits
from toolcrib_server.upstream.messages import rpc
from toolcrib_server.upstream.messages.decoding import decode
from toolcrib_server.upstream.messages.dialogue import Dialogue
from toolcrib_server.upstream.messages.incoming import Incoming, Outside
from toolcrib_server.upstream.messages.rpc import Calls
from toolcrib_server.upstream.processes.process import ChildProcess, open_child
from toolcrib_server.upstream.processes.stderr_log import StderrWriter

from .link import LinkState, OnUp
from .loss import Loss

_CHUNK_BYTES = 256 * 1024
_CANCEL_S = 1.0
_LINGER_S = 0.5
_LAST_WORDS_S = 1.0
"""The exit code and the last of standard error arrive a moment after the output is closed."""
_TAIL_IN_REASON = 3
"""Lines of standard error that are quoted when a server dies."""


class LineTooLong(Exception):
    """A line passed the cap before it ended."""


class LineSplitter:
    """Cuts a stream of bytes into lines of at most ``limit`` bytes, in linear time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take in what was read; yield each line it completes, without the newline.

        Raises:
            LineTooLong: The line has passed the limit.
        """
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._keep(chunk[start:end])
            line = bytes(self._open)
            self._open.clear()
            start = end + 1
            yield line
        self._keep(chunk[start:])

    def _keep(self, part: bytes) -> None:
        if len(self._open) + len(part) > self._limit:
            raise LineTooLong
        self._open += part


class StdioLink:
    """A link to a child process. Use `open_stdio`."""

    is_one_channel = True

    def __init__(self, child: ChildProcess, *, limits: LinkLimits, outside: Outside) -> None:
        self._child = child
        self._limits = limits
        self._incoming = Incoming(outside, by_streams=False)
        self._calls = Calls()
        self._writing = anyio.Lock()
        self._loss = Loss()
        self._noise = 0

    @property
    def is_lost(self) -> bool:
        """Whether the link is gone."""
        return self._loss.failure is not None

    async def wait_lost(self) -> str:
        """Wait until the link is gone; return the reason."""
        return await self._loss.wait()

    def describe(self) -> LinkState:
        """Say how the link fares, for a person."""
        return LinkState(
            pids=() if self._child.exit_code is not None else (self._child.pid,),
            noise=self._noise + self._calls.unmatched,
            stderr_tail=self._child.tail.lines(),
        )

    async def wait_ready(self) -> None:
        """Return at once: requests can be sent from the start."""

    async def request(
        self,
        call_id: int,
        method: str,
        params: Mapping[str, Any],
        *,
        headers: Mapping[str, str],  # stdio has none
        dialogue: Dialogue | None = None,
    ) -> dict[str, Any]:
        """Send a request and wait for its result; when cancelled, cancel it at the server too.

        Raises:
            LinkFailure: There is no result; the class says why.
        """
        self._loss.refuse()
        call = self._calls.open(call_id)
        try:
            with self._incoming.expecting(call_id, dialogue):
                await self._write(rpc.request(call_id, method, params))
                return await call.wait()
        except anyio.get_cancelled_exc_class():
            if method not in rpc.NOT_CANCELLED:
                with anyio.move_on_after(_CANCEL_S, shield=True):
                    await self._try_write(rpc.cancellation(call_id))
            raise
        finally:
            self._calls.close(call_id)

    async def notify(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str],  # stdio has none
    ) -> None:
        """Send a notification.

        Raises:
            LinkFailure: It could not be sent.
        """
        await self._write(rpc.notification(method, params))

    async def follow(self, *, headers: Mapping[str, str], on_up: OnUp) -> None:  # it has none
        """Say that it is heard: everything a child says comes by the one channel."""
        on_up(missed=True)
        await anyio.sleep_forever()

    async def read(self) -> None:
        """Read until the child closes its output or breaks the framing."""
        splitter = LineSplitter(self._limits.max_message_bytes)
        try:
            while True:
                for line in splitter.feed(await self._child.stdout.receive(_CHUNK_BYTES)):
                    await self._take(line)
        except LineTooLong:
            cap = self._limits.max_message_bytes
            self._lose(BadAnswer(f"sent a line of more than {cap} bytes"))
        except Unrelayable as failure:
            self._lose(failure)
        except (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
            self._lose(LinkLost(await self._say_how_it_ended()))

    async def watch(self) -> None:
        """Give the link up soon after the child has ended, though its output be held open."""
        await self._child.wait_ended()
        await anyio.sleep(_LINGER_S)  # what it said at last is on its way
        self._lose(LinkLost(await self._say_how_it_ended()))

    def lose(self, reason: str) -> None:
        """Give the link up: nobody will be answered any more."""
        self._lose(LinkLost(reason))

    def _lose(self, failure: LinkLost | BadAnswer) -> None:
        if self._loss.note(failure):
            self._calls.fail_all(failure)

    async def _say_how_it_ended(self) -> str:
        await self._child.wait_exit(_LAST_WORDS_S)
        await self._child.hear_out(_LAST_WORDS_S)
        code = self._child.exit_code
        how = "closed its output" if code is None else f"ended with exit code {code}"
        last_words = " / ".join(filter(None, self._child.tail.lines()[-_TAIL_IN_REASON:]))
        return f"its process {how}" + (f"; it said: {last_words}" if last_words else "")

    async def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            decoded = await aside(decode, line)
        except ValueError:
            self._noise += 1
            return
        except Unrelayable as failure:
            self._calls.fail(failure)
            return
        # Revisions before 2025-06-18 allowed batches.
        for message in cast("list[Any]", decoded) if isinstance(decoded, list) else [decoded]:
            if isinstance(message, dict):
                self._dispatch(cast("dict[str, Any]", message))
            else:
                self._noise += 1

    def _dispatch(self, message: dict[str, Any]) -> None:
        if rpc.is_response(message):
            self._calls.settle(message)
        elif not self._incoming.take(message, self._try_write):
            self._noise += 1

    async def _write(self, message: Mapping[str, Any]) -> None:
        data = encode(message) + b"\n"
        try:
            async with self._writing:
                await self._child.stdin.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            # Part of it may have been read.
            raise LinkLost(await self._say_how_it_ended()) from None

    async def _try_write(self, message: Mapping[str, Any]) -> None:
        try:
            await self._write(message)
        except LinkLost:
            return  # the reader notices too, and tells everyone


@asynccontextmanager
async def open_stdio(
    transport: StdioTransport,
    *,
    limits: LinkLimits,
    outside: Outside,
    log: StderrWriter | None = None,
) -> AsyncGenerator[StdioLink]:
    """Run a server as a child process and talk to it; end it on the way out.

    Raises:
        LinkLost: The command cannot be started.
    """
    async with (
        open_child(transport, grace_s=limits.close_grace_s) as child,
        anyio.create_task_group() as tasks,
    ):
        link = StdioLink(child, limits=limits, outside=outside)
        tasks.start_soon(child.drain_stderr, log)
        tasks.start_soon(link.read)
        tasks.start_soon(link.watch)
        try:
            yield link
        finally:
            link.lose("the connection was closed")
            tasks.cancel_scope.cancel()
