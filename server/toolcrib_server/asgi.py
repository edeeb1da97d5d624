"""Both faces on one port: MCP at ``/mcp`` and below servers and views, the rest the REST API's."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_address

import anyio
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import ChangePolicy

from .downstream.places import is_endpoint
from .guard import LOOPBACK_HOSTS, ApiKey, BodyGuard, HostGuard, KeyGuard, KeyRing, Role
from .rest.app import build_api
from .rest.deps import Deps, Standing, not_stopping
from .rest.openai import OpenAIShape
from .runtime import Runtime, end_process, read_version, run_background
from .settings import Settings


class Faces:
    """Routes a request to the MCP face or the REST face by its path."""

    def __init__(self, mcp: ASGIApp, api: ASGIApp) -> None:
        self._mcp = mcp
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        is_mcp = scope["type"] == "http" and is_endpoint(scope.get("path", ""))
        await (self._mcp if is_mcp else self._api)(scope, receive, send)


def build_app(runtime: Runtime, *, stopping: Callable[[], bool] = not_stopping) -> ASGIApp:
    """Build the whole HTTP application, guarded.

    ``stopping`` says that streams are to end.
    """
    settings = runtime.settings
    keys = key_ring(settings)
    mcp = KeyGuard(BodyGuard(runtime.endpoints), keys=keys)
    api = build_api(
        Deps(
            store=runtime.store,
            searcher=runtime.selector,
            models=runtime.models,
            desk=runtime.desk,
            chat=runtime.chat,
            answers=runtime.answers,
            views=runtime.view_desk,
            invoker=runtime.invoker,
            syncer=runtime.reconciler,
            registrar=runtime.registrar,
            indexer=runtime.indexer,
            feedback=runtime.feedback,
            needs=runtime.needs,
            routing=runtime.routing,
            read_stderr=runtime.stderr_logs.read,
            keys=keys,
            version=read_version(),
            blockers=partial(_blockers, runtime),
            allow_stdio=settings.allow_stdio_registration,
            on_change=ChangePolicy(settings.on_change),
            stopping=stopping,
            standing=Standing(
                began=runtime.began,
                syncs=runtime.reconciler.meter,
                running=lambda: runtime.reconciler.running,
                searches=runtime.selector.meter,
                calls=runtime.calls,
                path=runtime.invoker.read_path,
                guard=runtime.guard,
            ),
        )
    )
    guarded = HostGuard(
        Faces(mcp, api),
        hosts=_hosts(settings),
        origins=settings.allowed_origins,
    )
    return OpenAIShape(guarded)  # its refusals are read by OpenAI's clients too


def bind(settings: Settings) -> socket.socket:
    """Take the address to serve at.

    Raises:
        InvalidInput: It is beyond this machine without a key, or it cannot be had.
    """
    refuse_open_door(settings)
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        raise InvalidInput(
            f"{settings.host}:{settings.port} cannot be bound: {error.strerror or error}. Choose "
            "another with --host and --port, or stop what holds it."
        ) from error


class _Server(uvicorn.Server):
    """Leaves the process's signals to its owner: after one, there is more to close than sockets."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def serve(runtime: Runtime, listener: socket.socket) -> None:
    """Serve both faces on a bound socket until a signal ends it, and with it the process.

    The second signal ends it at once.
    """
    stopping = anyio.Event()
    app = build_app(runtime, stopping=stopping.is_set)
    server = _Server(
        uvicorn.Config(
            app,
            log_level=runtime.settings.log_level,
            lifespan="off",
            access_log=False,
            timeout_graceful_shutdown=5,
        )
    )

    def stop() -> None:
        stopping.set()
        runtime.endpoints.stop()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stop_on_signal, server, stop)
        tasks.start_soon(run_background, runtime)
        await server.serve(sockets=[listener])
        tasks.cancel_scope.cancel()
        await end_process(runtime, 0)


async def _stop_on_signal(server: uvicorn.Server, stop: Callable[[], None]) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            stop()
            server.force_exit = server.should_exit
            server.should_exit = True


def refuse_open_door(settings: Settings) -> None:
    """Refuse to listen beyond this machine without a key.

    Raises:
        InvalidInput: The address is not loopback and no key is configured.
    """
    if not settings.binds_loopback and not settings.has_keys:
        raise InvalidInput(
            f"{settings.host} can be reached from other machines, and no key is configured: "
            "anybody could call every tool. Set TOOLCRIB_ADMIN_KEYS (and TOOLCRIB_API_KEYS), or "
            "bind 127.0.0.1."
        )


def key_ring(settings: Settings) -> KeyRing:
    """Read the configured keys."""
    users = [
        ApiKey(f"key-{i}", key.get_secret_value(), Role.USER)
        for i, key in enumerate(settings.api_keys, start=1)
    ]
    admins = [
        ApiKey(f"admin-{i}", key.get_secret_value(), Role.ADMIN)
        for i, key in enumerate(settings.admin_keys, start=1)
    ]
    return KeyRing([*users, *admins])


def _hosts(settings: Settings) -> Collection[str]:
    if settings.binds_loopback:
        return (*LOOPBACK_HOSTS, *settings.allowed_hosts)
    if settings.allowed_hosts:
        return settings.allowed_hosts
    # Without a list, the bound address is the one name that is certainly ours; a wildcard
    # address has no name of its own, and there the keys are what protects.
    return ("*",) if _is_wildcard(settings.host) else (settings.host, *LOOPBACK_HOSTS)


def _is_wildcard(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def _blockers(runtime: Runtime) -> Sequence[str]:
    indexer = runtime.indexer
    if indexer.error:
        return (f"The index cannot be used: {indexer.error}",)
    if indexer.revision is None:
        return ("The index is still being opened.",)
    return ()
