"""Syncing: the registry says what the servers say, and the index with it."""

from dataclasses import replace

import anyio
import pytest

from toolcrib_registry.errors import NotFound
from toolcrib_registry.types import EntryKind, Quarantined, ServerName, ServerStatus

from .conftest import House, listing, tool

pytestmark = pytest.mark.anyio


def names(house: House) -> list[str]:
    return [entry.name for entry in house.store.list_entries(kind=EntryKind.TOOL).items]


async def found(house: House, query: str) -> list[str]:
    index = await house.indexer.index()
    return [hit.id for hit in index.search(query, k=3).hits]


async def test_a_first_sync_adds_everything_and_makes_it_findable(house: House) -> None:
    house.register("clock")
    house.lister.tell("clock", tool("now", "Tell the time."), tool("zone", "List time zones."))
    (report,) = await house.reconciler.sync()
    assert report.status is ServerStatus.READY
    assert report.added == ("tool:clock__now", "tool:clock__zone")
    assert report.revision == house.store.head() == house.indexer.revision
    assert (await found(house, "tell the time"))[0] == "tool:clock__now"


async def test_a_second_sync_changes_nothing(house: House) -> None:
    house.register("clock")
    house.lister.tell("clock", tool("now"))
    await house.reconciler.sync()
    head = house.store.head()
    (report,) = await house.reconciler.sync()
    assert not report.changed
    assert report.unchanged == 1
    assert house.store.head() == head


async def test_a_change_is_updated_and_a_missing_tool_removed(house: House) -> None:
    house.register("clock")
    house.lister.tell("clock", tool("now", "Tell the time."), tool("gone"))
    await house.reconciler.sync()
    house.lister.tell("clock", tool("now", "Brew coffee."))
    (report,) = await house.reconciler.sync()
    assert report.updated == ("tool:clock__now",)
    assert report.removed == ("tool:clock__gone",)
    assert names(house) == ["clock__now"]
    assert await found(house, "brew coffee") == ["tool:clock__now"]


async def test_an_unreachable_server_keeps_its_entries_and_says_why(house: House) -> None:
    house.register("clock")
    house.lister.tell("clock", tool("now"))
    await house.reconciler.sync()
    synced_at = house.store.get_server(ServerName("clock")).health.synced_at
    house.lister.listings.clear()
    (report,) = await house.reconciler.sync()
    assert report.status is ServerStatus.UNREACHABLE
    assert "told nothing" in (report.error or "")
    assert names(house) == ["clock__now"]
    health = house.store.get_server(ServerName("clock")).health
    assert health.synced_at == synced_at
    assert health.attempted_at
    assert synced_at
    assert health.attempted_at > synced_at


async def test_one_servers_failure_leaves_the_others_alone(house: House) -> None:
    house.register("bad", "good")
    house.lister.tell("good", tool("a"))
    bad, good = await house.reconciler.sync()
    assert bad.error
    assert good.added == ("tool:good__a",)


async def test_a_slow_server_does_not_keep_another_from_being_findable(house: House) -> None:
    house.register("quick", "slow")
    house.lister.tell("quick", tool("a", "quick answer"))
    house.lister.tell("slow", tool("b", "slow answer"))
    seen = anyio.Event()
    release = house.lister.held["slow"] = anyio.Event()
    async with anyio.create_task_group() as tasks:

        async def sync() -> None:
            await house.reconciler.sync(on_report=lambda _: seen.set())

        tasks.start_soon(sync)
        with anyio.fail_after(10):
            await seen.wait()
        assert await found(house, "quick answer") == ["tool:quick__a"]
        release.set()
    assert "tool:slow__b" in await found(house, "slow answer")


async def test_syncs_of_one_server_take_turns(house: House) -> None:
    house.register("clock")
    house.lister.tell("clock", tool("now"))
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(house.reconciler.sync, [ServerName("clock")])
    actions = [
        change.action for change in house.store.list_changes() if change.subject != "server:clock"
    ]
    assert actions == ["added"]


async def test_a_disabled_server_is_not_asked(house: House) -> None:
    house.register("clock")
    off = replace(house.store.get_server(ServerName("clock")), enabled=False)
    house.store.update_server(off, actor="test")
    assert await house.reconciler.sync() == ()
    assert house.lister.asked == []


async def test_an_unknown_name_is_refused_with_the_nearest(house: House) -> None:
    house.register("clock")
    with pytest.raises(NotFound) as caught:
        await house.reconciler.sync([ServerName("clok")])
    assert caught.value.near == ("clock",)


async def test_what_was_set_aside_is_kept_with_its_reason(house: House) -> None:
    house.register("clock")
    house.lister.tell("clock", tool("now"), tool("now", "again"))
    (report,) = await house.reconciler.sync()
    assert report.status is ServerStatus.DEGRADED
    assert report.quarantined == 1
    (aside,) = house.store.get_server(ServerName("clock")).health.quarantined
    assert "is taken" in aside.reason


async def test_a_list_that_failed_keeps_the_entries_of_its_kind(house: House) -> None:
    house.register("clock")
    prompts = ({"name": "morning"},)
    house.lister.listings["clock"] = replace(listing(tool("now")), prompts=prompts)
    await house.reconciler.sync()
    failed = (Quarantined(EntryKind.PROMPT, "*", "prompts/list: internal error"),)
    house.lister.listings["clock"] = replace(listing(), quarantined=failed)
    (report,) = await house.reconciler.sync()
    assert report.removed == ("tool:clock__now",)
    assert house.store.find_entry(EntryKind.PROMPT, "clock__morning")


async def test_a_sync_that_a_person_asks_for_does_not_wait_for_a_retry(house: House) -> None:
    house.register("clock")
    await house.reconciler.sync()
    await house.reconciler.sync()
    assert house.lister.asked == ["clock", "clock"]
    await house.reconciler.sync(actor="cli")
    assert house.lister.asked[2:] == ["close clock", "clock"]
