"""One way out: the best offer that answers, no second token from another, and a true record."""

import sys

import anyio
import pytest

from toolcrib_registry.errors import (
    AnswerCut,
    BudgetExceeded,
    ContextTooLong,
    CredentialsRefused,
    InvalidInput,
    NotCallable,
    RateLimited,
    RequestRefused,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from toolcrib_registry.types import Launch
from toolcrib_server.invocation.figures.measured import offer_key
from toolcrib_server.invocation.figures.rolling import RollingFigures
from toolcrib_server.upstream.models.testing import WORDS

pytestmark = pytest.mark.anyio

ANSWER = "".join(WORDS)


async def text_of(desk, order):
    answered = await desk.invoker.chat(order)
    return answered.answer["choices"][0]["message"]["content"]


async def read(desk, order):
    words: list[str] = []
    async with desk.invoker.stream(order) as flow:
        async for chunk in flow.chunks():
            words.extend(c["delta"].get("content") or "" for c in chunk.choices)
    return flow, "".join(words)


# --- who answers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mood",
    ["rate-limited", "overloaded", "broken", "forbidden", "garbage", "cut", "drops", "too-long"],
)
async def test_the_next_offer_answers_where_the_first_fails(desk, mood):
    answered = await desk.invoker.chat(desk.order(mood, "ok"))
    assert answered.answer["choices"][0]["message"]["content"] == ANSWER
    assert answered.pick.candidate.model.name == "ok"
    assert [failed.candidate.model.name for failed in answered.failed] == [mood]


@pytest.mark.parametrize(
    "mood", ["rate-limited", "broken", "drops", "cut-early", "error-early", "ignores-stream"]
)
async def test_a_stream_falls_back_before_its_first_token(desk, mood):
    flow, text = await read(desk, desk.order(mood, "ok"))
    assert (flow.pick.candidate.model.name, text) == ("ok", ANSWER)
    assert [failed.candidate.model.name for failed in flow.failed] == [mood]


@pytest.mark.parametrize(
    ("mood", "kind"),
    [("cut", AnswerCut), ("error-in-stream", UpstreamError), ("stalls", UpstreamTimeout)],
)
async def test_nobody_else_is_asked_after_the_first_token(desk, mood, kind):
    with pytest.raises(kind):
        await read(desk, desk.order(mood, "ok"))
    assert desk.asked == [mood]


async def test_a_request_that_is_refused_goes_to_another_model_only(desk):
    same = [desk.pick("refuses"), desk.pick("ok", model="refuses", provider="other")]
    with pytest.raises(RequestRefused, match="temperature is not supported"):
        await desk.invoker.chat(desk.order(*same))
    assert desk.asked == ["refuses"]
    assert await text_of(desk, desk.order("refuses", "ok")) == ANSWER


async def test_the_error_is_that_of_the_best_offer_when_all_fail(desk):
    with pytest.raises(CredentialsRefused):
        await desk.invoker.chat(desk.order("forbidden", "broken", "garbage"))
    assert desk.asked == ["forbidden", "broken", "garbage"]


async def test_a_few_are_tried_and_no_more(desk):
    picks = [desk.pick("broken", model=f"m{i}") for i in range(9)]
    with pytest.raises(UpstreamError):
        await desk.invoker.chat(desk.order(*picks))
    assert len(desk.asked) == 4


async def test_a_short_wait_is_sat_out_where_nobody_else_can_answer(desk):
    with anyio.fail_after(30), pytest.raises(UpstreamUnavailable):
        await desk.invoker.chat(desk.order("overloaded", timeout_s=4))
    assert desk.asked == ["overloaded", "overloaded"]
    with pytest.raises(RateLimited):
        await desk.invoker.chat(desk.order("rate-limited"))
    assert desk.asked[2:] == ["rate-limited"]


async def test_the_deadline_holds_for_all_tries_together(desk):
    with anyio.fail_after(15), pytest.raises(UpstreamTimeout):  # of the 20 s that each may take
        await desk.invoker.chat(desk.order("hangs", "hangs", timeout_s=0.5))
    with pytest.raises(InvalidInput, match="more than 0"):
        await desk.invoker.chat(desk.order("ok", timeout_s=0))


async def test_what_cannot_be_called_is_passed_over(desk):
    nothing = desk.pick("ok", model="nothing")
    unset = type(nothing.candidate.offer)(
        provider="acme", remote_model="ok", endpoint=desk.provider.url, api_key="${UNSET}"
    )
    broken = type(nothing)(type(nothing.candidate)(nothing.candidate.model, unset), ())
    assert await text_of(desk, desk.order(broken, "ok")) == ANSWER
    with pytest.raises(NotCallable, match="UNSET is not set"):
        await desk.invoker.chat(desk.order(broken))


async def test_a_local_server_is_started_for_a_call(desk):
    serve = ("-m", "toolcrib_server.upstream.models.testing", "{port}")
    local = desk.pick("ok", launch=Launch(command=sys.executable, args=serve))
    assert await text_of(desk, desk.order(local, timeout_s=15)) == ANSWER
    assert (await read(desk, desk.order(local, timeout_s=15)))[1] == ANSWER
    assert desk.asked == []


# --- cooldowns ---------------------------------------------------------------------------------


async def test_an_offer_that_asked_to_wait_is_left_alone_until_then(desk):
    for _ in range(2):
        assert await text_of(desk, desk.order("rate-limited", "ok")) == ANSWER
    assert desk.asked == ["rate-limited", "ok", "ok"]
    with pytest.raises(RateLimited) as limited:
        await desk.invoker.chat(desk.order("rate-limited"))
    assert 0 < (limited.value.retry_after_s or 0) <= 30
    desk.clock.seconds += 31
    await desk.invoker.chat(desk.order("rate-limited", "ok"))
    assert desk.asked[3:] == ["rate-limited", "ok"]


async def test_three_failures_in_a_row_open_the_breaker_and_one_answer_closes_it(desk):
    key = offer_key(desk.pick("broken").candidate)
    for _ in range(4):
        await desk.invoker.chat(desk.order("broken", "ok"))
    assert desk.asked.count("broken") == 3
    with pytest.raises(UpstreamUnavailable, match=r"failed 3 times in a row.*Out of memory"):
        await desk.invoker.chat(desk.order("broken"))
    desk.clock.seconds += 6
    assert desk.breakers.waits_s(key) == 0
    desk.breakers.begin(key)
    assert desk.breakers.waits_s(key) > 0, "one probe at a time"
    desk.breakers.succeed(key)
    assert desk.breakers.waits_s(key) == 0


async def test_a_refused_request_is_no_fault_of_the_offer(desk):
    for _ in range(5):
        with pytest.raises(ContextTooLong):
            await desk.invoker.chat(desk.order("too-long"))
    assert desk.asked.count("too-long") == 5


# --- measures, records, budgets ----------------------------------------------------------------


async def test_what_a_call_measured_is_kept_and_recorded_without_its_content(desk):
    await desk.invoker.chat(desk.order("ok"))
    flow, _ = await read(desk, desk.order("ok"))
    figures = desk.figures.find(offer_key(desk.pick("ok").candidate))
    assert (figures.calls, figures.error_rate) == (2, 0)
    assert (figures.tokens_in, figures.tokens_out) == (14, 10)
    assert figures.cost_usd == pytest.approx(2 * (7 + 5) / 1e6)
    assert 0 < figures.first_token_ms_p50 <= flow.measured.duration_ms
    assert figures.per_token_ms_p50 > 0
    await desk.audit.flush()
    records = desk.store.list_calls()
    assert [(r.subject, r.face, r.principal, r.outcome) for r in records] == [
        ("model:ok", "test", "key-1", "ok")
    ] * 2
    assert records[0].argument_shape["messages"] == "array(1)"
    assert "hello" not in str(records)
    again = RollingFigures()
    again.recall(records)
    assert again.find(offer_key(desk.pick("ok").candidate)) == figures


@pytest.mark.parametrize("mood", ["usage", "no-usage"])
async def test_usage_that_is_missing_or_wrong_is_estimated(desk, mood):
    answered = await desk.invoker.chat(desk.order(mood))
    assert answered.measured.estimated
    assert answered.measured.tokens_out == 7
    flow, _ = await read(desk, desk.order("usage"))
    assert flow.measured.estimated
    assert flow.measured.tokens_out == 7


async def test_a_usage_beyond_the_context_is_not_believed(desk):
    answered = await desk.invoker.chat(desk.order(desk.pick("ok", context=3)))
    assert answered.measured.estimated


async def test_the_usage_is_asked_for_and_not_shown_to_who_did_not(desk):
    flow, _ = await read(desk, desk.order("ok"))
    assert desk.provider.bodies[-1]["stream_options"] == {"include_usage": True}
    assert not flow.measured.estimated
    async with desk.invoker.stream(desk.order("ok")) as hidden:
        assert all([chunk.choices async for chunk in hidden.chunks()])
    asked = desk.order("ok", stream_options={"include_usage": True})
    async with desk.invoker.stream(asked) as shown:
        assert not [chunk async for chunk in shown.chunks()][-1].choices


async def test_a_provider_that_takes_no_options_is_asked_without_them(desk):
    for _ in range(2):
        assert (await read(desk, desk.order("no-options")))[1] == ANSWER
    assert ["stream_options" in body for body in desk.provider.bodies] == [True, False, False]


async def test_a_usage_of_nothing_is_not_believed(desk):
    answered = await desk.invoker.chat(desk.order("no-tokens"))
    assert answered.measured.estimated
    assert answered.measured.tokens_out > 0


async def test_who_leaves_before_the_answer_pays_for_what_was_sent(opened_desk):
    async with opened_desk(budgets={"*": 1.0}) as desk:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(desk.invoker.chat, desk.order("hangs"))
            with anyio.fail_after(30):
                while not desk.asked:  # noqa: ASYNC110  # no event tells of it
                    await anyio.sleep(0.005)
            tasks.cancel_scope.cancel()
        figures = desk.figures.find(offer_key(desk.pick("hangs").candidate))
        assert figures.tokens_in > 0
        assert desk.budgets.spent_usd("key-1") > 0


async def test_callers_in_a_hurry_do_not_have_an_offer_left_alone(desk):
    for _ in range(4):
        with pytest.raises(UpstreamTimeout):
            await desk.invoker.chat(desk.order("hangs", timeout_s=0.05))
    assert desk.breakers.waits_s(offer_key(desk.pick("hangs").candidate)) == 0


async def test_the_deadline_holds_for_the_start_of_a_local_server_too(desk):
    launch = Launch(command=sys.executable, args=("-c", "import time; time.sleep(60)"))
    order = desk.order(desk.pick("ok", launch=launch), timeout_s=2)
    with anyio.fail_after(30), pytest.raises(UpstreamTimeout, match="server was being started"):
        await desk.invoker.chat(order)


async def test_a_stream_of_events_without_a_token_ends_and_the_next_offer_answers(desk):
    with anyio.fail_after(30):
        flow, text = await read(desk, desk.order("tokenless", "ok"))
    assert text == ANSWER
    assert "without a token" in flow.failed[0].error.detail


async def test_a_reader_who_leaves_ends_the_answer_and_is_recorded(desk):
    async with desk.invoker.stream(desk.order("endless")) as flow:
        async for _ in flow.chunks():
            break
    assert flow.measured.outcome == "cancelled"
    figures = desk.figures.find(offer_key(desk.pick("endless").candidate))
    assert (figures.calls, figures.error_rate) == (1, 0)


async def test_a_key_spends_no_more_than_its_budget(opened_desk):
    async with opened_desk(budgets={"key-1": 0.002, "*": 1.0}) as desk:
        dear = desk.pick("ok", price=1.0)
        order = desk.order(dear, max_tokens=900)
        await desk.invoker.chat(order)
        assert desk.budgets.spent_usd("key-1") == pytest.approx(12 / 1e6)
        with pytest.raises(BudgetExceeded, match=r"0.002 USD a day.*1\.2e-05") as spent:
            await desk.invoker.chat(desk.order(dear, max_tokens=2_000))
        assert (spent.value.retry_after_s or 0) > 0
        assert desk.asked == ["ok"]
        cheaper = desk.pick("ok", model="small", price=0.0)
        await desk.invoker.chat(desk.order(dear, cheaper, max_tokens=2_000))
        with pytest.raises(NotCallable, match="the price is unknown"):
            await desk.invoker.chat(desk.order(desk.pick("ok", price=None)))
        await desk.invoker.chat(desk.order(dear, principal="key-2", max_tokens=2_000))


async def test_vectors_come_from_the_offers_of_one_model(desk):
    order = desk.order("ok", input=["a", "b"])
    answered = await desk.invoker.embed(order)
    assert len(answered.answer["data"]) == 2
    assert answered.measured.tokens_in == 3
