"""What a model wrote is kept by content, and every entry that it concerns has a change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    CatalogTransport,
    ChangeAction,
    EntryChanges,
    EntryId,
    EntryKind,
    Mark,
    MarkReason,
    Server,
    ServerName,
    Tool,
    Trust,
    WrittenQuestions,
    WrittenReading,
)

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
S, T = ServerName("s"), ServerName("t")


def tool(server: ServerName, name: str, content_hash: str) -> Tool:
    return Tool(
        name=f"{server}__{name}",
        server=server,
        local_name=name,
        definition={"name": name},
        content_hash=content_hash,
        trust=Trust.MARKED,
        marks=(Mark(MarkReason.ADDED, "new"),),
    )


@pytest.fixture
def filled(store: Store) -> Store:
    for name in (S, T):
        store.add_server(Server(name=name, transport=CatalogTransport("f")), actor="test")
    both = (tool(S, "a", "h1"), tool(S, "b", "h2"))
    store.apply(EntryChanges(server=S, upserts=both), actor="test")
    store.apply(EntryChanges(server=T, upserts=(tool(T, "a", "h1"),)), actor="test")
    return store


def written(content_hash: str, *questions: str, writer: str = "m/1", hour: int = 0):
    at = NOON + timedelta(hours=hour)
    return WrittenQuestions(content_hash=content_hash, writer=writer, at=at, questions=questions)


def test_questions_are_found_by_content_and_each_entry_of_it_has_a_change(filled: Store):
    before = filled.get_entry(EntryKind.TOOL, "s__a")
    changes = filled.written.add_questions([written("h1", "one?", "two?")], actor="writer")
    assert [(c.subject, c.action, c.server, c.fields) for c in changes] == [
        ("tool:s__a", ChangeAction.WRITTEN, S, ("questions",)),
        ("tool:t__a", ChangeAction.WRITTEN, T, ("questions",)),
    ]
    assert changes[0].after == {"questions": ["one?", "two?"]}
    assert changes[-1].revision == filled.head()
    after = filled.get_entry(EntryKind.TOOL, "s__a")
    assert isinstance(before, Tool)
    assert isinstance(after, Tool)
    assert (after.revision, after.definition, after.marks, after.trust, after.content_hash) == (
        changes[0].revision,
        before.definition,
        before.marks,
        before.trust,
        "h1",
    )
    found = filled.written.find_questions(["h1", "h2", "none"])
    assert {key: one.questions for key, one in found.items()} == {"h1": ("one?", "two?")}


def test_what_a_writer_wrote_twice_stays_and_changes_nothing(filled: Store):
    filled.written.add_questions([written("h1", "one?")], actor="writer")
    head = filled.head()
    assert filled.written.add_questions([written("h1", "other?", hour=1)], actor="writer") == ()
    assert (filled.head(), filled.written.find_questions(["h1"])["h1"].questions) == (
        head,
        ("one?",),
    )


def test_the_latest_writer_counts_and_a_refusal_is_kept_without_a_change(filled: Store):
    filled.written.add_questions([written("h1", "one?")], actor="writer")
    changes = filled.written.add_questions(
        [written("h1", "better?", writer="n/1", hour=1)], actor="writer"
    )
    assert len(changes) == 2
    assert filled.written.find_questions(["h1"])["h1"].questions == ("better?",)
    refused = WrittenQuestions(content_hash="h2", writer="m/1", at=NOON, refusal="no JSON")
    assert filled.written.add_questions([refused], actor="writer") == ()
    assert filled.written.list_contents("m/1") == {"h1", "h2"}
    assert filled.written.list_contents("n/1") == {"h1"}
    assert filled.written.list_contents() == {"h1", "h2"}
    count = filled.written.count()
    assert (count.questions, count.refused, count.readings) == (1, 1, 0)


def test_questions_of_a_server_are_forgotten_with_a_change_for_all_that_shared_them(filled: Store):
    filled.written.add_questions([written("h1", "one?"), written("h2", "b?")], actor="writer")
    head = filled.head()
    assert filled.written.forget_questions(server=T, actor="cli") == 1
    changes = filled.list_changes(since=head)
    assert [(c.subject, c.after) for c in changes] == [
        ("tool:s__a", {"questions": []}),
        ("tool:t__a", {"questions": []}),
    ]
    assert filled.written.forget_questions(actor="cli") == 1
    assert filled.written.list_contents() == frozenset()
    assert filled.written.forget_questions(actor="cli") == 0


def test_questions_of_contents_that_are_gone_are_pruned(filled: Store):
    filled.written.add_questions([written("h1", "one?"), written("h2", "b?")], actor="writer")
    assert filled.written.prune_questions() == 0
    filled.apply(EntryChanges(server=S, removals=(EntryId("tool:s__b"),)), actor="test")
    filled.apply(EntryChanges(server=S, upserts=(tool(S, "a", "h9"),)), actor="test")
    assert filled.written.prune_questions() == 1
    assert filled.written.list_contents() == {"h1"}
    filled.remove_server(T, actor="test")
    assert filled.written.prune_questions() == 1


def test_readings_are_kept_by_query_and_writer_and_only_the_latest(store: Store):
    first = WrittenReading(
        query_hash="q", writer="m/1", at=NOON, english="Hello\x00 é", steps=("a",)
    )
    store.written.put_reading(first)
    assert store.written.find_reading("q", "m/1") == first
    assert store.written.find_reading("q", "n/1") is None
    second = WrittenReading(query_hash="q", writer="m/1", at=NOON + timedelta(hours=1))
    store.written.put_reading(second)
    assert store.written.find_reading("q", "m/1") == second
    for hour in range(2, 7):
        at = NOON + timedelta(hours=hour)
        store.written.put_reading(
            WrittenReading(query_hash=f"q{hour}", writer="m/1", at=at), keep=3
        )
    assert store.written.find_reading("q3", "m/1") is None
    assert store.written.find_reading("q4", "m/1") is not None
    assert store.written.forget_readings() == 3
