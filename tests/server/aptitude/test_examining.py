"""A test asks every question once, through the way out for models, and is remembered."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.errors import InvalidInput, NotCallable, NotFound, NotPermitted
from toolcrib_registry.types import Model, RatingSource
from toolcrib_server.aptitude.examining import Examiner
from toolcrib_server.aptitude.report import wilson
from toolcrib_server.aptitude.suite import built_in_suite, parse_suite
from toolcrib_server.invocation.models.picking import ModelPicker
from toolcrib_server.learning.mode import EVERYONE, Sharing
from toolcrib_server.routing.desk import RoutingDesk
from toolcrib_server.routing.learner import RoutingLearner
from toolcrib_server.routing.mode import RoutingMode
from toolcrib_server.sync.indexer import Indexer

pytestmark = pytest.mark.anyio

LINES = [
    {"id": "sum", "area": "arithmetic", "prompt": "2 + 2?", "verify": _pattern}
    for _pattern in [[{"kind": "pattern", "pattern": "^4$"}]]
] + [
    {"id": "odd", "area": "arithmetic", "prompt": "2 + 3?",
     "verify": [{"kind": "pattern", "pattern": "^5$"}]},
    {"id": "json", "area": "json", "prompt": "Four, as JSON.",
     "verify": [{"kind": "json-schema", "schema": {"const": 4}}]},
]  # fmt: skip
TASKS = parse_suite("\n".join(map(json.dumps, LINES)), name="the test's")


class Hall:
    """An examiner over a real store and provider; a model is registered by its mood."""

    def __init__(self, desk: Any, folder: Any, mode: RoutingMode = RoutingMode.ON) -> None:
        self.desk = desk
        indexer = Indexer(desk.store, open_encoder=HashEncoder, folder=folder / "index")
        learner = RoutingLearner(desk.store, indexer.index, mode=mode, sharing=Sharing.PRINCIPAL)
        self.routing = RoutingDesk(desk.store, learner, keep=1_000)
        nobody = cast("Any", SimpleNamespace())
        picker = ModelPicker(desk.store, nobody)
        self.examiner = Examiner(picker, desk.invoker, self.routing)

    def register(self, mood: str, name: str = "m", **more: Any) -> None:
        pick = self.desk.pick(mood, model=name, **more)
        self.desk.store.add_model(pick.candidate.model, actor="test")

    async def sit(self, name: str = "m", tasks: Any = TASKS, **more: Any) -> Any:
        sitting = await self.examiner.prepare(name, tasks, principal="key-1")
        return await self.examiner.examine(sitting, principal="key-1", **more)


@pytest.fixture
def hall(desk, tmp_path):
    return Hall(desk, tmp_path)


async def test_right_answers_are_counted_by_area_with_how_far_that_can_be_trusted(hall):
    hall.register("says:4")
    report = await hall.sit()
    assert [(one.task.id, one.passed) for one in report.results] == [
        ("sum", True),
        ("odd", False),
        ("json", True),
    ]
    arithmetic, structured = report.areas
    assert (arithmetic.area, arithmetic.right, arithmetic.asked) == ("arithmetic", 1, 2)
    assert (structured.right, structured.asked) == (1, 1)
    assert (report.total.right, report.total.asked, report.stopped) == (2, 3, None)
    assert report.total.low < 2 / 3 < report.total.high
    assert report.cost_usd == pytest.approx(3 * 12 / 1e6)


async def test_each_question_is_asked_once_at_temperature_0_and_recorded_in_the_audit(hall):
    hall.register("says:4")
    seen: list[tuple[int, int]] = []
    await hall.sit(on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert {body["temperature"] for body in hall.desk.provider.bodies} == {0}
    await hall.desk.audit.flush()
    assert {(r.face, r.principal) for r in hall.desk.store.list_calls()} == {("aptitude", "key-1")}


async def test_what_it_may_cost_is_known_beforehand_and_nothing_is_called_for_it(hall):
    hall.register("says:4")
    hall.register("says:4", name="unpriced", price=None)
    hall.register("says:4", name="free", price=0.0)
    prepare = hall.examiner.prepare
    most = (await prepare("m", TASKS, principal="key-1")).most_usd
    assert 3 * 512 / 1e6 < most < 3 * 700 / 1e6
    assert (await prepare("unpriced", TASKS, principal="key-1")).most_usd is None
    assert (await prepare("free", TASKS, principal="key-1")).most_usd == 0
    assert hall.desk.asked == []


async def test_what_came_of_it_is_kept_as_outcomes_and_a_second_test_takes_their_place(hall):
    hall.register("says:4")
    first = await hall.sit()
    await hall.examiner.record(first, principal="local", tenant=EVERYONE)
    report = await hall.sit()
    recorded = await hall.examiner.record(report, principal="local", tenant=EVERYONE)
    assert (recorded.added, recorded.taken) == (0, 3)
    kept = hall.desk.store.routing.list_outcomes(EVERYONE)
    assert {(one.query, one.score, one.source) for one in kept} == {
        ("2 + 2?", 1.0, RatingSource.APTITUDE),
        ("2 + 3?", 0.0, RatingSource.APTITUDE),
        ("Four, as JSON.", 1.0, RatingSource.APTITUDE),
    }
    assert all(one.cost_usd and one.latency_ms for one in kept)


async def test_failures_are_no_outcomes_and_where_nothing_is_answered_it_stops(hall):
    hall.register("forbidden")
    report = await hall.sit(tasks=built_in_suite())
    assert report.stopped is not None
    assert "Wrong key" in report.stopped
    assert (report.answered, report.total.asked) == ((), 0)
    assert len(hall.desk.asked) < 10
    recorded = await hall.examiner.record(report, principal="local", tenant=EVERYONE)
    assert recorded.taken == 0


async def test_a_budget_that_is_spent_ends_it_and_keeps_what_was_answered(opened_desk, tmp_path):
    async with opened_desk(budgets={"key-1": 0.0011}) as desk:
        hall = Hall(desk, tmp_path)
        hall.register("says:4")
        report = await hall.sit(tasks=built_in_suite())
    assert report.stopped is not None
    assert "may spend 0.0011 USD" in report.stopped
    assert len(report.results) < len(built_in_suite())


async def test_a_model_that_refuses_a_parameter_is_asked_without_it(hall):
    hall.register("refuses")
    report = await hall.sit()
    assert {"temperature" in body for body in hall.desk.provider.bodies} == {True, False}
    assert all(one.error is not None for one in report.results)


async def test_models_that_cannot_be_called_are_refused_before_anything_is_asked(hall):
    hall.desk.store.add_model(Model(name="known-only"), actor="test")
    hall.register("says:4", name="there")
    with pytest.raises(NotCallable, match="no endpoint"):
        await hall.sit("known-only")
    with pytest.raises(NotFound, match="there"):
        await hall.sit("their")
    with pytest.raises(InvalidInput, match="of one model"):
        await hall.sit("auto")


async def test_where_outcomes_are_not_kept_the_test_can_still_be_taken(desk, tmp_path):
    hall = Hall(desk, tmp_path, RoutingMode.OFF)
    hall.register("says:4")
    report = await hall.sit()
    with pytest.raises(NotPermitted, match="TOOLCRIB_ROUTING"):
        await hall.examiner.record(report, principal="local", tenant=EVERYONE)


async def test_answers_of_another_kind_than_text_are_wrong_and_break_nothing(hall):
    hall.register("says:")
    report = await hall.sit()
    assert report.total.right == 0
    assert replace(report).stopped is None


@given(st.integers(0, 200), st.integers(0, 200))
def test_the_interval_holds_the_share_and_narrows(right, wrong):
    total = right + wrong
    low, high = wilson(right, total)
    assert 0 <= low <= high <= 1
    if total:
        assert low <= right / total + 1e-9
        assert high >= right / total - 1e-9
        assert high - low <= 1.65 / total**0.5 + 1e-9
