"""What servers ask in the midst of calls, and clients that bring answers back."""

import anyio
import pytest

from toolcrib_server.downstream.service import RpcError

from .conftest import ALL_CAPABILITIES, begin_hanging, house, modern_client, old_client, upstream

pytestmark = pytest.mark.anyio
ERAS = [("modern", "stdio"), ("handshake", "stdio"), ("modern", "http"), ("handshake", "http")]
NAME = {"action": "accept", "content": {"name": "Ada"}}
SURE = {"action": "accept", "content": {"sure": True}}


def text(result):
    return result["content"][0]["text"]


async def retry(client, tool, asked, answers):
    return await client.send(
        "tools/call",
        name=tool,
        arguments={},
        inputResponses=answers,
        requestState=asked["requestState"],
    )


@pytest.mark.parametrize(("era", "transport"), ERAS)
async def test_a_question_is_answered_by_a_retry(era, transport, tmp_path):
    async with upstream(era, transport) as at, house(tmp_path, at) as runtime:
        service = await runtime.servers.get("everything")
        client = modern_client(service, capabilities=ALL_CAPABILITIES)
        asked = await client.call("ask")
        assert asked["resultType"] == "input_required"
        [(key, question)] = asked["inputRequests"].items()
        assert question["method"] == "elicitation/create"
        assert question["params"]["message"] == "Who are you?"
        done = await retry(client, "ask", asked, {key: NAME})
        assert (done["resultType"], text(done)) == ("complete", "Hello, Ada")
        assert runtime.inputs.held == 0


@pytest.mark.parametrize(("era", "transport"), ERAS)
async def test_questions_come_one_after_another(era, transport, tmp_path):
    async with upstream(era, transport) as at, house(tmp_path, at) as runtime:
        client = modern_client(
            await runtime.servers.get("everything"), capabilities=ALL_CAPABILITIES
        )
        first = await client.call("ask_twice")
        [key] = first["inputRequests"]
        second = await retry(client, "ask_twice", first, {key: NAME})
        [(key, question)] = second["inputRequests"].items()
        assert question["params"]["message"] == "Sure, Ada?"
        assert text(await retry(client, "ask_twice", second, {key: SURE})) == "Ada is sure"


@pytest.mark.parametrize(("era", "transport"), ERAS)
async def test_a_retry_without_the_answer_is_asked_again(era, transport, tmp_path):
    async with upstream(era, transport) as at, house(tmp_path, at) as runtime:
        client = modern_client(
            await runtime.servers.get("everything"), capabilities=ALL_CAPABILITIES
        )
        first = await client.call("ask")
        again = await retry(client, "ask", first, {})
        assert again["inputRequests"] == first["inputRequests"]
        [key] = again["inputRequests"]
        assert text(await retry(client, "ask", again, {key: NAME})) == "Hello, Ada"


@pytest.mark.parametrize(("era", "transport"), ERAS)
async def test_a_client_that_declares_nothing_is_told_what_is_missing(era, transport, tmp_path):
    async with upstream(era, transport) as at, house(tmp_path, at) as runtime:
        client = modern_client(await runtime.servers.get("everything"))
        with pytest.raises(RpcError) as caught:
            await client.call("ask")
        assert caught.value.code == -32021
        assert caught.value.data == {"requiredCapabilities": {"elicitation": {"form": {}}}}


@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_a_session_is_asked_while_its_call_runs(transport, tmp_path):
    async with upstream("handshake", transport) as at, house(tmp_path, at) as runtime:
        answers = {
            "elicitation/create": NAME,
            "sampling/createMessage": {
                "role": "assistant",
                "content": {"type": "text", "text": "four"},
                "model": "m",
            },
            "roots/list": {"roots": [{"uri": "file:///home"}]},
        }
        client = old_client(
            await runtime.servers.get("everything"), capabilities=ALL_CAPABILITIES, answers=answers
        )
        assert text(await client.call("ask")) == "Hello, Ada"
        assert text(await client.call("think", question="2+2?")) == "The model says four"
        assert text(await client.call("where")) == "file:///home"
        assert [method for method, _ in client.asked] == list(answers)


async def test_a_call_that_is_gone_is_sent_again_with_the_answers(tmp_path):
    async with upstream("handshake", "stdio") as at:
        async with house(tmp_path, at) as runtime:
            client = modern_client(
                await runtime.servers.get("everything"), capabilities=ALL_CAPABILITIES
            )
            first = await client.call("ask_twice")
            [key] = first["inputRequests"]
            second = await retry(client, "ask_twice", first, {key: NAME})
        async with house(tmp_path, None) as runtime:
            client.service = await runtime.servers.get("everything")
            [key] = second["inputRequests"]
            done = await retry(client, "ask_twice", second, {key: SURE})
            assert text(done) == "Ada is sure"


async def test_another_replica_with_the_same_key_goes_on(tmp_path):
    keys = "a-key-of-at-least-thirty-two-characters"
    async with (
        upstream("handshake", "http") as at,
        house(tmp_path / "one", at, state_keys=keys) as one,
        house(tmp_path / "two", at, state_keys=keys) as two,
        house(tmp_path / "three", at) as stranger,
    ):
        client = modern_client(await one.servers.get("everything"), capabilities=ALL_CAPABILITIES)
        asked = await client.call("ask")
        [key] = asked["inputRequests"]
        client.service = await stranger.servers.get("everything")
        with pytest.raises(RpcError, match="was not made by this Toolcrib") as caught:
            await retry(client, "ask", asked, {key: NAME})
        assert caught.value.code == -32602
        client.service = await two.servers.get("everything")
        assert text(await retry(client, "ask", asked, {key: NAME})) == "Hello, Ada"


@pytest.mark.parametrize("era", ["modern", "handshake"])
async def test_a_state_is_good_for_its_client_and_request_alone(era, tmp_path):
    async with upstream(era, "stdio") as at, house(tmp_path, at) as runtime:
        service = await runtime.servers.get("everything")
        client = modern_client(service, capabilities=ALL_CAPABILITIES, principal="key-1")
        other = modern_client(service, capabilities=ALL_CAPABILITIES, principal="key-2")
        asked = await client.call("ask")
        state, [key] = asked["requestState"], asked["inputRequests"]
        flipped = state[:-3] + ("AAA" if not state.endswith("AAA") else "BBB")
        for who, tool, shown, why in (
            (other, "ask", state, "another client"),
            (client, "ask_twice", state, "another request"),
            (client, "ask", flipped, "altered"),
            (client, "ask", "x", "not made by this Toolcrib"),
            (client, "ask", 7, "the string"),
        ):
            with pytest.raises(RpcError, match=why) as caught:
                await retry(who, tool, {"requestState": shown}, {key: NAME})
            assert caught.value.code == -32602
        assert text(await retry(client, "ask", asked, {key: NAME})) == "Hello, Ada"


async def test_a_state_that_has_done_its_work_is_refused(tmp_path):
    async with upstream("handshake", "stdio") as at, house(tmp_path, at) as runtime:
        client = modern_client(
            await runtime.servers.get("everything"), capabilities=ALL_CAPABILITIES
        )
        asked = await client.call("ask")
        [key] = asked["inputRequests"]
        await retry(client, "ask", asked, {key: NAME})
        with pytest.raises(RpcError, match="has been used"):
            await retry(client, "ask", asked, {key: NAME})


async def test_malformed_answers_are_refused(tmp_path):
    async with upstream("handshake", "stdio") as at, house(tmp_path, at) as runtime:
        client = modern_client(
            await runtime.servers.get("everything"), capabilities=ALL_CAPABILITIES
        )
        asked = await client.call("ask")
        for answers in ([], "yes", {"a": "yes"}):
            with pytest.raises(RpcError, match="inputResponses") as caught:
                await retry(client, "ask", asked, answers)
            assert caught.value.code == -32602


async def test_while_one_call_waits_for_a_person_others_go_on(tmp_path):
    async with upstream("handshake", "stdio") as at, house(tmp_path, at) as runtime:
        client = modern_client(
            await runtime.servers.get("everything"), capabilities=ALL_CAPABILITIES
        )
        asked = await client.call("ask")
        with anyio.fail_after(30):
            assert text(await client.call("echo", text="still here")) == "still here"
            again = await client.call("ask")
        assert runtime.inputs.held == 2
        for each in (again, asked):
            [key] = each["inputRequests"]
            assert text(await retry(client, "ask", each, {key: NAME})) == "Hello, Ada"


async def test_a_client_that_goes_away_takes_its_call_with_it(tmp_path):
    async with upstream("handshake", "stdio") as at, house(tmp_path, at) as runtime:
        client = modern_client(
            await runtime.servers.get("everything"), capabilities=ALL_CAPABILITIES
        )
        await begin_hanging(client)
        with anyio.fail_after(30):
            while text(await client.call("what_started")) != "hang,cancelled":
                await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_calls_of_a_session_do_not_wait_for_each_other(transport, tmp_path):
    async with upstream("handshake", transport) as at, house(tmp_path, at) as runtime:
        client = old_client(
            await runtime.servers.get("everything"),
            capabilities=ALL_CAPABILITIES,
            answers={"elicitation/create": NAME},
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call, "hang")
            with anyio.fail_after(30):
                while "hang" not in text(await client.call("what_started")):
                    await anyio.lowlevel.checkpoint()
                assert text(await client.call("ask")) == "Hello, Ada"
            tasks.cancel_scope.cancel()
        assert len(client.asked) == 1
