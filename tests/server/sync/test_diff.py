"""Comparing what is listed with what is held."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from toolcrib_registry.types import EntryId, ServerName
from toolcrib_server.sync.diff import compare, tool_entry

S = ServerName("s")


def definition(name: str, description: str = "x", **extra: Any) -> dict[str, Any]:
    return {"name": name, "description": description, "inputSchema": {"type": "object"}, **extra}


def hashes(*definitions: dict[str, Any]) -> dict[EntryId, str]:
    entries = [tool_entry(S, d) for d in definitions]
    return {entry.id: entry.content_hash for entry in entries}


def test_everything_is_new_to_an_empty_registry() -> None:
    difference = compare(S, [tool_entry(S, definition("a"))], {})
    assert [entry.name for entry in difference.changes.upserts] == ["s__a"]
    assert not difference.changes.removals
    assert difference.unchanged == 0


def test_the_same_listing_changes_nothing() -> None:
    difference = compare(S, [tool_entry(S, definition("a"))], hashes(definition("a")))
    assert not difference.changes.upserts
    assert not difference.changes.removals
    assert difference.unchanged == 1


def test_a_change_anywhere_in_the_object_counts() -> None:
    known = hashes(definition("a"))
    for changed in (
        definition("a", annotations={"destructiveHint": True}),
        definition("a", outputSchema={"type": "object"}),
        definition("a", icons=[{"src": "https://example.com/i.png"}]),
        definition("a", _meta={"v": 2}),
        definition("a", title="A"),
        definition("a", execution={"taskSupport": "optional"}),
    ):
        difference = compare(S, [tool_entry(S, changed)], known)
        assert len(difference.changes.upserts) == 1, changed


def test_the_order_of_keys_does_not_count() -> None:
    backwards = dict(reversed(definition("a").items()))
    assert not compare(S, [tool_entry(S, backwards)], hashes(definition("a"))).changes.upserts


def test_what_is_listed_no_longer_is_removed() -> None:
    difference = compare(S, [], hashes(definition("a")))
    assert difference.changes.removals == (EntryId("tool:s__a"),)


def test_two_names_that_come_to_one_public_name_are_kept_apart() -> None:
    difference = compare(S, [tool_entry(S, definition(name)) for name in ("a b", "a/b")], {})
    names = [entry.name for entry in difference.changes.upserts]
    assert len(set(names)) == 2
    assert all(name.startswith("s__a_b-") for name in names)
    assert not difference.collisions


def test_the_same_name_twice_keeps_the_first_and_says_so() -> None:
    twice = [tool_entry(S, definition("a", "first")), tool_entry(S, definition("a", "second"))]
    difference = compare(S, twice, {})
    assert [entry.description for entry in difference.changes.upserts] == ["first"]
    (collision,) = difference.collisions
    assert "is taken by 'a'" in collision.reason


NAMES = st.sampled_from(["a", "b", "c", "d"])
LISTINGS = st.dictionaries(NAMES, st.sampled_from(["x", "y"]))


@given(LISTINGS, LISTINGS)
def test_applying_the_difference_makes_known_equal_listed(
    before: dict[str, str], after: dict[str, str]
) -> None:
    known = hashes(*(definition(n, d) for n, d in before.items()))
    listed = hashes(*(definition(n, d) for n, d in after.items()))
    entries = [tool_entry(S, definition(n, d)) for n, d in after.items()]
    changes = compare(S, entries, known).changes
    applied = {key: value for key, value in known.items() if key not in changes.removals}
    applied |= {entry.id: entry.content_hash for entry in changes.upserts}
    assert applied == listed
