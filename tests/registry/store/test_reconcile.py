from __future__ import annotations

from dataclasses import replace

import pytest

from toolcrib_registry.errors import AlreadyExists, InvalidInput, NotFound
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    ChangeAction,
    EntryChanges,
    EntryId,
    EntryKind,
    HttpTransport,
    Prompt,
    Revision,
    Server,
    ServerHealth,
    ServerName,
    ServerStatus,
    Tool,
    hash_content,
)

A = ServerName("alpha")
B = ServerName("beta")


def tool(name: str, description: str = "first", server: ServerName = A) -> Tool:
    definition = {"name": name, "description": description, "inputSchema": {"type": "object"}}
    return Tool(
        name=f"{server}__{name}",
        server=server,
        local_name=name,
        description=description,
        definition=definition,
        content_hash=hash_content(definition),
    )


@pytest.fixture
def filled(store: Store) -> Store:
    """Hold two servers, the first with tools a and b."""
    for name in (A, B):
        store.add_server(Server(name=name, transport=HttpTransport("https://x")), actor="test")
    upserts = EntryChanges(server=A, upserts=(tool("a"), tool("b")))
    store.apply(upserts, actor="sync")
    return store


def test_new_entries_are_stored_with_their_revision_and_age(filled: Store) -> None:
    entry = filled.get_entry(EntryKind.TOOL, "alpha__b")

    change = filled.list_changes()[-1]
    assert (change.action, change.subject, change.server) == (ChangeAction.ADDED, entry.id, A)
    assert (change.fields, change.before, change.after) == ((), None, tool("b").definition)
    assert (entry.revision, entry.added_at, entry.updated_at) == (4, change.at, change.at)
    bare = replace(entry, revision=0, added_at=None, updated_at=None)
    assert bare == replace(tool("b"), pinned_hash=tool("b").content_hash)


def test_an_update_notes_what_differs_and_keeps_what_people_set(filled: Store) -> None:
    filled.set_entry_enabled(EntryKind.TOOL, "alpha__a", enabled=False, actor="cli")
    before = filled.get_entry(EntryKind.TOOL, "alpha__a")

    changed = replace(tool("a", "second"), title="A")
    (change,) = filled.apply(EntryChanges(server=A, upserts=(changed,)), actor="sync")

    assert (change.action, change.fields) == (ChangeAction.UPDATED, ("description",))
    assert change.before == tool("a").definition
    assert change.after == changed.definition
    after = filled.get_entry(EntryKind.TOOL, "alpha__a")
    assert (after.title, after.description) == ("A", "second")
    assert (after.enabled, after.tags, after.added_at) == (False, (), before.added_at)
    assert (after.revision, after.updated_at) == (change.revision, change.at)


def test_an_update_that_brings_tags_replaces_them_and_one_without_keeps_them(
    filled: Store,
) -> None:
    for description, given, kept in (
        ("second", ("time",), ("time",)),
        ("third", (), ("time",)),
        ("fourth", ("zones",), ("zones",)),
    ):
        changed = replace(tool("a", description), tags=given)
        filled.apply(EntryChanges(server=A, upserts=(changed,)), actor="sync")
        assert filled.get_entry(EntryKind.TOOL, "alpha__a").tags == kept


def test_a_field_that_turns_from_true_to_1_is_a_difference(filled: Store) -> None:
    first, second = (
        replace(tool("c"), definition=definition, content_hash="")
        for definition in ({"x": True, "gone": 0}, {"x": 1, "new": None})
    )
    filled.apply(EntryChanges(server=A, upserts=(first,)), actor="sync")
    changes = filled.apply(EntryChanges(server=A, upserts=(second,)), actor="sync")

    assert changes[0].fields == ("gone", "new", "x")


def test_applying_the_same_twice_writes_nothing(filled: Store) -> None:
    changes = EntryChanges(server=A, upserts=(tool("a"), replace(tool("b"), content_hash="")))

    assert filled.apply(changes, actor="sync") == ()
    assert filled.head() == 4


def test_removals_are_noted_and_foreign_or_absent_ones_ignored(filled: Store) -> None:
    foreign = EntryChanges(server=B, removals=(tool("a").id, EntryId("tool:absent")))
    assert filled.apply(foreign, actor="sync") == ()

    mine = EntryChanges(server=A, removals=(tool("b").id, tool("a").id, tool("a").id))
    changes = filled.apply(mine, actor="sync")

    assert [change.subject for change in changes] == [tool("a").id, tool("b").id]
    assert changes[0].before == tool("a").definition
    assert filled.entry_hashes(A) == {}


def test_an_id_both_removed_and_listed_stays(filled: Store) -> None:
    both = EntryChanges(server=A, upserts=(tool("a"),), removals=(tool("a").id,))

    assert filled.apply(both, actor="sync") == ()
    assert tool("a").id in filled.entry_hashes(A)


def test_a_name_of_another_server_is_refused_and_nothing_is_changed(filled: Store) -> None:
    stolen = replace(tool("a", "stolen"), server=B)
    changes = EntryChanges(server=B, upserts=(tool("new", server=B), stolen))

    with pytest.raises(AlreadyExists, match="A tool named 'alpha__a' exists already"):
        filled.apply(changes, actor="sync", health=ServerHealth(status=ServerStatus.READY))

    assert filled.head() == 4
    assert filled.entry_hashes(B) == {}
    assert filled.get_server(B).health.status is ServerStatus.NEW


def test_a_name_listed_twice_is_refused(filled: Store) -> None:
    twice = EntryChanges(server=B, upserts=(tool("x", server=B), tool("x", "other", server=B)))

    with pytest.raises(AlreadyExists, match="beta__x"):
        filled.apply(twice, actor="sync")
    assert filled.entry_hashes(B) == {}


def test_changes_for_another_owner_or_an_absent_server_are_refused(filled: Store) -> None:
    with pytest.raises(InvalidInput, match="tool:alpha__c belongs to server 'alpha', not to 'bet"):
        filled.apply(EntryChanges(server=B, upserts=(tool("c"),)), actor="sync")
    with pytest.raises(NotFound, match="Did you mean: beta"):
        filled.apply(EntryChanges(server=ServerName("bet")), actor="sync")


def test_one_transaction_takes_all_kinds_of_change_and_health(filled: Store) -> None:
    prompt = Prompt(name="alpha__a", server=A, local_name="a", definition={})
    changes = EntryChanges(
        server=A, upserts=(tool("a", "second"), prompt), removals=(tool("b").id,)
    )

    done = filled.apply(changes, actor="sync", health=ServerHealth(status=ServerStatus.READY))

    assert [(change.revision, change.action) for change in done] == [
        (5, ChangeAction.REMOVED),
        (6, ChangeAction.ADDED),
        (7, ChangeAction.UPDATED),
    ]
    assert filled.list_changes(since=Revision(4)) == done
    assert set(filled.entry_hashes(A)) == {"tool:alpha__a", "prompt:alpha__a"}
    assert filled.get_server(A).health.status is ServerStatus.READY


def test_a_filled_in_hash_is_that_of_the_definition(filled: Store) -> None:
    entry = replace(tool("c"), content_hash="")
    filled.apply(EntryChanges(server=A, upserts=(entry,)), actor="sync")

    assert filled.entry_hashes(A)[entry.id] == hash_content(entry.definition)
