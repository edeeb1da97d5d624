"""Opens every part, in order, once, and closes them in reverse."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from toolcrib_migrations import open_store
from toolcrib_registry.errors import StoreError
from toolcrib_registry.types import ServerName
from toolcrib_server.allocator import limit_arenas
from toolcrib_server.settings import Settings
from toolcrib_server.upstream.config.secrets import SecretStore
from toolcrib_server.upstream.messages.hearing import Attention
from toolcrib_server.upstream.oauth.logins import Logins
from toolcrib_server.upstream.pool.pool import ConnectionPool
from toolcrib_server.upstream.processes.room import ProcessLimits
from toolcrib_server.upstream.processes.stderr_log import StderrLogs

from .assembly import assemble
from .ending import write_last
from .links import open_model_links
from .parts import Runtime

if TYPE_CHECKING:
    from toolcrib_embeddings import Encoder


@asynccontextmanager
async def open_runtime(
    settings: Settings, *, open_encoder: Callable[[], Encoder] | None = None
) -> AsyncGenerator[Runtime]:
    """Open everything for ``settings``. The encoder and the index open when first needed.

    Raises:
        StoreError: The database cannot be opened, or is newer than this release.
    """
    limit_arenas()
    async with contextlib.AsyncExitStack() as stack:
        await anyio.to_thread.run_sync(_make_folder, settings.data_dir)
        store = await anyio.to_thread.run_sync(open_store, settings.store_url)
        stack.callback(store.close)
        secrets = SecretStore(settings.data_dir / "secrets.json")
        changed: set[Callable[[ServerName], None]] = set()
        pool = await stack.enter_async_context(_open_pool(settings, secrets, changed))
        began = await anyio.to_thread.run_sync(store.head)
        links = await stack.enter_async_context(open_model_links(settings, secrets))
        runtime = assemble(settings, store, secrets, pool, open_encoder, links=links, began=began)
        changed.add(runtime.watcher.notice)
        await stack.enter_async_context(runtime.inputs)
        await stack.enter_async_context(runtime.endpoints)
        await stack.enter_async_context(runtime.writing)
        stack.push_async_callback(write_last, runtime)
        await runtime.describe()
        yield runtime


def _open_pool(
    settings: Settings, secrets: SecretStore, changed: set[Callable[[ServerName], None]]
) -> ConnectionPool:
    return ConnectionPool(
        secrets=secrets,
        logins=Logins(secrets, client_metadata_url=settings.oauth_client_metadata_url),
        idle_timeout_s=settings.idle_timeout_s,
        max_message_bytes=settings.max_result_bytes,
        on_list_changed=partial(_tell, changed),
        attention=Attention(max_listening=settings.listen_limit),
        private_idle_timeout_s=settings.private_idle_timeout_s,
        max_private=settings.private_connections,
        max_private_per_server=settings.private_connections_per_server,
        processes=ProcessLimits(
            processes=settings.max_processes,
            memory_mib=settings.process_memory_mb,
            memory_of_one_mib=settings.server_memory_mb,
        ),
        logs=StderrLogs(settings.data_dir / "logs"),
    )


def _tell(listeners: set[Callable[[ServerName], None]], name: ServerName) -> None:
    for listener in listeners:
        listener(name)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(f"The data folder {path} cannot be made: {error.strerror}.") from error
