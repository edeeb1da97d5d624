"""Small model first: a larger one is asked only when a check says so, and every call is counted."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from toolcrib_registry.errors import BudgetExceeded, InvalidInput, UpstreamError
from toolcrib_server.cascade.calibration import Threshold
from toolcrib_server.cascade.checks import Checker
from toolcrib_server.cascade.climbing import Cascade, by_cost
from toolcrib_server.cascade.plan import read_plan
from toolcrib_server.cascade.showing import climb_line, climb_view
from toolcrib_server.selection.constraint import Constraints
from toolcrib_server.selection.models import NO_LIMITS

pytestmark = pytest.mark.anyio

IS_EVEN = (
    "import json, sys; given = json.load(sys.stdin); n = int(given['answer']); "
    "print(f'{n} is odd') if n % 2 else None; sys.exit(n % 2)"
)


@dataclass
class Climb:
    """A desk with a cascade over it; named models are the desk's moods."""

    desk: Any
    threshold: Threshold = field(default_factory=lambda: Threshold(0.6, "for the test"))
    recorded: list[tuple[str, float | None]] = field(default_factory=list)
    limits: Constraints = NO_LIMITS
    limited: list[tuple[str, Constraints]] = field(default_factory=list)

    async def pick(self, name, body, *, constraints=NO_LIMITS, principal="local"):
        self.limited.append((name, constraints))
        return (self.desk.pick(name),)

    async def record(self, principal, task, steps):
        self.recorded += [(step.model, step.score) for step in steps]

    async def find_threshold(self, principal):
        return self.threshold

    async def __call__(self, *picks, plan: Any = True, **more):
        commands = {"even": (sys.executable, "-c", IS_EVEN), "gone": ("/no/such/program",)}
        checker = Checker(commands)
        cascade = Cascade(
            self,  # type: ignore[arg-type]
            self.desk.invoker,
            checker,
            find_threshold=self.find_threshold,
            record=self.record,
        )
        order = self.desk.order(*picks, **more)
        read = read_plan(plan, order.body, commands=cascade.commands)
        return await cascade.climb(order, read, constraints=self.limits)


@pytest.fixture
def climb(desk) -> Climb:
    return Climb(desk)


def text(climbed) -> str:
    return climbed.answered.answer["choices"][0]["message"]["content"]


def pattern(value: str, *models: str) -> dict[str, Any]:
    return {"verify": [{"kind": "pattern", "pattern": value}], "models": list(models)}


async def test_the_small_models_answer_is_kept_where_the_check_accepts_it(climb, desk):
    climbed = await climb(plan=pattern("^4", "says:42", "says:43"))
    assert (text(climbed), climbed.accepted) == ("42", True)
    assert desk.asked == ["says:42"]


async def test_a_larger_model_is_asked_where_the_check_rejects(climb, desk):
    climbed = await climb(plan=pattern("^43$", "says:42", "says:43", "says:44"))
    assert text(climbed) == "43"
    assert desk.asked == ["says:42", "says:43"]
    assert climb_line(climbed) == (
        "says:42 rejected: the pattern is not found in it; "
        "says:43 accepted: the pattern is found in it"
    )
    assert climb.recorded == [("says:42", 0.0), ("says:43", 1.0)]


async def test_the_cost_is_that_of_every_call_not_of_the_last(climb):
    climbed = await climb(plan=pattern("^43$", "says:42", "says:43"))
    assert climbed.cost_usd == pytest.approx(2 * 12 / 1e6)
    assert climb_view(climbed)["costUsd"] == pytest.approx(2 * 12 / 1e6)


async def test_where_none_is_accepted_the_best_is_given_and_said_to_be_unaccepted(climb):
    plan = {"verify": [{"kind": "self-consistency", "samples": 4}], "models": []}
    plan |= {"models": ["says:a|a|b|b", "says:a|b|c|d"], "accept": 0.9}
    climbed = await climb(plan=plan)
    assert (text(climbed), climbed.accepted) == ("a", False)
    assert [step.score for step in climbed.steps] == [0.5, 0.25]


async def test_a_model_that_fails_is_passed_and_named(climb):
    climbed = await climb(plan=pattern("^43$", "broken", "says:43"))
    assert (text(climbed), climbed.accepted) == ("43", True)
    (said,) = [step["error"] for step in climb_view(climbed)["steps"][:1]]
    assert said == "Provider 'acme' failed: HTTP 500: Out of memory."


async def test_where_all_fail_the_first_error_is_told(climb):
    with pytest.raises(UpstreamError, match="Out of memory"):
        await climb(plan=pattern("x", "broken", "drops"))


async def test_answers_that_agree_are_accepted_whatever_their_case_and_points(climb):
    plan = {"verify": ["self-consistency"], "models": ["says:Paris.|paris|Lyon", "ok"]}
    climbed = await climb(plan=plan)
    assert climbed.accepted
    assert climbed.steps[0].score == pytest.approx(2 / 3)
    assert climb_view(climbed)["steps"][0]["calls"] == 3


async def test_samples_are_asked_for_at_a_temperature_and_without_the_seed(climb, desk):
    plan = {"verify": ["self-consistency"], "models": ["says:a"]}
    await climb(plan=plan, temperature=0, seed=7)
    first, *again = desk.provider.bodies
    assert (first["temperature"], first["seed"]) == (0, 7)
    assert [(body["temperature"], "seed" in body) for body in again] == [(0.7, False)] * 2


async def test_a_schema_rejects_what_is_no_json_and_what_does_not_fit(climb):
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    plan = {"verify": [{"kind": "json-schema", "schema": schema}]}
    plan |= {"models": ["ok", 'says:{"n": "x"}', 'says:{"n": 1}']}
    climbed = await climb(plan=plan)
    details = [step.verdicts[0].detail for step in climbed.steps]
    assert details[0].startswith("it is not JSON")
    assert details[1].startswith("n: 'x' is not of type")
    assert climbed.accepted


async def test_a_program_of_the_operator_decides_and_its_last_words_are_told(climb):
    plan = {"verify": [{"kind": "command", "name": "even"}], "models": ["says:41", "says:42"]}
    climbed = await climb(plan=plan)
    assert climbed.steps[0].verdicts[0].detail == "41 is odd"
    assert climbed.steps[0].verdicts[0].made
    assert text(climbed) == "42"


async def test_a_program_that_cannot_be_run_rejects_and_says_so(climb):
    plan = {"verify": [{"kind": "command", "name": "gone"}], "models": ["ok"]}
    climbed = await climb(plan=plan)
    assert not climbed.accepted
    assert "cannot be run" in climbed.steps[0].verdicts[0].detail
    assert not climbed.steps[0].verdicts[0].made


async def test_a_judges_last_grade_counts_and_its_call_is_paid_for(climb):
    judge = "says:Grade: 10 would be wrong. Grade: 3|Right. Grade: 9"
    plan = {"verify": [{"kind": "judge", "model": judge}], "models": ["says:5", "says:6"]}
    climbed = await climb(plan=plan)
    assert [step.score for step in climbed.steps] == [0.3, 0.9]
    assert text(climbed) == "6"
    assert climbed.cost_usd == pytest.approx(4 * 12 / 1e6)


async def test_a_judge_is_held_to_the_limits_of_the_request(climb):
    climb.limits = Constraints(regions=frozenset({"eu"}))
    plan = {"verify": [{"kind": "judge", "model": "says:Grade: 9"}], "models": ["ok"]}
    await climb(plan=plan)
    assert climb.limited == [("ok", climb.limits), ("says:Grade: 9", climb.limits)]


@pytest.mark.parametrize(("words", "score"), [("Grade: 7.", 0.7), ("So: **Grade: 10.**", 1.0)])
async def test_a_grade_that_ends_a_sentence_counts(climb, words, score):
    plan = {"verify": [{"kind": "judge", "model": f"says:{words}"}], "models": ["ok"]}
    assert (await climb(plan=plan)).steps[0].score == score


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"multipleOf": 0.5}, "1" * 400),
        ({"$id": "http://[", "properties": {"a": {"$id": "http://[x"}}}, '{"a": 1}'),
    ],
)
async def test_a_schema_that_the_validator_stumbles_over_rejects(climb, schema, said):
    plan = {"verify": [{"kind": "json-schema", "schema": schema}], "models": [f"says:{said}"]}
    climbed = await climb(plan=plan)
    assert not climbed.accepted
    assert "cannot be applied" in climbed.steps[0].verdicts[0].detail


@pytest.mark.parametrize("words", ["Fine.", "Grade: 7.5", "Grade: 99", "Grade: eleven", "Grade: -"])
async def test_a_judge_without_a_grade_rejects(climb, words):
    plan = {"verify": [{"kind": "judge", "model": f"says:{words}"}], "models": ["ok"]}
    climbed = await climb(plan=plan)
    assert climbed.steps[0].verdicts[0].score == 0
    assert not climbed.steps[0].verdicts[0].made
    assert not climbed.accepted


async def test_a_cheap_check_that_rejects_spares_the_dear_ones(climb, desk):
    plan = {
        "verify": [{"kind": "judge", "model": "says:Grade: 9"}, {"kind": "pattern", "pattern": "x"}]
    }
    await climb(plan=plan | {"models": ["says:5"]})
    assert desk.asked == ["says:5"]


async def test_a_pattern_that_would_never_end_rejects_in_time(climb):
    plan = pattern("^(a|aa)+$", "says:" + "a" * 60 + "b")
    climbed = await climb(plan=plan)
    assert not climbed.accepted


async def test_of_ranked_models_the_cheaper_come_first_and_the_best_last(climb, desk):
    best, cheap = desk.pick("says:best", price=9.0), desk.pick("says:cheap", price=0.1)
    middle, dear = desk.pick("says:mid", price=1.0), desk.pick("says:dear", price=20.0)
    unknown = desk.pick("says:unknown", price=None)
    order = desk.order(best, dear, unknown, middle, cheap)
    names = [picks[0].candidate.model.name for picks in by_cost(order, 3)]
    assert names == ["says:cheap", "says:mid", "says:best"]
    climbed = await climb(best, cheap, plan=pattern("^best$"))
    assert [step.model for step in climbed.steps] == ["says:cheap", "says:best"]


async def test_one_model_is_no_cascade(climb, desk):
    with pytest.raises(InvalidInput, match="at least two models"):
        await climb(desk.pick("ok"), plan=pattern("x"))


async def test_a_key_that_has_spent_its_budget_climbs_no_further(opened_desk, tmp_path: Path):
    async with opened_desk(budgets={"*": 0.0000001}) as desk:
        climb = Climb(desk)
        with pytest.raises(BudgetExceeded):
            await climb(plan=pattern("x", "says:1", "says:2"))
        assert desk.asked == []


async def test_the_deadline_is_that_of_the_whole_climb(climb):
    with pytest.raises(UpstreamError):
        await climb(plan=pattern("x", "hangs", "says:5"), timeout_s=0.4)
