"""The official OpenAI client works here unchanged: chat, streams, schemas, vectors, errors."""

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import anyio
import openai
import pytest
from mcp import Client

from toolcrib_clients import AsyncToolcrib
from toolcrib_registry.errors import NotFound, RateLimited
from toolcrib_server.upstream.models.testing import WORDS, Provider, open_provider

pytestmark = pytest.mark.anyio

ANSWER = "".join(WORDS)
HELLO: Any = [{"role": "user", "content": "say hello"}]
IMAGE: Any = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "what is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        ],
    }
]
TOOL: Any = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}


def model(provider: Provider, mood: str, *, name: str | None = None, **more: Any) -> dict[str, Any]:
    """Describe a model whose one offer behaves as ``mood`` says."""
    offer = {"provider": "acme", "remoteModel": mood, "endpoint": provider.url}
    prices = {"priceInUsd": more.pop("price", 1.0), "priceOutUsd": more.pop("price_out", 1.0)}
    about = {"name": name or f"m/{mood}", "description": more.pop("description", "")}
    offer |= prices | more.pop("offer", {})
    return {**about, "descriptor": more, "offers": [offer]}


@dataclass
class Door:
    """A served Toolcrib, a provider behind it, and OpenAI's client in front."""

    house: Any
    provider: Provider
    client: Any

    async def register(self, *models: dict[str, Any]) -> None:
        for each in models:
            answer = await self.house.http.post("/api/v1/models", json=each)
            assert answer.status_code == 201, answer.text

    async def chat(self, **more: Any) -> Any:
        return await self.client.chat.completions.create(
            **{"model": "auto", "messages": HELLO, **more}
        )


@pytest.fixture
async def door(open_house) -> AsyncGenerator[Door]:
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(open_provider())
        house = await stack.enter_async_context(open_house())
        client = openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key="none", max_retries=0)
        await stack.enter_async_context(client)
        yield Door(house, provider, client)


async def test_a_chat_is_answered_and_the_choice_explained_in_headers_and_body(door):
    await door.register(model(door.provider, "ok", description="Says hello."))
    raw = await door.client.chat.completions.with_raw_response.create(model="auto", messages=HELLO)
    answer = raw.parse()
    assert answer.choices[0].message.content == ANSWER
    assert answer.usage.total_tokens == 12
    assert raw.headers["x-toolcrib-model"] == "m/ok"
    assert raw.headers["x-toolcrib-provider"] == "acme"
    assert "Ranked by relevance" in raw.headers["x-toolcrib-reason"]
    assert raw.headers["x-toolcrib-attempts"] == "1"
    assert float(raw.headers["x-toolcrib-cost-usd"]) == pytest.approx(12 / 1e6)
    assert answer.model == "m/ok"
    assert answer.model_extra["toolcrib"]["model"] == "m/ok"
    assert answer.model_extra["toolcrib"]["remoteModel"] == "ok"


async def test_a_stream_arrives_chunk_by_chunk_with_its_usage_where_it_is_asked_for(door):
    await door.register(model(door.provider, "ok"))
    stream = await door.chat(stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == ANSWER
    assert {chunk.model for chunk in chunks} == {"m/ok"}
    assert chunks[-1].usage.completion_tokens == len(WORDS)
    assert stream.response.headers["x-toolcrib-model"] == "m/ok"
    plain = [chunk async for chunk in await door.chat(stream=True)]
    assert all(chunk.choices for chunk in plain)


async def test_every_parameter_reaches_the_provider_and_ours_does_not(door):
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    shape: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    able: dict[str, Any] = {"toolCall": True, "structuredOutput": True}
    await door.register(model(door.provider, "ok", **able))
    await door.chat(
        tools=[TOOL],
        response_format=shape,
        temperature=0.25,
        seed=7,
        extra_body={"top_k": 5, "toolcrib": {"objective": "cost"}},
    )
    body = door.provider.bodies[-1]
    assert body["tools"] == [TOOL]
    assert body["response_format"] == shape
    assert (body["temperature"], body["seed"], body["top_k"]) == (0.25, 7, 5)
    assert body["model"] == "ok"
    assert "toolcrib" not in body


async def test_the_objective_and_the_limits_decide(door):
    dear = model(door.provider, "ok", name="dear", price=9.0, description="Says hello best.")
    cheap = model(door.provider, "ok", name="cheap", price=0.0, price_out=0.0)
    unknown = model(door.provider, "ok", name="unknown", price=None, price_out=None)
    await door.register(dear, cheap, unknown)

    async def chosen(**more: Any) -> str:
        raw = await door.client.chat.completions.with_raw_response.create(
            **{"model": "auto", "messages": HELLO, **more}
        )
        return raw.headers["x-toolcrib-model"]

    assert await chosen() == "dear"
    assert await chosen(model="auto:cheapest") == "cheap"
    assert await chosen(extra_body={"toolcrib": {"objective": "cost"}}) == "cheap"
    assert await chosen(extra_headers={"x-toolcrib-objective": "cost"}) == "cheap"
    limits = {"maxPriceInUsd": 1}
    assert await chosen(extra_body={"toolcrib": {"constraints": limits}}) == "cheap"
    assert await chosen(extra_headers={"x-toolcrib-constraints": json.dumps(limits)}) == "cheap"
    assert await chosen(model="unknown") == "unknown"
    assert await chosen(model="dear@acme") == "dear"


async def test_what_a_model_cannot_do_is_not_asked_of_it(door):
    await door.register(
        model(door.provider, "ok", name="blind", modalitiesIn=["text"], contextTokens=1000),
        model(door.provider, "ok", name="untold"),
    )
    with pytest.raises(openai.BadRequestError, match=r"modalities_in is text .* with image"):
        await door.chat(model="blind", messages=IMAGE)
    with pytest.raises(openai.BadRequestError, match="modalities_in is unknown"):
        await door.chat(messages=IMAGE)
    with pytest.raises(openai.BadRequestError, match="tool_call is unknown"):
        await door.chat(tools=[TOOL])
    await door.register(model(door.provider, "ok", name="seeing", modalitiesIn=["text", "image"]))
    answer = await door.chat(messages=IMAGE)
    assert answer.model_extra["toolcrib"]["model"] == "seeing"
    assert door.provider.bodies[-1]["messages"] == IMAGE


async def test_a_context_longer_than_any_model_takes_is_said_with_figures(door):
    await door.register(
        model(door.provider, "ok", name="short", contextTokens=1_000),
        model(door.provider, "ok", name="longer", contextTokens=8_192),
    )
    long: Any = [{"role": "user", "content": "word " * 200_000}]
    with pytest.raises(openai.BadRequestError) as caught:
        await door.chat(messages=long)
    assert caught.value.code == "context_length_exceeded"
    assert "at least 166666 tokens" in caught.value.message
    assert "8192 tokens (longer at acme)" in caught.value.message
    fits: Any = [{"role": "user", "content": "word " * 5_000}]
    assert (await door.chat(messages=fits)).model_extra["toolcrib"]["model"] == "longer"


async def test_contradictory_limits_are_named(door):
    await door.register(model(door.provider, "ok"))
    limits = {"providers": ["acme"], "withoutProviders": ["acme"]}
    with pytest.raises(openai.BadRequestError, match="also in without_providers") as caught:
        await door.chat(extra_body={"toolcrib": {"constraints": limits}})
    assert caught.value.code == "no_model_fits"
    with pytest.raises(openai.BadRequestError, match="also in without_providers"):
        await door.chat(model="m/ok", extra_body={"toolcrib": {"constraints": limits}})


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"messages": []}, "messages is missing"),
        ({"messages": ["hello"]}, "messages.0 is no message"),
        ({"model": ""}, "model is missing"),
        ({"model": "auto:newest"}, "no objective 'newest'. Use one of relevance"),
        ({"extra_body": {"temperature": float("nan")}}, "NaN is no JSON number"),
        ({"extra_body": {"toolcrib": {"constrains": {}}}}, "no field 'constrains'"),
        ({"extra_body": {"toolcrib": {"constraints": {"maxPrice": 1}}}}, "maxPriceInUsd"),
        ({"extra_body": {"toolcrib": {"timeout_s": -1}}}, "more than 0"),
        ({"extra_body": {"stream": "yes"}}, "stream must be true or false"),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused_in_words(door, asked, says):
    await door.register(model(door.provider, "ok"))
    content = {"model": "auto", "messages": HELLO, **asked, **asked.pop("extra_body", {})}
    answer = await door.house.http.post(
        "/v1/chat/completions",
        content=json.dumps(content),
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert says in error["message"]
    assert error["type"] == "invalid_request_error"
    assert door.provider.bodies == []


async def test_unknown_models_and_models_without_an_endpoint_are_told_apart(door):
    await door.register(model(door.provider, "ok"), {"name": "m/known"})
    with pytest.raises(openai.NotFoundError, match=r"Did you mean: m/ok") as caught:
        await door.chat(model="m/o")
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match="Register one: an offer with an endpoint"):
        await door.chat(model="m/known")
    with pytest.raises(openai.NotFoundError, match="m/ok@acme"):
        await door.chat(model="m/ok@other")


@pytest.mark.parametrize(
    ("mood", "kind", "says"),
    [
        ("rate-limited", openai.RateLimitError, "rate limit of .acme. is reached"),
        ("too-long", openai.BadRequestError, "maximum context length"),
        ("refuses", openai.BadRequestError, "temperature is not supported"),
        ("broken", openai.InternalServerError, "Out of memory"),
        ("forbidden", openai.InternalServerError, "refuses the registered key"),
        ("garbage", openai.InternalServerError, "invalid JSON"),
    ],
)
async def test_faults_of_providers_are_the_clients_own_errors(door, mood, kind, says):
    await door.register(model(door.provider, mood))
    for stream in (False, True) if mood != "garbage" else (False,):
        with pytest.raises(kind, match=says) as caught:
            await door.chat(model=f"m/{mood}", stream=stream)
        if mood == "rate-limited":
            assert caught.value.response.headers["retry-after"] == "30"


async def test_a_stream_that_breaks_off_raises_after_what_came(door):
    await door.register(model(door.provider, "cut"))
    words: list[str] = []

    async def read() -> None:
        async for chunk in await door.chat(model="m/cut", stream=True):
            words.append(chunk.choices[0].delta.content or "")  # noqa: PERF401  # it fails midway

    with pytest.raises(openai.APIError, match="broke off") as caught:
        await read()
    assert caught.value.code == "answer_cut"
    assert "".join(words) == "".join(WORDS[:2])


async def test_auto_falls_back_and_says_so(door):
    await door.register(
        model(door.provider, "broken", description="Says hello."), model(door.provider, "ok")
    )
    raw = await door.client.chat.completions.with_raw_response.create(model="auto", messages=HELLO)
    assert raw.headers["x-toolcrib-model"] == "m/ok"
    assert raw.headers["x-toolcrib-attempts"] == "2"
    assert "Out of memory" in raw.headers["x-toolcrib-fallback"]


async def test_nothing_that_can_be_called_is_said_plainly(door):
    with pytest.raises(openai.BadRequestError, match="register one with an endpoint"):
        await door.chat()


async def test_who_leaves_a_stream_ends_it_at_the_provider(door):
    await door.register(model(door.provider, "endless"))
    stream = await door.chat(model="m/endless", stream=True)
    async for _ in stream:
        break
    await stream.close()
    key = "m/endless@acme/endless"
    with anyio.fail_after(30):
        while door.house.runtime.desk.figures.find(key) is None:  # noqa: ASYNC110  # no event
            await anyio.sleep(0.02)
    assert door.house.runtime.desk.figures.find(key).error_rate == 0


async def test_models_are_listed_and_read_with_what_was_measured(door):
    await door.register(model(door.provider, "ok"), {"name": "m/known"})
    await door.chat(model="m/ok")
    listed = [m.id async for m in await door.client.models.list()]
    assert listed == ["auto", "toolcrib", "m/ok"]
    found = await door.client.models.retrieve("m/ok")
    figures = found.model_extra["toolcrib"]["offers"][0]["figures"]
    assert figures["calls"] == 1
    assert figures["costUsd"] == pytest.approx(12 / 1e6)
    with pytest.raises(openai.NotFoundError):
        await door.client.models.retrieve("m/none")


async def test_the_bundled_encoder_embeds_without_leaving_the_process(door):
    floats = await door.client.embeddings.create(
        model="toolcrib", input=["one", "two"], encoding_format="float"
    )
    packed = await door.client.embeddings.create(model="toolcrib", input=["one", "two"])
    assert [len(each.embedding) for each in floats.data] == [len(floats.data[0].embedding)] * 2
    assert packed.data[1].embedding == pytest.approx(floats.data[1].embedding, abs=1e-6)
    assert floats.usage.prompt_tokens > 0
    assert sum(x * x for x in floats.data[0].embedding) == pytest.approx(1, abs=1e-4)
    for wrong in ("", [], ["a", ""], [1, 2], ["x"] * 3000):
        with pytest.raises(openai.BadRequestError, match="input"):
            await door.client.embeddings.create(model="toolcrib", input=wrong)
    with pytest.raises(openai.BadRequestError, match="dimensions"):
        await door.client.embeddings.create(model="toolcrib", input="a", dimensions=3)
    with pytest.raises(openai.BadRequestError, match="cannot be compared"):
        await door.client.embeddings.create(model="auto", input="a")


async def test_a_registered_model_embeds(door):
    await door.register(model(door.provider, "ok"))
    answer = await door.client.embeddings.create(
        model="m/ok", input=["a", "b"], encoding_format="float"
    )
    assert [each.embedding for each in answer.data] == [[0.6, 0.8]] * 2
    assert (answer.model, answer.model_extra["toolcrib"]["remoteModel"]) == ("m/ok", "ok")


async def test_keys_are_asked_for_and_budgets_kept(open_house):
    key = "user-key-0123456789"
    settings = {"api_keys": key, "admin_keys": "admin-key-0123456789", "model_budgets": {"*": 0.01}}
    async with open_provider() as provider, open_house(**settings) as house:
        house.http.headers["authorization"] = "Bearer admin-key-0123456789"
        answer = await house.http.post("/api/v1/models", json=model(provider, "ok", price_out=1e3))
        assert answer.status_code == 201, answer.text
        stranger = openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key="none", max_retries=0)
        async with stranger:
            with pytest.raises(openai.AuthenticationError):
                await stranger.chat.completions.create(model="auto", messages=HELLO)
        known = openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key=key, max_retries=0)
        async with known:
            await known.chat.completions.create(model="auto", messages=HELLO, max_tokens=5)
            with pytest.raises(openai.RateLimitError, match=r"may spend 0\.01 USD a day") as spent:
                await known.chat.completions.create(model="auto", messages=HELLO, max_tokens=50)
            assert spent.value.code == "insufficient_quota"
            assert spent.value.response.headers["x-should-retry"] == "false"


async def test_a_large_image_fits_and_more_than_the_limit_does_not(door):
    await door.register(model(door.provider, "ok", modalitiesIn=["text", "image"]))
    large = json.loads(json.dumps(IMAGE))
    large[0]["content"][1]["image_url"]["url"] = "data:image/png;base64," + "A" * 6_000_000
    assert (await door.chat(messages=large)).choices[0].message.content == ANSWER
    large[0]["content"][1]["image_url"]["url"] = "data:image/png;base64," + "A" * 34_000_000
    with pytest.raises(openai.APIStatusError, match="larger than 33554432 bytes") as caught:
        await door.chat(messages=large)
    assert caught.value.status_code == 413


async def test_a_prompt_of_a_megabyte_arrives_whole(door):
    await door.register(model(door.provider, "ok", contextTokens=1_000_000))
    long: Any = [{"role": "user", "content": "ä\u0000\u2028x" * 200_000}]
    assert (await door.chat(messages=long)).choices[0].message.content == ANSWER
    assert door.provider.bodies[-1]["messages"] == long


async def test_names_that_would_split_a_header_do_not(door):
    name = "m/ok\r\nset-cookie: x=1 ☃"
    answer = await door.house.http.post(
        "/api/v1/models", json=model(door.provider, "ok", name=name)
    )
    assert answer.status_code == 201, answer.text
    raw = await door.client.chat.completions.with_raw_response.create(model="auto", messages=HELLO)
    assert raw.headers["x-toolcrib-model"] == "m/ok set-cookie: x=1 ?"
    assert "set-cookie" not in raw.headers


# --- the other doors ---------------------------------------------------------------------------


async def test_an_assistant_selects_a_model_and_calls_it(door):
    await door.register(
        model(door.provider, "broken", description="Says hello."), model(door.provider, "ok")
    )
    async with Client(door.house.mcp) as client:
        tools = (await client.list_tools()).tools
        assert "call_model" in [tool.name for tool in tools]
        chosen = await client.call_tool("select_model", {"task": "say hello"})
        names = [choice["name"] for choice in chosen.structured_content["choices"]]
        assert set(names) == {"m/broken", "m/ok"}
        answer: Any = await client.call_tool(
            "call_model",
            {"model": "m/ok", "messages": HELLO, "parameters": {"temperature": 0.5}},
        )
        assert not answer.is_error
        assert answer.content[0].text == ANSWER
        assert answer.structured_content["model"] == "m/ok"
        assert answer.structured_content["costUsd"] == pytest.approx(12 / 1e6)
        assert door.provider.bodies[-1]["temperature"] == 0.5
        auto = await client.call_tool("call_model", {"messages": "hello"})
        assert auto.structured_content["model"] == "m/ok"
        assert "Out of memory" in auto.structured_content["failed"][0]
        for arguments, says in (
            ({"messages": "x", "model": "m/o"}, "Did you mean: m/ok"),
            ({"messages": "x", "model": "m/broken"}, "Out of memory"),
            ({"messages": "x", "constraints": {"licenses": ["MIT"]}}, "Loosen a limit"),
            ({"messages": []}, "messages"),
            ({"messages": "x", "constraints": {"licences": ["MIT"]}}, "unknown field 'licences'"),
            ({"messages": "x", "objective": "newest"}, "Use one of relevance"),
            ({"messages": "x", "parameters": {"stream": True}}, "'stream', which is none"),
            ({"messages": "x", "parameters": {"max_tokens": 1.5}}, "must be a whole number"),
            ({"messages": "x", "timeout_s": 0}, "more than 0"),
        ):
            refused: Any = await client.call_tool("call_model", arguments)
            assert refused.is_error
            assert says in refused.content[0].text


async def test_a_name_that_is_not_this_servers_is_refused_in_openais_shape(door):
    answer = await door.house.http.get("/v1/models", headers={"host": "evil.example"})
    assert answer.status_code == 421
    assert answer.json()["error"]["code"] == "misdirected_request"


async def test_who_leaves_before_a_whole_answer_ends_it_at_the_provider(door):
    await door.register(model(door.provider, "hangs"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: door.chat(model="m/hangs"))
        with anyio.fail_after(30):
            while not door.provider.bodies:  # noqa: ASYNC110  # no event tells of it
                await anyio.sleep(0.02)
        tasks.cancel_scope.cancel()
    with anyio.fail_after(30):
        while door.provider.open:  # noqa: ASYNC110  # nor of this
            await anyio.sleep(0.02)
    assert door.provider.bodies[-1]["model"] == "hangs"


async def test_the_python_client_chats(door):
    await door.register(model(door.provider, "ok"), model(door.provider, "rate-limited"))
    async with AsyncToolcrib(door.house.url) as crib:
        answer = await crib.chat("hello", parameters={"seed": 3}, constraints={"maxPriceInUsd": 2})
        assert (answer.model, answer.provider, answer.text) == ("m/ok", "acme", ANSWER)
        assert (answer.usage.tokens_in, answer.usage.tokens_out) == (7, len(WORDS))
        assert answer.usage.cost_usd == pytest.approx(12 / 1e6)
        assert answer.answer["choices"][0]["message"] == answer.message
        assert door.provider.bodies[-1]["seed"] == 3
        with pytest.raises(NotFound, match="m/ok"):
            await crib.chat("hello", model="m/o")
        with pytest.raises(RateLimited) as limited:
            await crib.chat(HELLO, model="m/rate-limited")
        assert limited.value.retry_after_s == 30


def test_the_command_line_chats(toolcrib, tmp_path):
    serve = ["-m", "toolcrib_server.upstream.models.testing", "{port}"]
    launch = {"command": sys.executable, "args": serve}
    models = [
        {"name": "hello", "offers": [{"provider": "here", "remoteModel": "ok", "launch": launch}]}
    ]
    (tmp_path / "models.json").write_text(json.dumps(models))

    assert toolcrib("import", tmp_path / "models.json").code == 0
    code, out, err = toolcrib("chat", "say hello", "--model", "hello", "--max-tokens", "9")
    assert (code, out) == (0, f"{ANSWER}\n")
    assert "hello at here: hello was asked for by name." in err
    assert "7 tokens in, 5 out; cost unknown." in err
    code, out, _ = toolcrib("chat", "say hello", "--json")
    assert (code, json.loads(out)["text"]) == (0, ANSWER)
    assert json.loads(out)["model"] == "hello"
    code, _, err = toolcrib("chat", "say hello", "--model", "helo")
    assert code == 3
    assert "Did you mean: hello" in err
    code, _, err = toolcrib("chat", "say hello", "max_price_in_usd=1")
    assert code == 1
    assert "price_in_usd is unknown" in err
    code, _, err = toolcrib("chat", " ")
    assert code == 2
    climb = ("chat", "say hello", "--up", "hello", "--verify")
    code, out, err = toolcrib(*climb, "pattern:^[0-9]+$")
    assert (code, out) == (0, f"{ANSWER}\n")
    assert "hello rejected: the pattern is not found in it" in err
    assert "No answer was accepted (every check is certain); this is the best." in err
    code, out, _ = toolcrib(*climb, "pattern:^Hello", "--json")
    assert json.loads(out)["cascade"]["accepted"] is True
    code, _, err = toolcrib(*climb, "json-schema:/no/such/file")
    assert (code, "/no/such/file cannot be read" in err) == (2, True)
    assert "two models" in toolcrib("chat", "say hello", "--cascade").err
    seen = tmp_path / "seen.jsonl"
    seen.write_text(json.dumps({"query": "greet me", "model": "hello", "score": 1}))
    assert toolcrib("outcomes", "import", seen).code == 0
    assert "Expected score" in toolcrib("chat", "say hello").err
    assert "Expected score" not in toolcrib("chat", "say hello", "--objective", "cost").err


# --- cascades ----------------------------------------------------------------------------------

LADDER: Any = {
    "models": ["small", "large"],
    "verify": [{"kind": "pattern", "pattern": "^[0-9]+$"}],
}


async def register_ladder(door: Door) -> None:
    await door.register(
        model(door.provider, "says:seventeen", name="small"),
        model(door.provider, "says:17", name="large", price=10.0),
    )


async def test_a_cascade_asks_the_larger_model_when_a_check_rejects_the_smaller(door):
    await register_ladder(door)
    raw = await door.client.chat.completions.with_raw_response.create(
        model="auto", messages=HELLO, extra_body={"toolcrib": {"cascade": LADDER}}
    )
    answer = raw.parse()
    assert answer.choices[0].message.content == "17"
    assert raw.headers["x-toolcrib-model"] == "large"
    assert raw.headers["x-toolcrib-cascade"].startswith("small rejected: ")
    climbed = answer.model_extra["toolcrib"]["cascade"]
    assert [step["accepted"] for step in climbed["steps"]] == [False, True]
    assert float(raw.headers["x-toolcrib-cost-usd"]) == pytest.approx(climbed["costUsd"])
    assert climbed["costUsd"] == pytest.approx((12 + 7 * 10 + 5) / 1e6)


async def test_a_stream_of_a_cascade_brings_the_answer_that_was_accepted(door):
    await register_ladder(door)
    stream = await door.chat(
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"toolcrib": {"cascade": LADDER}},
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "17"
    assert chunks[0].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens == len(WORDS)
    assert all("stream" not in body for body in door.provider.bodies)


async def test_a_plan_that_makes_no_sense_is_refused_before_anybody_is_asked(door):
    await register_ladder(door)
    with pytest.raises(openai.BadRequestError, match="no field 'verfy'"):
        await door.chat(extra_body={"toolcrib": {"cascade": {"verfy": []}}})
    assert door.provider.bodies == []


async def test_the_python_client_climbs(door):
    await register_ladder(door)
    async with AsyncToolcrib(door.house.url) as crib:
        answer = await crib.chat("how many?", cascade=LADDER)
    assert (answer.text, answer.model) == ("17", "large")
    assert answer.cascade is not None
    assert answer.cascade["accepted"] is True


async def test_what_checks_said_is_learned_from(door):
    await register_ladder(door)
    await door.chat(extra_body={"toolcrib": {"cascade": LADDER}})
    outcomes = await door.house.runtime.routing.list_outcomes()
    assert {(one.model, one.score, one.source.value) for one in outcomes} == {
        ("small", 0.0, "verifier"),
        ("large", 1.0, "verifier"),
    }
