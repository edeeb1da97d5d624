"""What an entry said at each of its revisions, also when it is gone."""

import pytest

from toolcrib_registry.errors import NotFound, RevisionNotFound
from toolcrib_registry.types import (
    CatalogTransport,
    ChangeAction,
    EntryChanges,
    EntryId,
    EntryKind,
    Model,
    Revision,
    Server,
    ServerName,
)
from toolcrib_server.sync.diff import tool_entry
from toolcrib_server.sync.edits import mark_up
from toolcrib_server.sync.history import edits_of, list_revisions, read_revision

from .conftest import House, tool

SERVER = ServerName("s")


@pytest.fixture
def told(house: House) -> House:
    """Revisions: 1 server, 2 tool, 3 changed, 4 off, 5 changed, 6 removed, 7 another tool."""
    store = house.store
    store.add_server(Server(name=SERVER, transport=CatalogTransport("t")), actor="test")

    def say(description: str, name: str = "t") -> None:
        entry = tool_entry(SERVER, tool(name, description))
        store.apply(EntryChanges(server=SERVER, upserts=(entry,)), actor="test")

    say("first words")
    say("second words")
    store.set_entry_enabled(EntryKind.TOOL, "s__t", enabled=False, actor="test")
    say("third words")
    gone = EntryChanges(server=SERVER, removals=(EntryId("tool:s__t"),))
    store.apply(gone, actor="test")
    say("other words", "u")
    return house


def read(house: House, revision: int, name: str = "s__t") -> tuple[ChangeAction, object]:
    past = read_revision(house.store, EntryKind.TOOL, name, Revision(revision))
    return past.change.action, (past.definition or {}).get("description")


def test_every_revision_can_be_read_also_of_what_is_gone(told: House):
    changes = list_revisions(told.store, EntryKind.TOOL, "s__t")
    assert [change.revision for change in changes] == [2, 3, 4, 5, 6]
    assert read(told, 2) == (ChangeAction.ADDED, "first words")
    assert read(told, 3) == (ChangeAction.UPDATED, "second words")
    assert read(told, 5) == (ChangeAction.UPDATED, "third words")
    assert read(told, 6) == (ChangeAction.REMOVED, "third words")


def test_a_switch_shows_what_was_switched(told: House):
    assert read(told, 4) == (ChangeAction.DISABLED, "second words")
    told.store.set_entry_enabled(EntryKind.TOOL, "s__u", enabled=False, actor="test")
    assert read(told, 8, "s__u") == (ChangeAction.DISABLED, "other words")


@pytest.mark.parametrize("revision", [1, 7, 99, 0])
def test_a_revision_of_something_else_names_those_that_there_are(told: House, revision: int):
    with pytest.raises(RevisionNotFound, match="it has 2, 3, 4, 5, 6") as caught:
        read(told, revision)
    assert caught.value.known == (2, 3, 4, 5, 6)
    assert caught.value.detail in str(caught.value)


def test_of_many_revisions_the_last_are_named(told: House):
    for number in range(30):
        entry = tool_entry(SERVER, tool("u", f"number {number}"))
        told.store.apply(EntryChanges(server=SERVER, upserts=(entry,)), actor="test")
    with pytest.raises(RevisionNotFound, match="its last 20 are 18, 19"):
        read(told, 6, "s__u")
    assert read(told, 7, "s__u")[1] == "other words"


def test_a_name_that_never_was_is_not_found(told: House):
    with pytest.raises(NotFound, match="s__u"):
        list_revisions(told.store, EntryKind.TOOL, "s__uu")
    with pytest.raises(NotFound):
        read_revision(told.store, None, "nope", Revision(1))


def test_without_a_kind_the_one_that_has_the_name_is_meant(told: House):
    told.store.add_model(Model(name="m", description="a model"), actor="test")
    assert list_revisions(told.store, None, "m")[0].subject == "model:m"


def test_differences_are_told_of_updates_alone(told: House):
    changes = list_revisions(told.store, EntryKind.TOOL, "s__t")
    said = [[mark_up(edit) for edit in edits_of(change)] for change in changes]
    assert said == [
        [],
        ["description: [-first-] {+second+} words"],
        [],
        ["description: [-second-] {+third+} words"],
        [],
    ]
