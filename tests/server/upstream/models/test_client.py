"""The client relays what a provider says, and tells each of its faults apart."""

import json

import pytest

from toolcrib_registry.errors import (
    AnswerCut,
    ContextTooLong,
    CredentialsRefused,
    RateLimited,
    RequestRefused,
    ResultTooLarge,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from toolcrib_server.upstream.models.client import ModelClient
from toolcrib_server.upstream.models.limits import ModelLimits
from toolcrib_server.upstream.models.target import Target
from toolcrib_server.upstream.models.testing import WORDS
from toolcrib_server.upstream.models.usage import Usage, read_usage

pytestmark = pytest.mark.anyio

KEY = "sk-canary-0123456789"
MESSAGES = [{"role": "user", "content": "hello"}]


async def ask(client, target, **more):
    body = {"model": target.model, "messages": MESSAGES, **more}
    return await client.chat(target, body, timeout_s=2 if target.model == "hangs" else 20)


async def read(client, target, **more):
    body = {"model": target.model, "messages": MESSAGES, "stream": True, **more}
    async with client.stream(target, body, timeout_s=20) as stream:
        return stream, [chunk async for chunk in stream.chunks()]


async def test_every_parameter_arrives_untouched_with_the_key(client, target, provider):
    more = {
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}
        ],
        "something_new": {"seed": 1, "half": "\ud83d"},
    }
    answer = await client.chat(target("ok"), {"model": "ok", **more}, timeout_s=20)
    assert answer["choices"][0]["message"]["content"] == "".join(WORDS)
    path, headers, body = provider.requests[-1]
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert body == {"model": "ok", **more}


@pytest.mark.parametrize(
    ("mood", "kind", "says"),
    [
        ("rate-limited", RateLimited, "Slow down. Try again in 30 s"),
        ("overloaded", UpstreamUnavailable, "HTTP 503: Overloaded"),
        ("odd-wait", RateLimited, "Slow down"),
        ("broken", UpstreamError, "HTTP 500: Out of memory"),
        ("forbidden", CredentialsRefused, "api_key"),
        ("unknown", UpstreamError, "Does it know the model 'unknown'"),
        ("too-long", ContextTooLong, "maximum context length is 8"),
        ("refuses", RequestRefused, "temperature is not supported"),
        ("redirects", UpstreamProtocolError, "redirects to file:///etc/passwd"),
        ("elsewhere", UpstreamProtocolError, "redirects to http://192.0.2.1/v1"),
        ("garbage", UpstreamProtocolError, "invalid JSON"),
        ("no-number", UpstreamProtocolError, "number that is not finite"),
        ("html", UpstreamProtocolError, "invalid JSON"),
        ("empty", UpstreamProtocolError, "without choices"),
        ("error-in-answer", UpstreamUnavailable, "HTTP 503: Busy"),
        ("cut", AnswerCut, "broke off"),
        ("endless", ResultTooLarge, "limit is 1048576"),
        ("drops", UpstreamUnavailable, "disconnected"),
        ("hangs", UpstreamTimeout, "within 2 s"),
    ],
)
async def test_each_fault_is_an_error_of_its_own(client, target, mood, kind, says):
    with pytest.raises(kind, match=says.replace("(", r"\(")) as caught:
        await ask(client, target(mood))
    assert type(caught.value) is kind


async def test_a_fault_says_what_to_wait_for_and_what_was_refused(client, target):
    with pytest.raises(RateLimited) as limited:
        await ask(client, target("rate-limited"))
    assert limited.value.retry_after_s == 30
    with pytest.raises(UpstreamUnavailable) as overloaded:
        await ask(client, target("overloaded"))
    assert overloaded.value.retry_after_s == 2
    with pytest.raises(RequestRefused) as refused:
        await ask(client, target("refuses"))
    assert refused.value.param == "temperature"


async def test_a_server_that_is_not_there_is_unavailable(client):
    nowhere = Target(provider="acme", model="ok", url="http://127.0.0.1:1/v1")
    with pytest.raises(UpstreamUnavailable, match="no connection"):
        await ask(client, nowhere)


async def test_a_stream_is_relayed_whole_and_says_its_usage(client, target):
    stream, chunks = await read(client, target("ok"), stream_options={"include_usage": True})
    told = [c.choices[0]["delta"].get("content", "") for c in chunks if c.choices]
    assert "".join(told) == "".join(WORDS)
    assert [chunk.has_token for chunk in chunks] == [False, *[True] * (len(WORDS) + 1), False]
    assert stream.usage == Usage(7, len(WORDS))
    assert all(json.loads(chunk.data) == chunk.content for chunk in chunks)


async def test_a_connection_serves_again_after_a_stream(client, provider, target):
    for _ in range(3):
        await read(client, target("ok"))
    assert provider.connections == 1


async def test_a_stream_that_ends_without_done_but_with_its_reason_is_whole(client, target):
    _, chunks = await read(client, target("no-done"))
    assert chunks[-1].choices[0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("mood", "kind", "says"),
    [
        ("cut", AnswerCut, "broke off"),
        ("cut-early", AnswerCut, "broke off"),
        ("garbage", UpstreamProtocolError, "invalid JSON"),
        ("error-early", UpstreamUnavailable, "Busy"),
        ("error-in-stream", UpstreamError, "Out of memory"),
        ("huge-line", ResultTooLarge, "limit is 262144"),
        ("endless", ResultTooLarge, "limit is 524288"),
        ("ignores-stream", UpstreamProtocolError, "application/json"),
        ("rate-limited", RateLimited, "Slow down"),
        ("elsewhere", UpstreamProtocolError, "redirects"),
    ],
)
async def test_each_fault_of_a_stream_is_an_error_of_its_own(client, target, mood, kind, says):
    with pytest.raises(kind, match=says) as caught:
        await read(client, target(mood))
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("mood", "says"),
    [
        ("stalls", "next token within 1"),
        ("comments", "next token within 1"),
        ("hangs", "first token within 1"),
    ],
)
async def test_a_stream_is_not_waited_for_in_vain(impatient, target, mood, says):
    with pytest.raises(UpstreamTimeout, match=says):
        await read(impatient, target(mood))


async def test_what_a_stream_brought_before_it_was_cut_is_not_lost(client, target):
    body = {"model": "cut", "messages": MESSAGES, "stream": True}
    words = []

    async def collect():
        async with client.stream(target("cut"), body, timeout_s=20) as stream:
            async for chunk in stream.chunks():
                words.append(chunk.choices[0]["delta"].get("content"))  # noqa: PERF401  # it fails midway

    with pytest.raises(AnswerCut):
        await collect()
    assert words == ["", *WORDS[:2]]


async def test_a_stream_has_a_deadline_as_a_whole(target):
    async with ModelClient(ModelLimits(idle_timeout_s=30)) as client:
        body = {"model": "stalls", "messages": MESSAGES, "stream": True}

        async def drain():
            async with client.stream(target("stalls"), body, timeout_s=1) as stream:
                async for _ in stream.chunks():
                    pass

        with pytest.raises(UpstreamTimeout, match="with the whole answer"):
            await drain()


@pytest.mark.parametrize("mood", ["echoes-key"])
async def test_a_provider_that_repeats_the_key_is_masked(client, target, mood):
    answer = await ask(client, target(mood))
    _, chunks = await read(client, target(mood))
    assert KEY not in json.dumps(answer)
    assert all(KEY not in chunk.data for chunk in chunks)
    assert "•••" in json.dumps(answer, ensure_ascii=False)


async def test_embeddings_are_as_many_as_the_inputs(client, target):
    body = {"model": "ok", "input": ["a", "b"]}
    assert len((await client.embed(target("ok"), body, timeout_s=20))["data"]) == 2
    tokens = {"model": "ok", "input": "a"}
    assert len((await client.embed(target("ok"), tokens, timeout_s=20))["data"]) == 1
    with pytest.raises(UpstreamProtocolError, match="1 vectors for 2 inputs"):
        await client.embed(target("x"), {"model": "too-few", "input": ["a", "b"]}, timeout_s=20)


async def test_an_endpoint_lists_its_models(client, target):
    assert await client.list_models(target("ok")) == ("ok", "big")


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        ({"usage": {"prompt_tokens": 1, "completion_tokens": 2}}, Usage(1, 2)),
        ({"usage": {"prompt_tokens": 1}}, Usage(1, 0)),
        ({"usage": {"prompt_tokens": -1, "completion_tokens": 2}}, None),
        ({"usage": {"prompt_tokens": True, "completion_tokens": 2}}, None),
        ({"usage": {"prompt_tokens": 10**15, "completion_tokens": 2}}, None),
        ({"usage": "many"}, None),
        ({"usage": None}, None),
        ({}, None),
    ],
)
def test_usage_that_makes_no_sense_is_none(answer, usage):
    assert read_usage(answer) == usage
