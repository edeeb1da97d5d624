from __future__ import annotations

from dataclasses import replace

import pytest

from toolcrib_registry.errors import EntryChanged, NotFound
from toolcrib_registry.store import Store
from toolcrib_registry.store.trust import Judgement
from toolcrib_registry.types import (
    ChangeAction,
    EntryChanges,
    EntryId,
    EntryKind,
    HttpTransport,
    Mark,
    MarkReason,
    Server,
    ServerHealth,
    ServerName,
    Tool,
    Trust,
    Vectors,
    hash_content,
)

A = ServerName("alpha")
CHANGED = Mark(MarkReason.CHANGED, "The description differs.")


def tool(name: str, description: str = "first") -> Tool:
    definition = {"name": name, "description": description, "inputSchema": {"type": "object"}}
    return Tool(
        name=f"{A}__{name}",
        server=A,
        local_name=name,
        description=description,
        definition=definition,
        content_hash=hash_content(definition),
    )


def read(store: Store, name: str) -> Tool:
    entry = store.get_entry(EntryKind.TOOL, f"{A}__{name}")
    assert isinstance(entry, Tool)
    return entry


@pytest.fixture
def filled(store: Store) -> Store:
    """Hold a server with tools a and b."""
    store.add_server(Server(name=A, transport=HttpTransport("https://x")), actor="test")
    store.apply(EntryChanges(server=A, upserts=(tool("a"), tool("b"))), actor="sync")
    return store


@pytest.fixture
def held(filled: Store) -> Store:
    """Hold tool a changed and quarantined."""
    pinned = read(filled, "a").pinned_hash
    changed = replace(
        tool("a", "second"), trust=Trust.QUARANTINED, marks=(CHANGED,), pinned_hash=pinned
    )
    filled.apply(EntryChanges(server=A, upserts=(changed,)), actor="sync")
    return filled


def test_what_is_listed_first_is_pinned(filled: Store) -> None:
    entry = read(filled, "a")

    assert entry.pinned_hash == entry.content_hash


def test_a_quarantined_entry_is_kept_and_is_not_live(held: Store) -> None:
    entry = read(held, "a")

    assert (entry.trust, entry.marks) == (Trust.QUARANTINED, (CHANGED,))
    assert entry.pinned_hash == tool("a").content_hash
    assert [one.name for one in held.iter_entries(live=True)] == ["alpha__b"]
    assert held.live_revisions() == {"tool:alpha__b": 3}
    change = held.list_changes()[-1]
    assert (change.action, change.marks) == (ChangeAction.QUARANTINED, (CHANGED,))
    assert (change.before, change.after) == (tool("a").definition, entry.definition)


def test_an_approval_trusts_and_pins_what_is_there_now(held: Store) -> None:
    change = held.approve(EntryKind.TOOL, "alpha__a", actor="cli")

    assert change is not None
    assert change.action is ChangeAction.APPROVED
    entry = read(held, "a")
    assert (entry.trust, entry.marks, entry.pinned_hash) == (
        Trust.TRUSTED,
        (),
        entry.content_hash,
    )
    assert entry.revision == change.revision
    assert held.approve(EntryKind.TOOL, "alpha__a", actor="cli") is None
    with pytest.raises(NotFound):
        held.approve(EntryKind.TOOL, "alpha__x", actor="cli")


def test_a_scan_writes_only_what_differs(filled: Store) -> None:
    ids = [EntryId("tool:alpha__a"), EntryId("tool:alpha__b"), EntryId("tool:alpha__gone")]
    judged: dict[EntryId, Judgement] = dict.fromkeys(ids, (Trust.TRUSTED, ()))
    judged[ids[0]] = (Trust.MARKED, (CHANGED,))

    (change,) = filled.set_marks(judged, actor="scan")

    assert (change.subject, change.action, change.fields) == (
        ids[0],
        ChangeAction.UPDATED,
        ("marks",),
    )
    assert read(filled, "a").marks == (CHANGED,)
    assert filled.set_marks(judged, actor="scan") == ()


def test_a_renamed_entry_keeps_what_people_decided_and_both_names_are_tied(filled: Store) -> None:
    filled.set_entry_enabled(EntryKind.TOOL, "alpha__a", enabled=False, actor="cli")
    old, new = EntryId("tool:alpha__a"), EntryId("tool:alpha__c")
    age = read(filled, "a").added_at
    renamed = EntryChanges(server=A, upserts=(tool("c"),), removals=(old,), renames={old: new})

    removal, addition = filled.apply(renamed, actor="sync")

    assert (removal.action, removal.related) == (ChangeAction.REMOVED, new)
    assert (addition.action, addition.related) == (ChangeAction.ADDED, old)
    entry = read(filled, "c")
    assert (entry.enabled, entry.added_at) == (False, age)
    grave = filled.find_tombstone(EntryKind.TOOL, "alpha__a")
    assert grave is not None
    assert (grave.replaced_by, grave.revision, grave.server) == (new, removal.revision, A)


def test_what_is_there_or_never_was_has_no_tombstone(filled: Store) -> None:
    filled.apply(EntryChanges(server=A, removals=(EntryId("tool:alpha__a"),)), actor="sync")
    assert filled.find_tombstone(EntryKind.TOOL, "alpha__a") is not None

    filled.apply(EntryChanges(server=A, upserts=(tool("a"),)), actor="sync")

    for name in ("alpha__a", "alpha__never"):
        assert filled.find_tombstone(EntryKind.TOOL, name) is None


def test_entries_vectors_and_health_are_written_together_or_not_at_all(filled: Store) -> None:
    vectors = Vectors("encoder", {"hash": b"\0\0\0\1"})
    health = ServerHealth(failures=3)
    wrong = replace(tool("c"), server=ServerName("other"))

    with pytest.raises(Exception, match="belongs to server"):
        filled.apply(
            EntryChanges(server=A, upserts=(tool("d"), wrong)),
            actor="sync",
            health=health,
            vectors=vectors,
        )
    assert filled.get_embeddings("encoder", ["hash"]) == {}
    assert filled.find_entry(EntryKind.TOOL, "alpha__d") is None
    assert filled.get_server(A).health.failures == 0

    filled.apply(
        EntryChanges(server=A, upserts=(tool("d"),)), actor="sync", health=health, vectors=vectors
    )
    assert filled.get_embeddings("encoder", ["hash"]) == vectors.by_hash
    assert filled.get_server(A).health.failures == 3


def test_the_last_changes_of_a_subject_come_oldest_first(held: Store) -> None:
    subject = "tool:alpha__a"

    assert [c.revision for c in held.last_changes(limit=2)] == [3, 4]
    assert [c.revision for c in held.last_changes(limit=9, subject=subject)] == [2, 4]
    assert [c.revision for c in held.list_changes(limit=1, subject=subject)] == [2]


def test_only_what_was_looked_at_is_approved(held: Store) -> None:
    seen = read(held, "a").revision
    third = replace(tool("a", "third"), trust=Trust.QUARANTINED, marks=(CHANGED,))
    held.apply(EntryChanges(server=A, upserts=(third,)), actor="sync")

    with pytest.raises(EntryChanged, match="Look at it again"):
        held.approve(EntryKind.TOOL, f"{A}__a", actor="me", seen=seen)
    now = read(held, "a").revision
    assert held.approve(EntryKind.TOOL, f"{A}__a", actor="me", seen=now) is not None


def test_marks_are_not_written_on_what_has_changed_since_it_was_judged(filled: Store) -> None:
    id_ = EntryId(f"tool:{A}__a")
    seen = {id_: read(filled, "a").revision}
    filled.apply(EntryChanges(server=A, upserts=(tool("a", "second"),)), actor="sync")

    assert filled.set_marks({id_: (Trust.MARKED, (CHANGED,))}, actor="scan", seen=seen) == ()
    assert read(filled, "a").marks == ()
