from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_server.downstream.asking import (
    MAX_QUESTIONS,
    Question,
    missing_capabilities,
    put,
    questions_in,
    settle,
)
from toolcrib_server.downstream.service import Client, Request, RpcError
from toolcrib_server.downstream.testing import Workshop, text

pytestmark = pytest.mark.anyio

ALL = {"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}, "roots": {}}


class Scripted(Workshop):
    """Answers with one result after the other."""

    def __init__(self, *results):
        super().__init__()
        self.results = list(results)

    async def handle(self, request):
        self.requests.append(request)
        return self.results.pop(0)


def request(method="tools/call", *, ask=None, capabilities=None, **params):
    async def notify(method, params):
        pass

    client = Client(
        principal="p",
        version="2025-11-25",
        capabilities=ALL if capabilities is None else capabilities,
    )
    return Request(method=method, params=params, client=client, notify=notify, ask=ask)


def wanting(state=None, **requests):
    asked = {"resultType": "input_required", "inputRequests": requests}
    return asked if state is None else {**asked, "requestState": state}


ROOTS = {"method": "roots/list"}


async def answer_roots(method, params):
    return {"roots": [method]}


async def test_a_result_that_asks_nothing_is_the_answer():
    done = text("done")
    assert await settle(Scripted(done), request()) is done


async def test_each_round_brings_its_answers_and_the_latest_state_and_no_more():
    shop = Scripted(wanting("one", a=ROOTS), wanting(b=ROOTS), text("done"))
    await settle(shop, request(ask=answer_roots, name="x", requestState="old", inputResponses={}))
    assert [each.params for each in shop.requests[1:]] == [
        {"name": "x", "inputResponses": {"a": {"roots": ["roots/list"]}}, "requestState": "one"},
        {"name": "x", "inputResponses": {"b": {"roots": ["roots/list"]}}},
    ]


async def test_a_result_with_nothing_but_a_state_is_tried_again():
    state = {"resultType": "input_required", "requestState": "later"}
    shop = Scripted(state, text("done"))
    assert await settle(shop, request()) == text("done")
    assert shop.requests[-1].params == {"requestState": "later"}


async def test_questions_of_a_round_are_asked_at_once():
    both = anyio.Event()
    asked = []

    async def ask(method, params):
        asked.append(params["n"])
        if len(asked) == 2:
            both.set()
        with anyio.fail_after(30):
            await both.wait()
        return {"n": params["n"]}

    questions = {str(n): Question("roots/list", {"n": n}) for n in (1, 2)}
    assert await put(questions, ask) == {"1": {"n": 1}, "2": {"n": 2}}


async def test_one_refusal_ends_the_others():
    left = []

    async def ask(method, params) -> Any:
        if params:
            raise RpcError(-5, "no")
        try:
            await anyio.sleep_forever()
        finally:
            left.append(method)

    questions = {"slow": Question("roots/list", {}), "no": Question("roots/list", {"n": 1})}
    with pytest.raises(RpcError) as caught:
        await put(questions, ask)
    assert (caught.value.code, left) == (-5, ["roots/list"])


@pytest.mark.parametrize(
    "asked",
    [
        {"inputRequests": []},
        {"inputRequests": {"a": "b"}},
        {"inputRequests": {"a": {"method": 1}}},
        {"inputRequests": {"a": {"method": "roots/list", "params": []}}},
        {"inputRequests": {"a": {"method": "tools/call", "params": {}}}},
        {"inputRequests": {str(n): ROOTS for n in range(MAX_QUESTIONS + 1)}},
    ],
)
async def test_what_nobody_could_answer_is_an_error(asked):
    shop = Scripted({"resultType": "input_required", **asked})
    with pytest.raises(RpcError) as caught:
        await settle(shop, request(ask=answer_roots))
    assert caught.value.code == -32603


async def test_only_some_requests_may_be_answered_with_questions():
    with pytest.raises(RpcError) as caught:
        await settle(Scripted(wanting(a=ROOTS)), request("tools/list", ask=answer_roots))
    assert caught.value.code == -32603


async def test_a_client_that_cannot_be_asked_here_is_not():
    with pytest.raises(RpcError) as caught:
        await settle(Scripted(wanting(a=ROOTS)), request())
    assert caught.value.code == -32603


QUESTIONS = st.sampled_from(
    [
        Question("elicitation/create", {}),
        Question("elicitation/create", {"mode": "form"}),
        Question("elicitation/create", {"mode": "url"}),
        Question("sampling/createMessage", {}),
        Question("sampling/createMessage", {"tools": []}),
        Question("roots/list", {}),
    ]
)


@given(st.dictionaries(st.text(max_size=2), QUESTIONS))
def test_whoever_declares_what_is_missing_misses_nothing(questions):
    missing = missing_capabilities(questions, {})
    assert missing_capabilities(questions, missing) == {}
    assert bool(missing) is bool(questions)
    assert missing_capabilities(questions, ALL) == {}


def test_a_question_may_have_no_parameters():
    assert questions_in(wanting(a={"method": "roots/list"})) == {"a": Question("roots/list", {})}
