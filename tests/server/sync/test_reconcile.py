"""Syncing: the registry says what the servers say, and the index with it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.errors import EncoderError, NotFound
from toolcrib_registry.types import (
    Entry,
    EntryChanges,
    EntryId,
    EntryKind,
    Lease,
    Malformed,
    Server,
    ServerName,
    ServerStatus,
    Trust,
)
from toolcrib_server.sync.checkpoints import POINTS
from toolcrib_server.sync.diff import Difference
from toolcrib_server.sync.indexer import Indexer
from toolcrib_server.sync.reconcile import Reconciler

from .conftest import House, listing, tool

pytestmark = pytest.mark.anyio

CLOCK = ServerName("clock")


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
        with anyio.fail_after(30):
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
    assert report.malformed == 1
    (aside,) = house.store.get_server(ServerName("clock")).health.malformed
    assert "is taken" in aside.reason


async def test_a_list_that_failed_keeps_the_entries_of_its_kind(house: House) -> None:
    house.register("clock")
    prompts = ({"name": "morning"},)
    house.lister.listings["clock"] = replace(listing(tool("now")), prompts=prompts)
    await house.reconciler.sync()
    failed = (Malformed(EntryKind.PROMPT, "*", "prompts/list: internal error"),)
    house.lister.listings["clock"] = replace(listing(), malformed=failed)
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


# --- one process at a time ---------------------------------------------------------------------


def leased_elsewhere(house: House, *, ttl_s: float) -> Lease:
    (lease,) = house.store.acquire_leases([CLOCK], holder="another", ttl_s=ttl_s).values()
    return lease


async def test_a_server_that_another_process_holds_is_skipped_and_said_so(house: House) -> None:
    house.register("clock")
    house.lister.tell("clock", tool("now"))
    lease = leased_elsewhere(house, ttl_s=60)
    (report,) = await house.reconciler.sync()
    assert report.skipped
    assert "Another process" in (report.error or "")
    assert house.lister.asked == []
    house.store.release_leases([lease])
    (report,) = await house.reconciler.sync()
    assert report.added == ("tool:clock__now",)


async def test_a_person_waits_until_the_other_process_has_finished(house: House) -> None:
    house.register("clock")
    house.lister.tell("clock", tool("now"))
    leased_elsewhere(house, ttl_s=0.3)
    (report,) = await house.reconciler.sync(actor="cli")
    assert report.added == ("tool:clock__now",)


async def test_a_person_does_not_wait_for_ever(house: House) -> None:
    house.register("clock")
    leased_elsewhere(house, ttl_s=600)
    (report,) = await house.reconciler.sync(actor="cli")
    assert report.skipped
    assert house.lister.asked == []


async def test_leases_are_given_back_whatever_happens(house: House) -> None:
    house.register("bad", "clock")
    house.lister.tell("clock", tool("now"))
    await house.reconciler.sync()
    names = [ServerName("bad"), CLOCK]
    assert len(house.store.acquire_leases(names, holder="another", ttl_s=1)) == 2
    assert not house.reconciler.running


async def test_a_sync_that_is_cancelled_gives_its_leases_back(house: House) -> None:
    house.register("clock")
    house.lister.held["clock"] = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(house.reconciler.sync)
        with anyio.fail_after(30):
            while not house.lister.asked:  # noqa: ASYNC110  # the lister has no events
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert house.store.acquire_leases([CLOCK], holder="another", ttl_s=1)


async def test_a_write_without_the_lease_changes_nothing(house: House) -> None:
    house.register("clock", "quiet")
    house.lister.tell("clock", tool("now"))
    house.lister.tell("quiet", tool("a"))
    taken: list[Lease] = []

    def sleep(name: str) -> None:
        if name == "before-commit" and not taken:
            taken.append(take_over(house, "sleepy"))

    sleepy = Reconciler(house.store, house.lister, house.indexer, holder="sleepy", checkpoint=sleep)
    clock, quiet = await sleepy.sync()
    assert clock.skipped
    assert house.store.find_entry(EntryKind.TOOL, "clock__now") is None
    assert quiet.added == ("tool:quiet__a",)


def take_over(house: House, holder: str) -> Lease:
    """Let another process have a server, as when its holder slept through the lease."""
    mine = Lease(server=CLOCK, holder=holder, token=1, expires_at=datetime.now(UTC))
    house.store.release_leases([mine])
    return house.store.acquire_leases([CLOCK], holder="another", ttl_s=60)[CLOCK]


# --- one transaction ---------------------------------------------------------------------------


async def test_entries_and_their_vectors_are_committed_together(house: House) -> None:
    house.register("clock")
    house.lister.tell("clock", tool("now", "Tell the time."), tool("zone", "List time zones."))
    seen: list[tuple[str, int, int]] = []

    def look(name: str) -> None:
        if name in {"embedded", "before-commit", "after-commit"}:
            counts = house.store.counts()
            seen.append((name, counts.entries.get(EntryKind.TOOL, 0), counts.embeddings))

    watched = Reconciler(house.store, house.lister, house.indexer, checkpoint=look)
    await watched.sync()
    # One vector and the token vectors of each.
    assert seen == [("embedded", 0, 0), ("before-commit", 0, 0), ("after-commit", 2, 4)]


async def test_the_points_of_a_sync_are_passed_in_their_order(house: House, tmp_path: Path) -> None:
    house.register("clock")
    house.lister.tell("clock", tool("now"))
    passed: list[str] = []
    indexer = Indexer(
        house.store,
        open_encoder=HashEncoder,
        folder=tmp_path / "points",
        checkpoint=passed.append,
    )
    watched = Reconciler(house.store, house.lister, indexer, checkpoint=passed.append)
    await watched.sync()
    await indexer.save()
    # When the snapshot is saved is the indexer's affair.
    while_syncing = [point for point in POINTS if point != "snapshot-saved"]
    assert passed == [*while_syncing, "snapshot-saved"]


async def test_without_an_encoder_the_entries_are_written_all_the_same(
    house: House, tmp_path: Path
) -> None:
    def open_encoder() -> HashEncoder:
        raise EncoderError("no weights")

    house.register("clock")
    house.lister.tell("clock", tool("now", "Tell the time."))
    indexer = Indexer(house.store, open_encoder=open_encoder, folder=tmp_path / "none")
    (report,) = await Reconciler(house.store, house.lister, indexer).sync()
    assert report.added == ("tool:clock__now",)
    assert report.error is None
    assert names(house) == ["clock__now"]


async def test_a_name_that_is_taken_fails_its_own_server_alone(house: House) -> None:
    house.register("a", "a__b", "c")
    house.lister.tell("a", tool("b__x"))
    await house.reconciler.sync([ServerName("a")])
    house.lister.tell("a__b", tool("x"))
    house.lister.tell("c", tool("y"))
    reports = {report.server: report for report in await house.reconciler.sync()}
    assert "exists already" in (reports[ServerName("a__b")].error or "")
    assert reports[ServerName("c")].added == ("tool:c__y",)
    assert reports[ServerName("a")].error is None


# --- health ------------------------------------------------------------------------------------


async def test_failures_are_counted_and_forgotten_at_the_next_success(house: House) -> None:
    house.register("clock")
    await house.reconciler.sync()
    first = house.store.get_server(CLOCK).health
    await house.reconciler.sync()
    second = house.store.get_server(CLOCK).health
    assert (first.failures, second.failures) == (1, 2)
    assert first.next_attempt_at
    assert first.attempted_at
    assert second.next_attempt_at
    assert second.attempted_at
    first_pause = first.next_attempt_at - first.attempted_at
    assert first_pause < second.next_attempt_at - second.attempted_at
    house.lister.tell("clock", tool("now"))
    (report,) = await house.reconciler.sync()
    mended = house.store.get_server(CLOCK).health
    assert mended.failures == 0
    assert mended.error is None
    assert mended.changed_at == mended.synced_at
    assert report.next_attempt_at == mended.next_attempt_at


async def test_what_a_listing_says_of_its_age_is_kept(house: House) -> None:
    house.register("clock")
    house.lister.listings["clock"] = replace(listing(tool("now")), ttl_ms=600_000)
    await house.reconciler.sync()
    health = house.store.get_server(CLOCK).health
    assert health.fresh_until
    assert health.synced_at
    assert (health.fresh_until - health.synced_at).total_seconds() == 600


async def test_a_listing_that_is_the_same_is_not_compared(house: House) -> None:
    house.register("clock")
    house.lister.listings["clock"] = replace(listing(tool("now")), digest="d1")
    await house.reconciler.sync()
    assert house.store.get_server(CLOCK).health.listing_digest == "d1"
    # It could not be, of an equal digest: that nothing is written shows that nothing is compared.
    house.lister.listings["clock"] = replace(listing(tool("other")), digest="d1")
    (report,) = await house.reconciler.sync()
    assert not report.changed
    assert names(house) == ["clock__now"]
    health = house.store.get_server(CLOCK).health
    assert health.status is ServerStatus.READY
    assert health.listing_digest == "d1"
    assert health.reported_name == "told"
    (report,) = await house.reconciler.sync(actor="cli")
    assert report.added == ("tool:clock__other",)


async def test_answers_without_news_are_written_together(house: House) -> None:
    house.register("clock", "zone")
    for name in ("clock", "zone"):
        house.lister.listings[name] = replace(listing(tool(name)), digest=name)
    await house.reconciler.sync()
    house.lister.held["zone"] = anyio.Event()
    passed: list[str] = []

    def note(point: str) -> None:
        passed.append(point)
        if passed.count("listed") == 1:  # the first has answered: now the second may, too
            house.lister.held["zone"].set()

    watched = Reconciler(house.store, house.lister, house.indexer, checkpoint=note)
    reports = await watched.sync()
    assert [report.changed for report in reports] == [False, False]
    assert passed.count("before-commit") == 1


async def test_a_server_that_was_down_and_lists_the_same_is_ready_again(house: House) -> None:
    house.register("clock")
    house.lister.listings["clock"] = replace(listing(tool("now")), digest="d1")
    await house.reconciler.sync()
    house.lister.listings.clear()
    await house.reconciler.sync()
    house.lister.listings["clock"] = replace(listing(tool("now")), digest="d1")
    (report,) = await house.reconciler.sync()
    assert report.status is ServerStatus.READY
    assert house.store.get_server(CLOCK).health.error is None


# --- what is not believed at once ----------------------------------------------------------------


async def test_an_emptied_list_is_asked_for_again_before_it_is_believed(house: House) -> None:
    house.register("clock")
    house.lister.tell("clock", tool("a"), tool("b"), tool("c"))
    await house.reconciler.sync()
    house.lister.asked.clear()
    house.lister.once["clock"] = listing()
    (report,) = await house.reconciler.sync()
    assert not report.changed
    assert house.lister.asked == ["clock", "clock"]
    house.lister.tell("clock")
    (report,) = await house.reconciler.sync()
    assert len(report.removed) == 3
    assert names(house) == []


async def test_a_few_entries_may_go_at_once(house: House) -> None:
    house.register("clock")
    house.lister.tell("clock", tool("a"), tool("b"))
    await house.reconciler.sync()
    house.lister.asked.clear()
    house.lister.tell("clock")
    (report,) = await house.reconciler.sync()
    assert len(report.removed) == 2
    assert house.lister.asked == ["clock"]


async def test_prompts_that_vanish_beside_tools_are_asked_for_again_too(house: House) -> None:
    house.register("clock")
    prompts = tuple({"name": name} for name in "abc")
    house.lister.listings["clock"] = replace(listing(tool("now")), prompts=prompts)
    await house.reconciler.sync()
    house.lister.once["clock"] = listing(tool("now"))
    (report,) = await house.reconciler.sync()
    assert not report.changed


# --- trust -------------------------------------------------------------------------------------


async def test_the_review_decides_what_is_written(house: House) -> None:
    house.register("clock")
    house.lister.tell("clock", tool("now"), tool("evil"))
    seen: list[tuple[list[str], list[str]]] = []

    def review(
        server: Server, difference: Difference, before: Mapping[EntryId, Entry]
    ) -> EntryChanges:
        upserts = tuple(
            replace(entry, trust=Trust.QUARANTINED) if entry.local_name == "evil" else entry
            for entry in difference.changes.upserts
        )
        seen.append(([entry.local_name for entry in upserts], sorted(before)))
        return replace(difference.changes, upserts=upserts)

    wary = Reconciler(house.store, house.lister, house.indexer, review=review)
    (report,) = await wary.sync()
    assert report.added == ("tool:clock__now",)
    assert report.quarantined == ("tool:clock__evil",)
    assert report.changed
    assert "tool:clock__evil" not in await house.indexer.index()
    house.lister.tell("clock", tool("now", "Says more."), tool("evil"))
    await wary.sync()
    assert seen == [(["now", "evil"], []), (["now"], ["tool:clock__now"])]


async def test_many_servers_are_counted(house: House) -> None:
    house.register("bad", "clock")
    house.lister.tell("clock", tool("now"), tool("zone"))
    await house.reconciler.sync()
    totals = house.reconciler.meter.totals
    assert (totals.syncs, totals.failed, totals.added) == (2, 1, 2)
