"""Whoever lists is told when the registry changes what is listed, by whichever process."""

from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import pytest
from mcp.client import Client

from toolcrib_migrations import open_store
from toolcrib_registry.types import EntryChanges, EntryKind, ServerName, Trust
from toolcrib_registry.types.views import Members, View, ViewMode
from toolcrib_server.asgi import build_app

from ..serving import served
from .conftest import house, upstream

pytestmark = pytest.mark.anyio
EVERYTHING = ServerName("everything")
CLIENTS = {"modern": "auto", "handshake": "legacy"}


class Heard:
    """What a client heard of its lists."""

    def __init__(self):
        self.lists = []
        self._news = anyio.Event()

    def note(self, changed):
        self.lists.append(changed)
        self._news.set()
        self._news = anyio.Event()

    async def wait(self, changed):
        """Wait until it hears that a list has changed, and forget it."""
        with anyio.fail_after(20):
            while changed not in self.lists:
                await self._news.wait()
        self.lists.clear()


@asynccontextmanager
async def front(folder, at, **options):
    """Serve a house that follows its log; yields it, its URL, and another process's store."""
    async with house(folder, at, **options) as runtime, served(build_app(runtime)) as url:
        await runtime.reconciler.sync([EVERYTHING])
        other = open_store(runtime.settings.store_url)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(runtime.indexer.follow, interval_s=0.05))
            yield runtime, url, other
            tasks.cancel_scope.cancel()
        other.close()


@asynccontextmanager
async def listening(url, era):
    """Connect a client that wants to hear of all lists, in the way of its era."""
    heard = Heard()

    async def on_message(message):
        heard.note(message.method.split("/")[1])

    def changed(event):
        heard.note(type(event).__name__.removesuffix("ListChanged").lower())

    options: dict[str, Any] = {} if era == "modern" else {"message_handler": on_message}
    async with Client(url, mode=CLIENTS[era], **options) as client:
        if era == "handshake":
            yield client, heard
            return
        wanted: dict[str, Any] = {
            f"{name}_list_changed": True for name in ("tools", "prompts", "resources")
        }
        async with client.listen(**wanted) as events, anyio.create_task_group() as tasks:
            tasks.start_soon(_hear, events, changed)
            yield client, heard
            tasks.cancel_scope.cancel()


async def _hear(events, changed):
    async for event in events:
        changed(event)


async def tools_of(client):
    return {tool.name for tool in (await client.list_tools(cache_mode="refresh")).tools}


@pytest.mark.parametrize("era", CLIENTS, ids=[f"client-{era}" for era in CLIENTS])
@pytest.mark.parametrize("server_era", ["modern", "handshake"])
async def test_clients_of_a_server_are_told_what_another_process_decides(era, server_era, tmp_path):
    async with (
        upstream(server_era, "stdio") as at,
        front(tmp_path, at) as (_, url, other),
        listening(f"{url}/servers/everything/mcp", era) as (client, heard),
    ):
        assert client.server_capabilities.tools
        assert client.server_capabilities.tools.list_changed
        assert "echo" in await tools_of(client)
        for enabled in (False, True):
            switch = partial(other.set_entry_enabled, enabled=enabled, actor="other")
            switch(EntryKind.TOOL, "everything__echo")
            await heard.wait("tools")
            assert ("echo" in await tools_of(client)) == enabled
            switch(EntryKind.PROMPT, "everything__greet")
            await heard.wait("prompts")
            static = other.find_owned(EntryKind.RESOURCE, EVERYTHING, "test://static")
            assert static
            switch(EntryKind.RESOURCE, static.name)
            await heard.wait("resources")
        echo = other.find_owned(EntryKind.TOOL, EVERYTHING, "echo")
        assert echo
        held = replace(echo, trust=Trust.QUARANTINED, description="Changed.", content_hash="new")
        other.apply(EntryChanges(server=EVERYTHING, upserts=(held,)), actor="other")
        await heard.wait("tools")
        assert "echo" not in await tools_of(client)
        assert other.approve(EntryKind.TOOL, echo.name, actor="other")
        await heard.wait("tools")
        assert "echo" in await tools_of(client)


async def test_a_server_that_tells_of_nothing_itself_is_not_kept_running_for_who_listens(tmp_path):
    async with (
        upstream("handshake", "stdio") as at,
        front(tmp_path, at, private_idle_timeout_s=1.0) as (runtime, url, other),
        listening(f"{url}/servers/everything/mcp", "handshake") as (client, heard),
    ):
        assert "echo" in await tools_of(client)
        with anyio.fail_after(20):
            while any(state.private for state in runtime.pool.states()):  # noqa: ASYNC110
                await anyio.sleep(0.05)
        other.set_entry_enabled(EntryKind.TOOL, "everything__echo", enabled=False, actor="other")
        await heard.wait("tools")
        assert "echo" not in await tools_of(client)


@pytest.mark.parametrize("era", CLIENTS, ids=[f"client-{era}" for era in CLIENTS])
async def test_clients_of_a_view_and_of_everything_are_told_too(era, tmp_path):
    async with (
        upstream("modern", "stdio") as at,
        front(tmp_path, at) as (_, url, other),
    ):
        members = Members(servers=(EVERYTHING,))
        other.views.add(View(name="desk", include=members, mode=ViewMode.TOOLS), actor="other")
        async with (
            listening(f"{url}/mcp/v/desk", era) as (desk, of_desk),
            listening(f"{url}/mcp", era) as (_, of_all),
        ):
            assert "everything__echo" in await tools_of(desk)
            for enabled in (False, True):
                switch = partial(other.set_entry_enabled, enabled=enabled, actor="other")
                switch(EntryKind.TOOL, "everything__echo")
                await of_desk.wait("tools")
                assert ("everything__echo" in await tools_of(desk)) == enabled
                switch(EntryKind.PROMPT, "everything__greet")
                await of_desk.wait("prompts")
                await of_all.wait("prompts")
