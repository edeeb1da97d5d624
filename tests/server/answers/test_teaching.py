"""What came of examples counts, and nobody is shown what is another tenant's."""

from dataclasses import dataclass
from typing import Any

import pytest

from toolcrib_server.answers.cache import AnswerCache
from toolcrib_server.answers.lookup import CacheSettings
from toolcrib_server.answers.question import Asked
from toolcrib_server.answers.teaching import Rating
from toolcrib_server.answers.wish import CacheMode, read_wish
from toolcrib_server.selection.constraint import Constraints
from toolcrib_server.selection.models import NO_LIMITS

pytestmark = pytest.mark.anyio

SUM = "What is 2 + 2? The number alone."
OTHER = "What is 3 + 5? The number alone."


def said(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


class Alike:
    """An encoder to which all texts are alike."""

    async def embed(self, texts):
        return "one", [[1.0, 0.0] for _ in texts], len(texts)


@dataclass
class School:
    cache: AnswerCache
    desk: Any

    async def look(self, text, model, *, principal="key-1", wish=None, limits=NO_LIMITS, **body):
        pick = self.desk.pick(model, price=10.0 if model == "big" else 1.0)
        asked = Asked(
            tenant=self.cache.tenant_of(principal),
            model=model,
            body={"temperature": 0, "messages": [{"role": "user", "content": text}], **body},
            constraints=limits,
            objective=None,
            wish=read_wish(wish),
        )
        looked = await self.cache.look(asked, [pick], principal=principal, face="test")
        return looked, pick

    async def teach(self, text=SUM, answer="4", **more):
        looked, pick = await self.look(text, "big", **more)
        self.cache.keep(looked, pick=pick, answer=said(answer), cost_usd=0.1)

    async def shown(self, text=OTHER, model="ok", **more) -> list[str]:
        looked, pick = await self.look(text, model, **more)
        examples = self.cache.teaching.examples_for(
            looked.question, looked.vector, [pick.candidate]
        )
        return [str(example.kept.text) for example in examples]

    def rate(self, score=1.0, *, principal="key-1", text=SUM, model="big") -> int:
        rating = Rating(query=text, model=model, score=score)
        return self.cache.teaching.rate(self.cache.tenant_of(principal), [rating])


@pytest.fixture
def school(desk):
    def made(mode=CacheMode.EXAMPLES):
        settings = CacheSettings(mode=mode)
        return School(AnswerCache(Alike(), settings, now=desk.clock.monotonic), desk)

    return made


async def test_a_rated_answer_of_a_larger_model_is_shown_to_a_smaller_one(school):
    at = school()
    await at.teach()
    assert await at.shown() == []
    assert at.rate() == 1
    assert await at.shown() == [SUM]
    assert at.cache.totals.examples == 1


async def test_a_larger_model_is_shown_nothing_of_a_smaller_one(school):
    at = school()
    looked, pick = await at.look(SUM, "ok")
    at.cache.keep(looked, pick=pick, answer=said("4"), cost_usd=0.1)
    at.rate(model="ok")
    assert await at.shown(model="big") == []


async def test_nobody_is_shown_what_is_anothers_and_nobody_rates_it(school):
    at = school()
    await at.teach()
    assert at.rate(principal="key-2") == 0
    at.rate()
    assert await at.shown(principal="key-2") == []


async def test_other_modes_and_who_wants_less_are_shown_nothing(school):
    at = school()
    await at.teach()
    at.rate()
    for wish in ("off", "exact", "semantic", "refresh"):
        assert await at.shown(wish=wish) == []
    below = school(CacheMode.SEMANTIC)
    await below.teach()
    below.rate()
    assert await below.shown() == []


@pytest.mark.parametrize(
    "body",
    [
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
        {"tools": [{"type": "function"}]},
        {
            "messages": [
                {"role": "system", "content": "In French."},
                {"role": "user", "content": "2"},
            ]
        },
        {
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "b"},
                {"role": "user", "content": OTHER},
            ]
        },
    ],
    ids=["another form", "tools", "other instructions", "a conversation"],
)
async def test_only_a_single_question_of_the_same_form_is_shown_any(school, body):
    at = school()
    await at.teach()
    at.rate()
    assert await at.shown(**body) == []


async def test_the_same_schema_is_the_same_form(school):
    at = school()
    form = {"response_format": {"type": "json_schema", "json_schema": {"schema": {"a": 1}}}}
    await at.teach(**form)
    at.rate()
    assert await at.shown(**form) == [SUM]


async def test_limits_on_who_may_read_keep_questions_apart_and_prices_do_not(school):
    at = school()
    await at.teach(limits=Constraints(regions=frozenset({"eu"})))
    at.rate()
    assert await at.shown() == []
    cheap = Constraints(regions=frozenset({"eu"}), max_price_in_usd=2.0)
    assert await at.shown(limits=cheap) == [SUM]


async def test_an_example_after_which_answers_are_bad_is_shown_no_more(school):
    at = school()
    await at.teach()
    at.rate()
    looked, pick = await at.look(OTHER, "ok")
    shown = at.cache.teaching.examples_for(looked.question, looked.vector, [pick.candidate])
    at.cache.keep(looked, pick=pick, answer=said("9"), cost_usd=0.1, examples=shown)
    at.rate(0.0, text=OTHER, model="ok")
    assert await at.shown("What is 1 + 1? The number alone.") == []


async def test_a_checked_answer_is_an_example_and_is_never_given_again(school):
    at = school()
    looked, pick = await at.look(SUM, "big")
    at.cache.keep(looked, pick=pick, answer=said("4"), cost_usd=0.1, is_checked=True)
    assert await at.shown() == [SUM]
    again, _ = await at.look(SUM, "big")
    assert again.kept is None


async def test_forgotten_answers_are_no_examples_and_old_ones_neither(school, desk):
    at = school()
    await at.teach()
    at.rate()
    at.cache.forget("key-1")
    assert await at.shown() == []
    await at.teach()
    at.rate()
    desk.clock.seconds += 4_000
    assert await at.shown() == []
