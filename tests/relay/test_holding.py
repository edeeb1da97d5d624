"""Calls that wait for their clients: how many, for how long, and what becomes of them."""

import os
import time

import anyio
import pytest

from toolcrib_registry.errors import UpstreamProtocolError
from toolcrib_server.downstream.service import Client, Request, RpcError
from toolcrib_server.relay.inputs import Inputs
from toolcrib_server.relay.sealing import Seal
from toolcrib_server.upstream.messages.interaction import Refused

pytestmark = pytest.mark.anyio
FORM = {"message": "Who?", "requestedSchema": {"type": "object"}}
YES = {"action": "accept", "content": {}}


class Tool:
    """A tool of a handshake-era server, as `Inputs` reaches it through the call path."""

    def __init__(self):
        self.begun = 0
        self.cancelled = 0
        self.profiles = []

    async def __call__(self, interaction, extra):
        assert not extra
        self.begun += 1
        self.profiles.append(interaction.profile.key)
        try:
            answer = await interaction.on_ask("elicitation/create", FORM)
        except BaseException:
            self.cancelled += 1
            raise
        return {"content": [], "answer": answer}


async def silent(method, params):
    pass


def request(principal="local", capabilities=None, **params):
    client = Client(
        principal=principal,
        version="2026-07-28",
        capabilities={"elicitation": {}} if capabilities is None else capabilities,
    )
    return Request(
        method="tools/call", params={"name": "ask", **params}, client=client, notify=silent
    )


def open_inputs(*, now=time.time, **options):
    return Inputs(lambda: Seal(["k" * 32], now=now), **options)


async def ask(inputs, tool, **options):
    return await inputs.run(request(**options), subject="server:x", send=tool)


async def answer(inputs, tool, asked, **options):
    answers = dict.fromkeys(asked["inputRequests"], YES)
    retry = request(requestState=asked["requestState"], inputResponses=answers, **options)
    return await inputs.run(retry, subject="server:x", send=tool)


async def settled(condition):
    with anyio.fail_after(30):
        while not condition():
            await anyio.lowlevel.checkpoint()


async def test_whoever_holds_too_many_loses_their_oldest_and_nobody_elses():
    tool, other = Tool(), Tool()
    async with open_inputs(most_held_each=2) as inputs:
        theirs = await ask(inputs, other, principal="key-2")
        mine = [await ask(inputs, tool, principal="key-1") for _ in range(3)]
        await settled(lambda: tool.cancelled == 1)
        assert inputs.held == 3
        assert other.cancelled == 0
        assert (await answer(inputs, other, theirs, principal="key-2"))["answer"] == YES
        for each in mine:  # the oldest is sent again
            assert (await answer(inputs, tool, each, principal="key-1"))["answer"] == YES
        assert (tool.begun, other.begun) == (4, 1)


async def test_when_all_places_are_taken_whoever_has_most_makes_room():
    tool, other = Tool(), Tool()
    async with open_inputs(most_held=3, most_held_each=3) as inputs:
        for _ in range(3):
            await ask(inputs, tool, principal="key-1")
        theirs = await ask(inputs, other, principal="key-2")
        await settled(lambda: tool.cancelled == 1)
        assert inputs.held == 3
        assert (await answer(inputs, other, theirs, principal="key-2"))["answer"] == YES
        assert other.begun == 1


async def test_who_does_not_come_back_is_not_waited_for():
    tool, now = Tool(), [1000.0]
    async with open_inputs(ttl_s=0.05, now=lambda: now[0]) as inputs:
        asked = await ask(inputs, tool)
        await settled(lambda: tool.cancelled == 1)
        await settled(lambda: inputs.held == 0)
        now[0] += 0.1
        with pytest.raises(RpcError, match="expired") as caught:
            await answer(inputs, tool, asked)
        assert caught.value.code == -32602


async def test_closing_cancels_what_is_held():
    tool = Tool()
    async with open_inputs() as inputs:
        await ask(inputs, tool)
    assert tool.cancelled == 1


async def test_calls_that_wait_for_a_person_are_not_in_each_others_way():
    tool = Tool()
    async with open_inputs() as inputs:
        for _ in range(3):
            await ask(inputs, tool)
        assert len(set(tool.profiles)) == 3
        assert {key.partition("#")[0] for key in tool.profiles} == {tool.profiles[0]}


async def test_a_call_that_ended_meanwhile_tells_so_when_its_client_comes_back():
    gone = anyio.Event()

    async def impatient(interaction, extra):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(interaction.on_ask, "elicitation/create", FORM)
            await gone.wait()
            tasks.cancel_scope.cancel()
        return {"content": [], "isError": True}

    async with open_inputs() as inputs:
        asked = await ask(inputs, impatient)
        gone.set()
        assert (await answer(inputs, impatient, asked))["isError"] is True
        with pytest.raises(RpcError, match="has been used"):
            await answer(inputs, impatient, asked)


async def test_several_questions_at_once_are_asked_together():
    async def curious(interaction, extra):
        answers = {}

        async def put(name):
            params = {**FORM, "message": name}
            answers[name] = await interaction.on_ask("elicitation/create", params)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(put, "who")
            tasks.start_soon(put, "where")
        return {"content": [], "answers": answers}

    async with open_inputs() as inputs:
        asked = await ask(inputs, curious)
        assert len(asked["inputRequests"]) == 2
        first, second = asked["inputRequests"]
        half = await inputs.run(
            request(requestState=asked["requestState"], inputResponses={first: YES, "odd": YES}),
            subject="server:x",
            send=curious,
        )
        assert list(half["inputRequests"]) == [second]
        assert (await answer(inputs, curious, half))["answers"] == {"who": YES, "where": YES}


async def test_the_same_question_asked_twice_is_two_questions():
    async def forgetful(interaction, extra):
        one = await interaction.on_ask("elicitation/create", FORM)
        two = await interaction.on_ask("elicitation/create", FORM)
        return {"content": [], "answers": [one, two]}

    async with open_inputs() as inputs:
        first = await ask(inputs, forgetful)
        second = await answer(inputs, forgetful, first)
        assert second["inputRequests"].keys() != first["inputRequests"].keys()
        assert (await answer(inputs, forgetful, second))["answers"] == [YES, YES]


async def test_a_retry_that_declares_less_is_asked_nothing_it_cannot_answer():
    tool = Tool()
    async with open_inputs() as inputs:
        asked = await ask(inputs, tool)
        with pytest.raises(RpcError) as caught:
            await inputs.run(
                request(requestState=asked["requestState"], capabilities={}),
                subject="server:x",
                send=tool,
            )
        assert caught.value.code == -32021
        assert (await answer(inputs, tool, asked))["answer"] == YES


async def test_answers_too_large_for_a_state_are_asked_for_again_if_the_call_is_lost():
    async def twice(interaction, extra):
        big = await interaction.on_ask("elicitation/create", FORM)
        small = await interaction.on_ask("elicitation/create", {**FORM, "message": "Sure?"})
        return {"content": [], "answers": [big, small]}

    large = {"action": "accept", "content": {"x": os.urandom(600_000).hex()}}
    async with open_inputs() as inputs:
        first = await ask(inputs, twice)
        retry = request(
            requestState=first["requestState"],
            inputResponses=dict.fromkeys(first["inputRequests"], large),
        )
        second = await inputs.run(retry, subject="server:x", send=twice)
        assert len(second["requestState"]) < 10_000
    async with open_inputs() as inputs:  # as after a restart
        again = await answer(inputs, twice, second)
        assert again["inputRequests"].keys() == first["inputRequests"].keys()


async def test_a_question_that_mcp_has_no_word_for_is_refused():
    async def odd(interaction, extra):
        with pytest.raises(Refused):
            await interaction.on_ask("example.org/dance", {})
        return {"content": []}

    async with open_inputs() as inputs:
        assert await ask(inputs, odd) == {"content": []}


@pytest.mark.parametrize("capabilities", [{"elicitation": {"url": {}}}, {"elicitation": {}}, {}])
async def test_pages_to_visit_first_are_asked_in_the_words_of_the_era(capabilities):
    page = {"mode": "url", "url": "https://example.org/pay", "elicitationId": "7", "message": "Pay"}
    visits = []

    async def shop(interaction, extra):
        assert not extra
        visits.append(1)
        if len(visits) == 1:
            raise UpstreamProtocolError(
                "x", "first pay", rpc_code=-32042, rpc_data={"elicitations": [page]}
            )
        return {"content": []}

    async with open_inputs() as inputs:
        if "url" not in capabilities.get("elicitation", {}):
            with pytest.raises(RpcError) as caught:
                await ask(inputs, shop, capabilities=capabilities)
            assert caught.value.code == -32021
            return
        asked = await ask(inputs, shop, capabilities=capabilities)
        [question] = asked["inputRequests"].values()
        assert question == {"method": "elicitation/create", "params": page}
        assert await answer(inputs, shop, asked, capabilities=capabilities) == {"content": []}
