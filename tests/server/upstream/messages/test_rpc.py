"""Requests in flight: what came before anybody waited is not lost."""

import pytest

from toolcrib_server.upstream.messages.rpc import Calls

pytestmark = pytest.mark.anyio


async def test_a_result_that_came_before_the_wait_is_given():
    calls = Calls()
    call = calls.open(1)
    calls.settle({"id": "1", "result": {"done": True}})
    calls.settle({"id": 1, "result": {"done": False}})
    assert await call.wait() == {"done": True}
