"""What was decided about an entry outlives whatever its server does to the entry's history."""

from toolcrib_registry.types import ChangePolicy, EntryId, EntryKind, ServerName, Trust
from toolcrib_server.sync.trust_past import Chronicle, is_pin_approved

from . import test_trust_review
from .conftest import tool

desk = test_trust_review.desk
Desk = test_trust_review.Desk

READS = {"annotations": {"readOnlyHint": True}}
LONG = "Reads a whole file, and gives back what is in it."


def test_a_pin_is_not_pushed_out_of_sight_by_many_changes(desk: Desk) -> None:
    desk.register("files", ChangePolicy.QUARANTINE)
    desk.lists("files", tool("read", "What it was."))
    for number in range(60):
        desk.lists("files", tool("read", f"Version {number}."))
    desk.lists("files")
    # The earliest that a reader of the last fifty changes would see.
    for number in range(60):
        desk.lists("files", tool("read", f"Version {number}."))
        assert desk.tool("files__read").trust is Trust.QUARANTINED
    desk.lists("files", tool("read", "What it was."))
    assert desk.tool("files__read").trust is Trust.TRUSTED


def test_an_approval_long_ago_is_remembered_of_what_comes_back(desk: Desk) -> None:
    desk.register("files", ChangePolicy.QUARANTINE)
    desk.lists("files", tool("read", "First."))
    desk.lists("files", tool("read", "Approved."))
    desk.store.approve(EntryKind.TOOL, "files__read", actor="me")
    for number in range(60):
        desk.lists("files", tool("read", f"Version {number}."))
    desk.lists("files")
    desk.lists("files", tool("read", "First."))
    assert desk.tool("files__read").trust is Trust.QUARANTINED
    desk.lists("files", tool("read", "Approved."))
    assert desk.tool("files__read").trust is Trust.TRUSTED
    assert is_pin_approved(desk.store, desk.tool("files__read"))


def test_a_renamed_tool_that_left_comes_back_with_the_pin_of_its_first_name(desk: Desk) -> None:
    desk.register("files", ChangePolicy.QUARANTINE)
    desk.lists("files", tool("a", "Reads mail."))
    pin = desk.tool("files__a").pinned_hash
    desk.lists("files", tool("b", "Reads mail."))
    desk.lists("files", tool("b", "Reads and sends mail."))
    desk.lists("files")
    desk.lists("files", tool("b", "Reads and sends mail."))
    assert desk.tool("files__b").pinned_hash == pin
    desk.lists("files", tool("b", "Reads mail."))
    assert desk.tool("files__b").trust is Trust.QUARANTINED


def test_what_was_switched_off_is_off_when_it_comes_back(desk: Desk) -> None:
    desk.register("files")
    desk.lists("files", tool("read", LONG), tool("list"))
    desk.store.set_entry_enabled(EntryKind.TOOL, "files__read", enabled=False, actor="me")
    desk.lists("files", tool("list"))
    desk.lists("files", tool("read", LONG), tool("list"))
    assert not desk.tool("files__read").enabled
    assert desk.tool("files__list").enabled


def test_what_was_switched_off_under_an_earlier_name_is_off_when_it_comes_back(desk: Desk) -> None:
    desk.register("files")
    desk.lists("files", tool("a", LONG))
    desk.store.set_entry_enabled(EntryKind.TOOL, "files__a", enabled=False, actor="me")
    desk.lists("files", tool("b", LONG))
    desk.lists("files")
    desk.lists("files", tool("b", LONG))
    assert not desk.tool("files__b").enabled
    desk.store.set_entry_enabled(EntryKind.TOOL, "files__b", enabled=True, actor="me")
    desk.lists("files")
    desk.lists("files", tool("b", LONG))
    assert desk.tool("files__b").enabled


def test_a_rename_into_a_name_does_not_lift_what_was_decided_about_that_name(desk: Desk) -> None:
    desk.register("files")
    desk.lists("files", tool("good", LONG, **READS), tool("bad", "Deletes files.", **READS))
    desk.store.set_entry_enabled(EntryKind.TOOL, "files__bad", enabled=False, actor="me")
    desk.lists("files", tool("good", LONG, **READS), tool("bad", "Deletes files."))
    desk.lists("files", tool("good", LONG, **READS))
    desk.lists("files", tool("bad", LONG, **READS))
    bad = desk.tool("files__bad")
    assert (bad.trust, bad.enabled) == (Trust.QUARANTINED, False)


def test_a_server_registered_anew_begins_anew(desk: Desk) -> None:
    desk.register("files", ChangePolicy.QUARANTINE)
    desk.lists("files", tool("read", "One."))
    desk.lists("files", tool("read", "Two."))
    desk.store.set_entry_enabled(EntryKind.TOOL, "files__read", enabled=False, actor="me")
    desk.store.remove_server(ServerName("files"), actor="me")
    desk.register("files", ChangePolicy.QUARANTINE)
    desk.lists("files", tool("read", "Two."))
    desk.lists("files")
    back = EntryId(desk.lists("files", tool("read", "Two."))[0].subject)
    past = Chronicle(desk.store, ServerName("files")).past(back)
    assert past is None  # it is there
    read = desk.tool("files__read")
    assert (read.trust, read.enabled, read.pinned_hash) == (Trust.TRUSTED, True, read.content_hash)
