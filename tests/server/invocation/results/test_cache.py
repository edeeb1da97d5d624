"""What is kept of read-only tools: as old as allowed, as much as fits, never another's."""

from typing import Any

import pytest

from toolcrib_registry.types import Server, ServerName, StdioTransport, Tool
from toolcrib_server.invocation.errands.book import Target
from toolcrib_server.invocation.errands.deadline import Deadline
from toolcrib_server.invocation.errands.errand import CALL, Asker, Errand
from toolcrib_server.invocation.results.cache import AGE_KEY, Key, ResultCache
from toolcrib_server.invocation.rules.policy import CallPolicy
from toolcrib_server.upstream.messages.interaction import ALONE, Interaction, Profile

SERVER = Server(name=ServerName("shop"), transport=StdioTransport("shop"))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def nobody(**_: Any) -> dict[str, Any]:
    return {}


def errand(
    *,
    content_hash: str = "a",
    cache_s: float = 10,
    shared: bool = False,
    is_read_only: bool = True,
    principal: str = "me",
    interaction: Interaction = ALONE,
    **changes: Any,
) -> Errand:
    tool = Tool(
        name="shop__read",
        server=SERVER.name,
        local_name="read",
        definition={},
        content_hash=content_hash,
    )
    policy = CallPolicy(cache_s=cache_s, cache_shared=shared)
    given: dict[str, Any] = {
        "target": Target(server=SERVER, policy=policy, entry=tool, is_read_only=is_read_only),
        "method": CALL,
        "subject": tool.id,
        "given": {"b": 1, "a": [2]},
        "send": nobody,
        "asker": Asker(face="test", principal=principal, interaction=interaction),
        "deadline": Deadline(None, longest_s=60),
    }
    return Errand(**{**given, **changes})


def key_of(cache: ResultCache, **changes: Any) -> Key:
    key = cache.key_of(errand(**changes))
    assert key is not None
    return key


def test_a_kept_result_says_how_old_it_is_and_goes_after_its_time() -> None:
    clock = Clock()
    cache = ResultCache(now=clock)
    key = key_of(cache)
    cache.keep(key, {"content": [], "_meta": {"kept": 1}}, ttl_s=10)
    clock.now += 9.5
    assert cache.find(key) == {"content": [], "_meta": {"kept": 1, AGE_KEY: 9500}}
    clock.now += 0.5
    assert cache.find(key) is None
    assert cache.bytes == 0


def test_the_order_of_arguments_is_nothing() -> None:
    cache = ResultCache()
    assert key_of(cache) == key_of(cache, given={"a": [2], "b": 1})


@pytest.mark.parametrize(
    "changes",
    [
        {"principal": "you"},
        {"given": {"b": 1}},
        {"content_hash": "changed"},
        {"interaction": Interaction(profile=Profile(key="another"))},
    ],
)
def test_what_differs_is_kept_apart(changes: dict[str, Any]) -> None:
    cache = ResultCache()
    assert key_of(cache) != key_of(cache, **changes)


def test_what_is_shared_is_the_same_for_all() -> None:
    cache = ResultCache()
    assert key_of(cache, shared=True) == key_of(cache, shared=True, principal="you")


@pytest.mark.parametrize(
    "changes",
    [
        {"cache_s": 0},
        {"is_read_only": False},
        {"is_plain": False},
        {"given": {"long": "x" * 20_000}},
    ],
)
def test_of_some_calls_nothing_is_kept(changes: dict[str, Any]) -> None:
    assert ResultCache().key_of(errand(**changes)) is None


@pytest.mark.parametrize("result", [{"isError": True}, {"resultType": "input_required"}])
def test_only_the_last_word_is_kept_and_no_error(result: dict[str, Any]) -> None:
    cache = ResultCache()
    key = key_of(cache)
    cache.keep(key, {"content": [], **result}, ttl_s=10)
    assert cache.find(key) is None


def test_what_was_used_longest_ago_makes_room() -> None:
    cache = ResultCache(capacity_bytes=20_000)
    keys = [key_of(cache, given={"n": n}) for n in range(20)]
    for key in keys:
        cache.find(keys[0])
        cache.keep(key, {"content": [{"type": "text", "text": "x" * 1000}]}, ttl_s=10)
    assert cache.bytes <= 20_000
    assert cache.find(keys[0]) is not None
    assert cache.find(keys[1]) is None
    assert cache.find(keys[-1]) is not None


def test_images_count_and_what_is_too_large_is_not_kept() -> None:
    cache = ResultCache(capacity_bytes=20_000)
    key = key_of(cache)
    cache.keep(key, {"content": [{"type": "image", "data": "A" * 10_000}]}, ttl_s=10)
    assert cache.find(key) is None
    assert cache.bytes == 0
