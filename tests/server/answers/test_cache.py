"""An answer is given again to who may have it, for the same question, and it is said."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from toolcrib_registry.errors import StoreError
from toolcrib_server.answers.cache import AnswerCache
from toolcrib_server.answers.lookup import CacheOutcome, CacheSettings
from toolcrib_server.answers.question import Asked
from toolcrib_server.answers.showing import cache_headers, cache_view
from toolcrib_server.answers.wish import CacheMode, read_wish
from toolcrib_server.learning.mode import Sharing
from toolcrib_server.selection.models import NO_LIMITS

pytestmark = pytest.mark.anyio

PARIS = {
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Paris"}, "finish_reason": "stop"}
    ]
}
QUESTION = "What is the capital of France?"
REWORDED = "Could you tell me what's the capital of France?"


@dataclass
class OneDirection:
    """An encoder to which all texts are alike: then the words alone decide."""

    tokens: int = 5
    fails: bool = False
    encoded: list[str] = field(default_factory=list)

    async def embed(self, texts):
        if self.fails:
            raise StoreError("the index is gone")
        self.encoded += texts
        return "one", [[1.0, 0.0] for _ in texts], self.tokens * len(texts)


@dataclass
class Counter:
    cache: AnswerCache
    desk: Any
    clock: Any
    embedder: OneDirection

    def asked(self, text=QUESTION, *, principal="key-1", wish=None, **body) -> Asked:
        return Asked(
            tenant=self.cache.tenant_of(principal),
            model="auto",
            body={"temperature": 0, "messages": [{"role": "user", "content": text}], **body},
            constraints=NO_LIMITS,
            objective=None,
            wish=read_wish(wish),
        )

    async def look(self, text=QUESTION, *, principal="key-1", picks=("ok",), **more):
        asked = self.asked(text, principal=principal, **more)
        offers = [self.desk.pick(name) for name in picks]
        return await self.cache.look(asked, offers, principal=principal, face="test")

    async def answer(self, text=QUESTION, **more):
        looked = await self.look(text, **more)
        self.cache.keep(looked, pick=self.desk.pick("ok"), answer=PARIS, cost_usd=0.5)


@pytest.fixture
def counter(desk):
    def made(mode=CacheMode.SEMANTIC, **decided):
        embedder = OneDirection()
        settings = CacheSettings(mode=mode, **decided)
        cache = AnswerCache(embedder, settings, audit=desk.audit, now=desk.clock.monotonic)
        return Counter(cache, desk, desk.clock, embedder)

    return made


async def test_the_same_question_is_answered_again_with_its_age_and_nothing_is_encoded(counter):
    at = counter(mode=CacheMode.EXACT)
    await at.answer()
    at.clock.seconds = 30
    found = await at.look()
    assert (found.outcome, found.kept.answer) == (CacheOutcome.EXACT, PARIS)
    assert cache_view(found, shows_question=True) == {
        "outcome": "exact",
        "similarity": 1.0,
        "ageS": 30.0,
        "savedUsd": 0.5,
    }
    assert at.embedder.encoded == []


async def test_another_wording_of_the_same_is_answered_and_says_which_question_it_was(counter):
    at = counter()
    await at.answer()
    found = await at.look(REWORDED)
    assert found.outcome is CacheOutcome.NEAR
    assert cache_view(found, shows_question=True)["question"] == QUESTION
    assert "question" not in cache_view(found, shows_question=False)
    assert cache_headers(found)["x-toolcrib-cache"] == "near"


async def test_a_like_question_that_asks_something_else_is_a_miss_however_alike_it_is(counter):
    at = counter()
    await at.answer()
    found = await at.look("What is the capital of Spain?")
    assert found.outcome is CacheOutcome.MISS
    assert found.reason == "a similar question asks something else: names differ"
    assert at.cache.totals.refusals == {"names differ": 1}


async def test_an_operator_who_allows_the_same_question_alone_gets_no_near_ones(counter):
    at = counter(mode=CacheMode.EXACT)
    await at.answer()
    assert (await at.look(REWORDED)).outcome is CacheOutcome.MISS
    assert at.embedder.encoded == []


async def test_one_key_is_never_given_anothers_answer_unless_the_operator_shares_them(counter):
    at = counter()
    await at.answer()
    for text in (QUESTION, REWORDED):
        assert (await at.look(text, principal="key-2")).outcome is CacheOutcome.MISS
    shared = counter(sharing=Sharing.EVERYONE)
    await shared.answer()
    assert (await shared.look(principal="key-2")).outcome is CacheOutcome.EXACT
    assert shared.cache.is_shared


async def test_an_answer_of_who_may_not_answer_now_is_not_given(counter):
    at = counter()
    await at.answer()
    for text in (QUESTION, REWORDED):
        assert (await at.look(text, picks=("big",))).outcome is CacheOutcome.MISS
    assert (await at.look(picks=("big", "ok"))).outcome is CacheOutcome.EXACT


async def test_after_its_time_it_is_asked_anew(counter):
    at = counter(ttl_s=60.0)
    await at.answer()
    at.clock.seconds = 60
    assert (await at.look()).outcome is CacheOutcome.MISS
    assert at.cache.totals.answers == 0


async def test_who_wants_a_new_answer_has_it_kept_in_the_place_of_the_old(counter):
    at = counter()
    await at.answer()
    looked = await at.look(wish="refresh")
    assert looked.outcome is CacheOutcome.MISS
    lyon = {"choices": [{"message": {"content": "Lyon"}, "finish_reason": "stop"}]}
    at.cache.keep(looked, pick=at.desk.pick("ok"), answer=lyon, cost_usd=None)
    assert (await at.look()).kept.answer == lyon


async def test_who_declines_is_left_alone_and_nothing_is_kept_of_it(counter):
    at = counter()
    await at.answer(wish="off")
    assert (await at.look()).outcome is CacheOutcome.MISS
    assert (await at.look(wish=False)).outcome is CacheOutcome.SKIPPED


async def test_what_is_longer_than_the_encoder_reads_is_known_to_the_letter_alone(counter):
    at = counter()
    at.embedder.tokens = 201
    await at.answer()
    assert (await at.look(REWORDED)).outcome is CacheOutcome.MISS
    assert (await at.look()).outcome is CacheOutcome.EXACT


async def test_without_an_encoder_the_same_question_is_still_known(counter):
    at = counter()
    at.embedder.fails = True
    await at.answer()
    assert (await at.look()).outcome is CacheOutcome.EXACT
    assert (await at.look(REWORDED)).outcome is CacheOutcome.MISS


async def test_forgetting_is_of_one_or_of_all(counter):
    at = counter()
    await at.answer()
    await at.answer(principal="key-2")
    assert at.cache.forget("key-1") == 1
    assert (await at.look(principal="key-2")).outcome is CacheOutcome.EXACT
    assert at.cache.forget() == 1


async def test_what_it_did_and_saved_is_counted_and_who_was_given_what_is_recorded(counter):
    at = counter()
    await at.answer()
    await at.look()
    await at.look(tools=[{"type": "function"}])
    totals = at.cache.totals
    assert totals.outcomes == {
        CacheOutcome.MISS: 1,
        CacheOutcome.EXACT: 1,
        CacheOutcome.SKIPPED: 1,
    }
    assert (totals.saved_usd, totals.answers) == (0.5, 1)
    await at.desk.audit.flush()
    (record,) = at.desk.store.list_calls()
    assert (record.principal, record.argument_shape) == ("key-1", {"cache": "exact"})
    assert record.subject == "model:ok"


async def test_a_prompt_of_a_megabyte_is_not_kept_and_costs_no_time(counter):
    at = counter()
    await at.answer("why? " * 200_000)
    assert at.cache.totals.answers == 0


async def test_answers_that_are_kept_take_no_more_room_than_they_are_given(counter):
    at = counter(room_bytes=50_000)
    long = {"choices": [{"message": {"content": "x" * 1_000}, "finish_reason": "stop"}]}
    for number in range(40):
        looked = await at.look(f"What is {number} squared?")
        at.cache.keep(looked, pick=at.desk.pick("ok"), answer=long, cost_usd=None)
    assert 0 < at.cache.totals.bytes <= 50_000
    assert replace(at.cache.totals).answers < 40


async def test_likeness_below_the_threshold_is_not_looked_at(counter):
    at = counter(least_similarity=0.9)
    await at.answer()

    async def embed(texts):
        return "one", [[0.8, 0.6]], 5

    at.embedder.embed = embed
    assert np.isclose(np.dot([1, 0], [0.8, 0.6]), 0.8)
    found = await at.look(REWORDED)
    assert (found.outcome, found.reason) == (CacheOutcome.MISS, None)
