"""Syncs that happen by themselves: at the start, at an interval, and when a server speaks up."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from toolcrib_registry.types import EntryKind, ServerName
from toolcrib_server.sync.watch import Watcher

from .conftest import House, tool

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def watching(house: House, *, interval_s: float = 0) -> AsyncGenerator[Watcher]:
    watcher = Watcher(house.reconciler, interval_s=interval_s)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watcher.run)
        yield watcher
        tasks.cancel_scope.cancel()


async def until_known(house: House, name: str) -> None:
    with anyio.fail_after(10):
        # The store has no events to wait for.
        while house.store.find_entry(EntryKind.TOOL, name) is None:  # noqa: ASYNC110
            await anyio.sleep(0.01)


async def test_everything_is_synced_at_the_start(house: House) -> None:
    house.register("clock")
    house.lister.tell("clock", tool("now"))
    async with watching(house):
        await until_known(house, "clock__now")


async def test_a_server_that_says_it_changed_is_synced_at_once(house: House) -> None:
    house.register("clock", "quiet")
    house.lister.tell("clock", tool("now"))
    house.lister.tell("quiet", tool("a"))
    async with watching(house) as watcher:
        await until_known(house, "clock__now")
        await until_known(house, "quiet__a")
        asked = len(house.lister.asked)
        house.lister.tell("clock", tool("now"), tool("later"))
        for _ in range(10):
            watcher.notice(ServerName("clock"))
        await until_known(house, "clock__later")
        assert house.lister.asked[asked:] == ["clock"]


async def test_the_interval_brings_the_next_sync(house: House) -> None:
    house.register("clock")
    house.lister.tell("clock", tool("now"))
    async with watching(house, interval_s=0.05):
        await until_known(house, "clock__now")
        house.lister.tell("clock", tool("now"), tool("later"))
        await until_known(house, "clock__later")


async def test_a_notice_of_a_server_that_was_removed_meanwhile_stops_nothing(house: House) -> None:
    house.register("clock")
    house.lister.tell("clock", tool("now"))
    async with watching(house) as watcher:
        watcher.notice(ServerName("nobody"))
        await until_known(house, "clock__now")
        house.lister.tell("clock", tool("now"), tool("later"))
        watcher.notice(ServerName("clock"))
        await until_known(house, "clock__later")
