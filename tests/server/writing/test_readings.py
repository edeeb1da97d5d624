"""A model reads a query where rules do not do justice to it, and no search waits for it long."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from toolcrib_server.invocation.models.picking import ModelPicker
from toolcrib_server.selection.reading import Read
from toolcrib_server.writing.author import Author
from toolcrib_server.writing.pace import Pace
from toolcrib_server.writing.readings import QueryReader

pytestmark = pytest.mark.anyio

TASK = "Book a flight to Lisbon on Friday and then reserve a hotel room near the centre"
STEPS = ("book a flight to Lisbon", "reserve a hotel room")
SPLIT = "says:" + json.dumps({"steps": STEPS})
INVENTED = "says:" + json.dumps({"steps": ["delete every file", "transfer money abroad"]})
GERMAN = "Wie wird das Wetter morgen in Hamburg?"
ENGLISH = "What will the weather be tomorrow in Hamburg?"
IN_ENGLISH = "says:" + json.dumps({"english": ENGLISH, "steps": ["get the weather in Hamburg"]})


@asynccontextmanager
async def reading(
    desk: Any,
    mood: str,
    *,
    name: str = "m",
    budget_s: float = 30.0,
    per_hour: int = 100,
    **more: Any,
) -> AsyncGenerator[QueryReader]:
    desk.store.put_model(desk.pick(mood, model=name).candidate.model, actor="test")
    picker = ModelPicker(desk.store, cast("Any", SimpleNamespace()))
    author = Author(name, picker, desk.invoker)
    pace = Pace(desk.store, "readings", per_hour)
    reader = QueryReader(desk.store, author, pace, budget_s=budget_s, **more)
    async with reader:
        yield reader


async def test_a_task_of_several_steps_is_read_once_and_remembered_also_by_the_next_process(desk):
    async with reading(desk, SPLIT) as reader:
        for _ in range(3):
            assert await reader.read(TASK) == Read("m", None, STEPS)
    async with reading(desk, SPLIT) as another:
        assert await another.read(f"  {TASK} ") == Read("m", None, STEPS)
    assert len(desk.asked) == 1


async def test_a_query_in_another_language_is_given_in_english(desk):
    async with reading(desk, IN_ENGLISH) as reader:
        assert await reader.read(GERMAN) == Read("m", ENGLISH, ("get the weather in Hamburg",))
    sent = json.dumps(desk.provider.bodies[0]["messages"], ensure_ascii=False)
    assert GERMAN in sent
    assert desk.provider.bodies[0]["response_format"]["type"] == "json_schema"


@pytest.mark.parametrize("query", ["weather in Paris", "", "   ", "x" * 2_001, "\x00\x01"])
async def test_what_needs_no_reading_is_never_sent(desk, query: str):
    async with reading(desk, SPLIT) as reader:
        assert await reader.read(query) is None
    assert desk.asked == []


@pytest.mark.parametrize("mood", ["ok", "says:{}", "says:[1]", "says:" + "x" * 100_000, INVENTED])
async def test_garbage_and_invented_steps_leave_it_to_the_rules_and_are_not_asked_for_again(
    desk, mood: str
):
    async with reading(desk, mood) as reader:
        assert await reader.read(TASK) is None
        assert await reader.read(TASK) is None
    assert len(desk.asked) == 1


async def test_a_model_that_hangs_holds_up_a_search_for_the_budget_alone(desk):
    async with reading(desk, "hangs", budget_s=0.1, timeout_s=60) as reader:
        began = time.monotonic()
        assert await reader.read(TASK) is None
        assert time.monotonic() - began < 15
        # The second search waits on the same reading, and asks for no other.
        assert await reader.read(TASK) is None
        assert len(desk.asked) == 1


async def test_what_comes_after_the_budget_is_there_the_next_time(desk):
    async with reading(desk, SPLIT, budget_s=0.0) as reader:
        assert await reader.read(TASK) is None
        with anyio.fail_after(30):
            while await reader.read(TASK) is None:
                await anyio.lowlevel.checkpoint()
        assert await reader.read(TASK) == Read("m", None, STEPS)
    assert len(desk.asked) == 1


async def test_a_model_that_fails_is_left_alone_for_a_while(desk):
    now = [0.0]
    async with reading(desk, "forbidden", clock=lambda: now[0]) as reader:
        assert await reader.read(TASK) is None
        assert await reader.read(f"{TASK}, please") is None
        assert len(desk.asked) == 1


async def test_a_model_that_is_gone_leaves_it_to_the_rules(desk):
    async with reading(desk, SPLIT) as reader:
        desk.store.remove_model("m", actor="test")
        assert await reader.read(TASK) is None
    assert desk.asked == []


async def test_no_more_is_asked_than_an_hour_allows(desk):
    async with reading(desk, SPLIT, per_hour=1) as reader:
        assert await reader.read(TASK) is not None
        assert await reader.read(f"{TASK}, please") is None
    assert len(desk.asked) == 1


async def test_a_spent_budget_leaves_it_to_the_rules(opened_desk):
    async with opened_desk(budgets={"writer": 0.0}) as desk, reading(desk, SPLIT) as reader:
        assert await reader.read(TASK) is None
        assert desk.asked == []


async def test_many_searches_at_once_ask_for_a_few_readings(desk):
    async with reading(desk, "hangs", budget_s=0.2, timeout_s=30) as reader:
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(reader.read, f"{TASK} number {number}")
        assert len(desk.asked) <= 4


async def test_leaving_ends_what_is_under_way(desk):
    with anyio.fail_after(30):
        async with reading(desk, "hangs", budget_s=0.05, timeout_s=60) as reader:
            await reader.read(TASK)
    await desk.audit.flush()
    assert {record.outcome for record in desk.store.list_calls()} <= {"cancelled"}
