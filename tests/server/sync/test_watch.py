"""Syncs that happen by themselves: at the start, at an interval, and when a server speaks up."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from toolcrib_registry.types import EntryKind, ServerName
from toolcrib_server.sync.reconcile import Reconciler
from toolcrib_server.sync.schedule import Cadence
from toolcrib_server.sync.watch import Watcher

from .conftest import House, tool

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def watching(house: House, *, interval_s: float = 0) -> AsyncGenerator[Watcher]:
    cadence = Cadence(interval_s=interval_s, retry_s=0.05)
    reconciler = Reconciler(house.store, house.lister, house.indexer, cadence=cadence)
    watcher = Watcher(reconciler, refresh_s=0.1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watcher.run)
        yield watcher
        tasks.cancel_scope.cancel()


async def until_known(house: House, name: str) -> None:
    with anyio.fail_after(30):
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


async def test_a_server_noticed_before_the_start_is_asked_once(house: House) -> None:
    house.register("clock", "quiet")
    house.lister.tell("clock", tool("now"))
    house.lister.tell("quiet", tool("a"))
    cadence = Cadence(interval_s=60)
    watcher = Watcher(Reconciler(house.store, house.lister, house.indexer, cadence=cadence))
    watcher.notice(ServerName("clock"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watcher.run)
        await until_known(house, "clock__now")
        await until_known(house, "quiet__a")
        tasks.cancel_scope.cancel()
    assert sorted(house.lister.asked) == ["clock", "quiet"]


async def test_a_server_that_failed_is_tried_again_by_itself(house: House) -> None:
    house.register("clock")
    async with watching(house, interval_s=60):
        with anyio.fail_after(30):
            while not house.lister.asked:  # noqa: ASYNC110  # the lister has no events
                await anyio.sleep(0.01)
        house.lister.tell("clock", tool("now"))
        await until_known(house, "clock__now")


async def test_a_server_that_stays_down_is_told_of_once(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.register("clock")
    async with watching(house, interval_s=60):
        with anyio.fail_after(30):
            while len(house.lister.asked) < 4:  # noqa: ASYNC110  # the lister has no events
                await anyio.sleep(0.01)
        assert caplog.text.count("Sync of clock failed") == 1


async def test_a_server_that_another_process_registers_is_found(house: House) -> None:
    async with watching(house, interval_s=60):
        house.lister.tell("clock", tool("now"))
        house.register("clock")
        await until_known(house, "clock__now")


async def test_a_slow_server_keeps_no_other_from_being_followed(house: House) -> None:
    house.register("clock", "slow")
    house.lister.held["slow"] = anyio.Event()
    house.lister.tell("clock", tool("now"))
    async with watching(house, interval_s=60) as watcher:
        await until_known(house, "clock__now")
        house.lister.tell("clock", tool("now"), tool("later"))
        watcher.notice(ServerName("clock"))
        await until_known(house, "clock__later")
