"""Requests in flight: what came before anybody waited is not lost."""

import pytest

from toolcrib_server.upstream.rpc import Calls

pytestmark = pytest.mark.anyio


async def test_progress_and_result_that_came_before_the_wait_are_both_given():
    steps = []
    calls = Calls()
    call = calls.open(1, lambda *step: steps.append(step))
    calls.progress({"progressToken": 1, "progress": 1, "total": 2})
    calls.progress({"progressToken": 1, "progress": 2, "total": 2})
    calls.settle({"id": 1, "result": {"done": True}})
    assert await call.wait() == {"done": True}
    assert steps == [(1.0, 2.0, None), (2.0, 2.0, None)]


async def test_progress_nobody_asked_for_holds_nothing_up():
    calls = Calls()
    call = calls.open(1, None)
    calls.progress({"progressToken": 1, "progress": 1})
    calls.settle({"id": 1, "result": {}})
    assert await call.wait() == {}
