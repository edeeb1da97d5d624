"""Equal digests mean that sifting and comparing come to the same entries."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_server.upstream.config.secrets import Redactor
from toolcrib_server.upstream.connecting.era import Greeting
from toolcrib_server.upstream.lists.digest import digest_pages
from toolcrib_server.upstream.lists.shelves import PROMPTS, TOOLS, CacheScope, ShelfPages

NOTHING = Redactor(())
GREETING = Greeting(protocol_version="2026-07-28", capabilities={"tools": {}}, name="x")


def digest(*tools, greeting=GREETING, redact=NOTHING, **kw):
    return digest_pages({TOOLS: ShelfPages(objects=list(tools), **kw)}, greeting, redact=redact)


A = {"name": "a", "description": "one", "inputSchema": {"type": "object"}}
B = {"name": "b", "inputSchema": {"type": "object"}}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
LISTED = st.lists(st.dictionaries(st.text(max_size=3), JSON, max_size=3) | JSON, max_size=6)


def test_the_order_of_tools_and_of_keys_does_not_count():
    turned = dict(reversed(A.items()))
    assert digest(A, B) == digest(B, turned)


def test_anything_else_counts():
    others = [
        digest(A),
        digest(A, B, B),
        digest({**A, "description": "two"}, B),
        digest({**A, "annotations": {}}, B),
        digest(A, B, greeting=Greeting(protocol_version="2025-11-25", name="x")),
        digest(A, B, greeting=Greeting(protocol_version="2026-07-28", name="y")),
        digest_pages({PROMPTS: ShelfPages(objects=[A, B])}, GREETING, redact=NOTHING),
        digest_pages(
            {TOOLS: ShelfPages(objects=[A, B]), PROMPTS: ShelfPages()}, GREETING, redact=NOTHING
        ),
    ]
    assert digest(A, B) not in others
    assert len(set(others)) == len(others)


def test_of_two_with_one_name_the_order_counts_because_the_first_is_kept():
    assert digest(A, {**A, "description": "two"}) != digest({**A, "description": "two"}, A)


def test_how_long_it_stays_fresh_is_not_part_of_it():
    assert digest(A, ttl_ms=5) == digest(A, ttl_ms=7)


def test_who_may_be_shown_it_is_part_of_it():
    assert digest(A, scopes={CacheScope.PRIVATE}) != digest(A, scopes={CacheScope.PUBLIC})


def test_what_was_not_read_in_full_has_none():
    assert digest(A, failure="log in first") is None


def test_what_cannot_be_written_has_none():
    pit = []
    for _ in range(100_000):
        pit = [pit]
    assert digest({"name": "a", "x": pit}) is None


def test_a_secret_in_what_it_says_of_itself_is_masked_before():
    said = Greeting(protocol_version="2026-07-28", instructions="Log in with hunter2hunter2.")
    masked = Greeting(protocol_version="2026-07-28", instructions="Log in with •••.")
    redact = Redactor(("hunter2hunter2",))
    assert digest(A, greeting=said, redact=redact) == digest(A, greeting=masked)


@given(LISTED, st.randoms(use_true_random=False))
def test_whatever_is_listed_has_a_digest_that_any_order_of_other_names_shares(listed, chance):
    by_name = {str(each.get("name")) if isinstance(each, dict) else "": each for each in listed}
    distinct = list(by_name.values())
    shuffled = list(distinct)
    chance.shuffle(shuffled)
    assert digest(*distinct) == digest(*shuffled) is not None


@pytest.mark.parametrize("seed", range(3))
def test_a_long_list_in_another_order_is_the_same(seed):
    tools = [{"name": f"t{at}", "inputSchema": {"at": at}} for at in range(500)]
    shuffled = random.Random(seed).sample(tools, len(tools))
    assert digest(*tools) == digest(*shuffled)
