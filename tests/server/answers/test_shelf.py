"""Answers are kept for a while, in little room, and apart for each tenant."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_server.answers.shelf import AnswerShelf, Kept, weigh

SIZE = 100


def kept(key, *, scope="s", vector=None, at=0.0, size=SIZE):
    found = None if vector is None else np.asarray(vector, dtype=np.float32)
    return Kept(
        key=key,
        scope=scope,
        text="text",
        vector=found,
        answer={"choices": []},
        offer="m@acme/m",
        model="m",
        provider="acme",
        cost_usd=0.1,
        at=at,
        size=size,
    )


def shelf(room=10 * SIZE, ttl_s=60.0):
    return AnswerShelf(room_bytes=room, ttl_s=ttl_s)


def near(held, vector, *, tenant="a", scope="s", least=0.9, now=0.0):
    found = held.near(
        tenant, scope, np.asarray(vector, dtype=np.float32), least=least, most=8, now=now
    )
    return [one.key for _, one in found]


def test_what_is_kept_is_found_by_its_tenant_and_nobody_else():
    held = shelf()
    held.keep("a", kept("k", vector=[1, 0]))
    assert held.find("a", "k", now=1) is not None
    assert held.find("b", "k", now=1) is None
    assert near(held, [1, 0], tenant="b") == []


def test_what_is_too_old_is_gone_for_both_ways_of_looking():
    held = shelf(ttl_s=60)
    held.keep("a", kept("k", vector=[1, 0], at=0))
    assert near(held, [1, 0], now=59) == ["k"]
    assert near(held, [1, 0], now=60) == []
    assert held.find("a", "k", now=60) is None
    assert (len(held), held.bytes) == (0, 0)


def test_near_ones_come_most_similar_first_and_of_their_scope_alone():
    held = shelf()
    held.keep("a", kept("far", vector=[0, 1]))
    held.keep("a", kept("like", vector=[0.8, 0.6]))
    held.keep("a", kept("same", vector=[1, 0]))
    held.keep("a", kept("elsewhere", vector=[1, 0], scope="t"))
    assert near(held, [1, 0], least=0.5) == ["same", "like"]


def test_vectors_of_another_encoder_are_not_compared():
    held = shelf()
    held.keep("a", kept("k", vector=[1, 0]))
    assert near(held, [1, 0, 0]) == []


def test_one_that_fills_the_room_drives_out_its_own_and_not_anothers():
    held = shelf(room=10 * SIZE)
    held.keep("b", kept("b", vector=[1, 0]))
    for number in range(50):
        held.keep("a", kept(f"a{number}", vector=[1, 0]))
    assert held.find("b", "b", now=0) is not None
    assert held.bytes <= 10 * SIZE
    assert held.find("a", "a0", now=0) is None
    assert held.find("a", "a49", now=0) is not None


def test_what_was_used_last_stays_longest():
    held = shelf(room=8 * SIZE)
    for number in range(8):
        held.keep("a", kept(f"k{number}"))
    held.find("a", "k0", now=0)
    held.keep("a", kept("new"))
    assert held.find("a", "k0", now=0) is not None
    assert held.find("a", "k1", now=0) is None


def test_one_answer_may_not_take_the_whole_room():
    held = shelf(room=10 * SIZE)
    assert not held.keep("a", kept("k", size=5 * SIZE))
    assert len(held) == 0


def test_forgetting_takes_one_tenants_or_all():
    held = shelf()
    held.keep("a", kept("k"))
    held.keep("b", kept("k"))
    assert held.forget("a") == 1
    assert held.find("b", "k", now=0) is not None
    assert held.forget() == 1
    assert (held.forget(), held.bytes) == (0, 0)


def test_a_large_answer_weighs_more():
    assert weigh({"a": "x" * 10_000}, None, 0) > 10_000
    assert weigh({}, "y" * 10_000, 384) > 11_000


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"), st.integers(0, 12), st.floats(0, 99), st.integers(1, SIZE)
        ),
        max_size=60,
    )
)
def test_bytes_are_those_of_what_is_held_whatever_happens(steps):
    held = shelf(room=8 * SIZE, ttl_s=50)
    for tenant, number, now, size in steps:
        match number % 4:
            case 0:
                held.find(tenant, f"k{number}", now=now)
            case 1 | 2:
                held.keep(tenant, kept(f"k{number}", vector=[1, 0], at=now, size=size))
            case _:
                held.prune(now=now)
    assert held.bytes <= 8 * SIZE
    before = held.bytes
    assert held.forget() * SIZE >= before
    assert (len(held), held.bytes) == (0, 0)


@pytest.mark.parametrize("number", [0, 1])
def test_keeping_the_same_again_keeps_one(number):
    held = shelf()
    for _ in range(number + 2):
        held.keep("a", kept("k", vector=[1, 0]))
    assert (len(held), held.bytes) == (1, SIZE)
    assert near(held, [1, 0]) == ["k"]
