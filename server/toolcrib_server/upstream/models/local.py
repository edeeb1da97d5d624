"""Model servers on this machine: started when first asked for, shared, ended when idle.

Knows processes and ports; nothing of what is asked of the server.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import SystemRandom
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import anyio
import anyio.abc

from toolcrib_registry.errors import (
    InvalidConfig,
    NotCallable,
    Peer,
    ToolcribError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from toolcrib_registry.types import Launch, Offer, StdioTransport, hash_content
from toolcrib_server.upstream.config.references import Secrets, expand
from toolcrib_server.upstream.config.secrets import Redactor
from toolcrib_server.upstream.failures import LinkFailure
from toolcrib_server.upstream.limits import LinkLimits
from toolcrib_server.upstream.network.endpoint_client import EndpointClient
from toolcrib_server.upstream.processes.process import ChildProcess, open_child

logger = logging.getLogger(__name__)

_LOOPBACK = "127.0.0.1"
_LOCAL_HOSTS = frozenset({_LOOPBACK, "localhost", "::1"})
_PORT = "{port}"
_OK = 200
_PORTS = range(20_000, 32_000)
"""Below those that systems give to whoever asks for any: one that is free is so a moment later."""
_TRIES = 20
_PROBE_S = 0.1
_PROBE_TIMEOUT_S = 5.0
_LOOK_S = 0.25
_GRACE_S = 5.0
_SLACK_S = 15.0
_LAST_WORDS_S = 1.0
_TAIL_IN_REASON = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalState:
    """A local server as it stands, for a person."""

    command: str
    url: str
    pid: int | None
    in_flight: int
    idle_s: float


@dataclass(eq=False, slots=True)
class _Running:
    """One server: asked for, starting or serving."""

    provider: str
    launch: Launch
    url: str
    port: int
    settled: anyio.Event = field(default_factory=anyio.Event)
    """It serves, or it never will."""
    leave: anyio.Event = field(default_factory=anyio.Event)
    gone: anyio.Event = field(default_factory=anyio.Event)
    error: ToolcribError | None = None
    pid: int | None = None
    in_flight: int = 0
    last_used: float = 0.0

    @property
    def is_over(self) -> bool:
        return self.error is not None or self.leave.is_set() or self.gone.is_set()


class LocalServers:
    """Runs the commands of offers. An async context manager; leaving it leaves no process."""

    def __init__(self, *, env: Mapping[str, str], secrets: Secrets, max_running: int = 2) -> None:
        self._env = env
        self._secrets = secrets
        self._max_running = max_running
        self._running: dict[str, _Running] = {}
        self._making_room = anyio.Lock()
        self._tasks: anyio.abc.TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        assert self._tasks is not None
        self._tasks.cancel_scope.cancel()
        if isinstance(error, Exception):
            await self._tasks.__aexit__(None, None, None)
            return None
        return await self._tasks.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def use(self, offer: Offer) -> AsyncGenerator[str]:
        """Have the server of an offer run for the length of a block; yield its base URL.

        Raises:
            UpstreamUnavailable: It does not start, or as many run already as may.
            UpstreamTimeout: It did not come up in time.
            NotCallable: The offer has no command, or one that cannot be run.
        """
        running = await self._find_or_start(offer)
        running.in_flight += 1
        try:
            with anyio.move_on_after(running.launch.start_timeout_s + _SLACK_S):
                await running.settled.wait()
            if running.error is not None:
                raise running.error
            yield running.url
        finally:
            running.in_flight -= 1
            running.last_used = anyio.current_time()

    def states(self) -> tuple[LocalState, ...]:
        """Say which servers run, by command."""
        now = anyio.current_time()
        states = (
            LocalState(
                command=running.launch.command,
                url=running.url,
                pid=running.pid,
                in_flight=running.in_flight,
                idle_s=0.0 if running.in_flight else now - running.last_used,
            )
            for running in self._running.values()
        )
        return tuple(sorted(states, key=lambda state: state.command))

    async def aclose_all(self) -> None:
        """End every server, also those in use, where the ordinary way out is not open."""
        running = tuple(self._running.values())
        for one in running:
            one.leave.set()
        with anyio.move_on_after(_SLACK_S):
            for one in running:
                await one.gone.wait()

    async def _find_or_start(self, offer: Offer) -> _Running:
        if offer.launch is None:
            raise NotCallable(f"The offer of {offer.provider!r} has no command to start.")
        key = _key(offer)
        async with self._making_room:
            running = self._running.get(key)
            if running is not None and not running.is_over:
                return running
            if running is not None:
                await running.gone.wait()
            await self._make_room(offer.provider)
            return self._start(key, offer, offer.launch)

    async def _make_room(self, provider: str) -> None:
        """End the server that was idle longest, where as many run as may."""
        while len(self._running) >= self._max_running:
            idle = [one for one in self._running.values() if not one.in_flight]
            if not idle:
                raise _away(
                    provider,
                    f"{len(self._running)} local model servers are busy, and no more may run at "
                    "once (TOOLCRIB_MAX_LOCAL_MODELS)",
                    retry_after_s=1,
                )
            longest = min(idle, key=lambda one: one.last_used)
            longest.leave.set()
            await longest.gone.wait()

    def _start(self, key: str, offer: Offer, launch: Launch) -> _Running:
        if self._tasks is None:
            raise _away(offer.provider, "local servers are not open")
        url, port = _place(offer)
        running = _Running(offer.provider, launch, url, port, last_used=anyio.current_time())
        self._running[key] = running
        self._tasks.start_soon(self._own, key, running)
        return running

    async def _own(self, key: str, running: _Running) -> None:
        """Start one server, keep it, end it: all in this task."""
        try:
            transport, redact = _fill(running, env=self._env, secrets=self._secrets)
            async with open_child(transport, grace_s=_GRACE_S) as child:
                running.pid = child.pid
                try:
                    await _watch(running, child, redact)
                finally:
                    _ask_to_leave(child)
        except LinkFailure as failure:
            running.error = _away(running.provider, failure.reason)
        except ToolcribError as error:
            running.error = error
        except Exception as error:
            logger.exception("The local server of %s broke", running.provider)
            running.error = _away(running.provider, f"it broke: {error}")
        finally:
            running.error = running.error or _away(running.provider, "it was stopped")
            running.settled.set()
            if self._running.get(key) is running:
                del self._running[key]
            running.gone.set()


def _away(provider: str, reason: str, *, retry_after_s: float | None = None) -> UpstreamUnavailable:
    return UpstreamUnavailable(provider, reason, retry_after_s=retry_after_s, peer=Peer.PROVIDER)


async def _watch(running: _Running, child: ChildProcess, redact: Redactor) -> None:
    async with anyio.create_task_group() as readers:
        readers.start_soon(child.drain_stderr)
        readers.start_soon(_drain_output, child)
        await _serve(running, child, redact)
        readers.cancel_scope.cancel()


def _ask_to_leave(child: ChildProcess) -> None:
    """Tell it at once: a model server does not mind that its input is closed."""
    if child.exit_code is None and sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGTERM)


async def _serve(running: _Running, child: ChildProcess, redact: Redactor) -> None:
    """Wait until it serves, then until it is to go or has gone; why, is noted, not raised."""
    launch = running.launch
    logger.info("Starting %s for %s at %s", launch.command, running.provider, running.url)
    try:
        with anyio.fail_after(launch.start_timeout_s):
            await _wait_ready(running, child)
    except TimeoutError:
        what = f"at {launch.health} after {launch.command!r} was started"
        limit_s = launch.start_timeout_s
        running.error = UpstreamTimeout(running.provider, what, limit_s, peer=Peer.PROVIDER)
        return
    if child.exit_code is None and not running.leave.is_set():
        running.settled.set()
    while child.exit_code is None and not running.leave.is_set():
        idle_s = anyio.current_time() - running.last_used
        if not running.in_flight and idle_s > launch.idle_timeout_s:
            logger.info("Ending %s: idle for %.0f s", launch.command, idle_s)
            running.leave.set()
        with anyio.move_on_after(_LOOK_S):
            await running.leave.wait()
    if child.exit_code is not None:
        await child.hear_out(_LAST_WORDS_S)
        running.error = _ended(running, child, redact)
        logger.warning("%s", running.error.detail)


async def _wait_ready(running: _Running, child: ChildProcess) -> None:
    """Ask until it answers, has ended (an answer after that would be another's), or is to go."""
    parts = urlsplit(running.url)
    origin = f"{parts.scheme}://{parts.netloc}"
    async with EndpointClient(origin, {}, limits=LinkLimits()) as client:
        while child.exit_code is None and not running.leave.is_set():
            if await _is_ready(client, f"{origin}{running.launch.health}"):
                return
            await anyio.sleep(_PROBE_S)


async def _is_ready(client: EndpointClient, url: str) -> bool:
    try:
        with anyio.move_on_after(_PROBE_TIMEOUT_S):
            async with client.send("GET", None, {}, url=url) as reply:
                return reply.status == _OK
    except LinkFailure:
        return False
    return False


def _ended(running: _Running, child: ChildProcess, redact: Redactor) -> UpstreamUnavailable:
    last_words = " / ".join(filter(None, child.tail.lines()[-_TAIL_IN_REASON:]))
    said = f"; it said: {redact(last_words)}" if last_words else ""
    command = running.launch.command
    return _away(running.provider, f"{command!r} ended with exit code {child.exit_code}{said}")


async def _drain_output(child: ChildProcess) -> None:
    """Read its standard output too: servers log there, and stop when nobody reads."""
    try:
        async for chunk in child.stdout:
            child.tail.feed(chunk)
    except (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
        return


def _key(offer: Offer) -> str:
    """Name what is run: offers with one command and endpoint share a server."""
    launch = offer.launch
    assert launch is not None
    fields = [launch.command, list(launch.args), dict(launch.env), launch.cwd, offer.endpoint]
    return hash_content(fields)


def _place(offer: Offer) -> tuple[str, int]:
    """Say where it will listen: where its endpoint says, or at a free port."""
    if offer.endpoint is None:
        port = _free_port()
        return f"http://{_LOOPBACK}:{port}/v1", port
    try:
        parts = urlsplit(offer.endpoint)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise NotCallable(f"The endpoint {offer.endpoint!r} is no URL: {error}.") from error
    if parts.hostname not in _LOCAL_HOSTS:
        raise NotCallable(
            f"The offer of {offer.provider!r} is started here, but its endpoint is at "
            f"{parts.hostname!r}: name {_LOOPBACK}, or leave it out."
        )
    if _is_taken(port):
        raise _away(
            offer.provider,
            f"port {port} is taken by another process, so the server cannot be started there; "
            "leave the endpoint out to have a free one chosen",
        )
    return offer.endpoint.rstrip("/"), port


def _free_port() -> int:
    for port in (*SystemRandom().sample(_PORTS, _TRIES), 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind((_LOOPBACK, port))
            return int(probe.getsockname()[1])
    raise OSError("no port is free")


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(_PROBE_S)
        return probe.connect_ex((_LOOPBACK, port)) == 0


def _fill(
    running: _Running, *, env: Mapping[str, str], secrets: Secrets
) -> tuple[StdioTransport, Redactor]:
    """Fill in the port and the references of a command."""
    launch = running.launch
    hidden: list[str] = []

    def fill(key: str, value: str) -> str:
        try:
            name, peer = running.provider, Peer.PROVIDER
            whole = expand(value, env=env, secrets=secrets, server=name, key=key, peer=peer)
        except InvalidConfig as error:
            raise NotCallable(f"It cannot be started: {error.detail}") from error
        if whole != value:
            hidden.append(whole)
        return whole.replace(_PORT, str(running.port))

    transport = StdioTransport(
        launch.command,
        tuple(fill(f"launch.args.{at}", arg) for at, arg in enumerate(launch.args)),
        {name: fill(f"launch.env.{name}", value) for name, value in launch.env.items()},
        launch.cwd,
    )
    return transport, Redactor(hidden)
