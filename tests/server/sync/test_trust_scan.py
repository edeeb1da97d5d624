"""Scanning what the registry holds: what is written, what is only reported, and when it is done."""

from dataclasses import replace

from toolcrib_registry.types import ChangePolicy, EntryChanges, EntryKind, ServerName, Trust
from toolcrib_server.sync.diff import compare, tool_entry
from toolcrib_server.sync.trust_scan import find_pinned, scan_registry

from . import test_trust_review
from .conftest import tool

desk = test_trust_review.desk
Desk = test_trust_review.Desk
POISON = test_trust_review.POISON


def test_a_scan_marks_what_was_there_before_and_says_so_once(desk: Desk) -> None:
    desk.register("files")
    entries = (tool_entry(ServerName("files"), tool("read", POISON)),)
    changes = compare(ServerName("files"), entries, {}).changes
    desk.store.apply(changes, actor="an older release")
    report = scan_registry(desk.store, desk.review, actor="cli")
    assert (report.scanned, report.suspects, len(report.changes)) == (1, 1, 1)
    assert desk.tool("files__read").trust is Trust.MARKED
    again = scan_registry(desk.store, desk.review, actor="cli")
    assert (again.suspects, again.changes) == (1, ())


def test_a_scan_leaves_what_was_approved_alone_and_reports_it(desk: Desk) -> None:
    desk.register("files", ChangePolicy.QUARANTINE)
    desk.lists("files", tool("read", POISON))
    desk.store.approve(EntryKind.TOOL, "files__read", actor="me")
    report = scan_registry(desk.store, desk.review, actor="cli")
    assert (report.suspects, report.changes) == (0, ())
    assert [one.approved for one in report.found] == [True]
    assert desk.tool("files__read").trust is Trust.TRUSTED


def test_a_scan_can_be_of_some_and_shows_how_far_it_is(desk: Desk) -> None:
    desk.register("a")
    desk.register("b")
    desk.lists("a", tool("x"), tool("y"))
    desk.lists("b", tool("z", POISON))
    seen: list[tuple[int, int]] = []
    report = scan_registry(
        desk.store, desk.review, server=ServerName("a"), actor="cli",
        on_progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert (report.scanned, report.suspects, seen) == (2, 0, [(1, 2), (2, 2)])
    named = scan_registry(desk.store, desk.review, names=["b__z"], actor="cli")
    assert (named.scanned, named.suspects) == (1, 1)


def test_a_servers_instructions_are_scanned_and_reported(desk: Desk) -> None:
    desk.register("files")
    server = desk.store.get_server(ServerName("files"))
    desk.store.apply(
        EntryChanges(server=server.name),
        actor="sync",
        health=replace(server.health, instructions=POISON),
    )
    report = scan_registry(desk.store, desk.review, actor="cli")
    assert [one.name for one in report.found] == ["server:files"]
    assert report.suspects == 1


def test_the_pin_is_found_in_the_log_through_several_changes(desk: Desk) -> None:
    desk.register("files")
    first = tool("read", "The first words of it.")
    desk.lists("files", first)
    desk.lists("files", tool("read", "Second words."))
    desk.lists("files", tool("read", "Third words."))
    entry = desk.tool("files__read")
    assert find_pinned(desk.store, entry) == first
    desk.store.approve(EntryKind.TOOL, entry.name, actor="me")
    assert find_pinned(desk.store, desk.tool("files__read")) == tool("read", "Third words.")
    assert find_pinned(desk.store, replace(entry, pinned_hash="nothing that ever was")) is None


def test_a_policy_of_quarantine_holds_for_scans_too(desk: Desk) -> None:
    desk.register("files", ChangePolicy.QUARANTINE)
    entries = (tool_entry(ServerName("files"), tool("read", POISON)),)
    desk.store.apply(compare(ServerName("files"), entries, {}).changes, actor="an older release")
    report = scan_registry(desk.store, desk.review, actor="cli")
    assert report.quarantined == 1
    assert desk.tool("files__read").trust is Trust.QUARANTINED


def test_a_scan_does_not_lift_a_quarantine_that_comes_while_it_reads(desk: Desk) -> None:
    reads = {"annotations": {"readOnlyHint": True}}
    desk.register("files")
    entry = tool_entry(ServerName("files"), tool("read", POISON, **reads))
    desk.store.apply(compare(ServerName("files"), (entry,), {}).changes, actor="an older release")

    def sync_meanwhile(done: int, total: int) -> None:
        desk.lists("files", tool("read", POISON))

    report = scan_registry(desk.store, desk.review, actor="cli", on_progress=sync_meanwhile)
    assert report.changes == ()
    assert desk.tool("files__read").trust is Trust.QUARANTINED
