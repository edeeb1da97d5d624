"""Policies: the nearest word counts, and nonsense is named."""

from typing import Any

import pytest

from toolcrib_registry.errors import InvalidConfig
from toolcrib_registry.types import ServerName
from toolcrib_server.invocation.rules.policy import CallPolicy, OutputCheck, Policies

SHOP = ServerName("shop")


def test_without_words_everything_is_at_its_default() -> None:
    assert Policies().of(SHOP, "shop__read") == CallPolicy()


def test_a_tool_overrides_its_server_and_a_server_all() -> None:
    policies = Policies(
        {
            "*": {"retries": 1, "cache_s": 5, "output": "refuse"},
            "shop": {"cache_s": 10, "concurrency": 4},
            "shop__read": {"cache_s": 0.5},
        }
    )
    tool = policies.of(SHOP, "shop__read")
    assert (tool.retries, tool.cache_s, tool.concurrency) == (1, 0.5, 4)
    assert tool.output is OutputCheck.REFUSE
    assert policies.of(SHOP, "shop__write").cache_s == 10
    assert policies.of(ServerName("other")).cache_s == 5


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"shop": 5}, "shop: is no JSON object"),
        ({"shop": {"retires": 1}}, "shop.retires: is not known. Known are: concurrency, queue"),
        ({"shop": {"retries": "1"}}, "shop.retries: is not a whole number"),
        ({"shop": {"retries": True}}, "shop.retries: is not a whole number"),
        ({"shop": {"retries": 11}}, "shop.retries: is 11. It is from 0 to 10"),
        ({"shop": {"concurrency": 0}}, "shop.concurrency: is 0. It is from 1"),
        ({"shop": {"cache_s": float("nan")}}, "shop.cache_s: is not a number"),
        ({"shop": {"cache_s": -1}}, "shop.cache_s: is -1"),
        ({"shop": {"output": "shout"}}, "shop.output: is not known. Known are: off, warn, refuse"),
        ({"shop": {"breaker": 1}}, "shop.breaker: is neither true nor false"),
        ({"shop__read": {"queue": 1}}, "shop__read.queue: is of a whole server.* Use 'shop'"),
    ],
)
def test_nonsense_is_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidConfig, match=f"TOOLCRIB_CALL_POLICY: {said}"):
        Policies(given)
