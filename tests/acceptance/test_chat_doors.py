"""One way at every door: cascades, kept answers and examples go by the same names at each."""

import json
import sys
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from mcp import Client

from toolcrib_clients import AsyncToolcrib
from toolcrib_server.upstream.models.testing import open_provider

pytestmark = pytest.mark.anyio

ALICE, BOB, ADMIN = "a-key-for-alice-0001", "a-key-for-bob-00002", "a-key-for-admin-001"
DIGITS = {
    "models": ["small", "large"],
    "verify": [{"kind": "pattern", "pattern": "^[0-9]+$"}],
}
SUM = "what is the sum of 2 and 2"
OTHER = "what is the sum of 2 and 3"


def model(name: str, mood: str, price: float, url: str, **offer: Any) -> dict[str, Any]:
    given = {
        "provider": "acme",
        "remoteModel": mood,
        "priceInUsd": price,
        "priceOutUsd": price,
        "endpoint": url,
    }
    return {"name": name, "descriptor": {}, "offers": [given | offer]}


@pytest.fixture
async def doors(open_house) -> AsyncGenerator[Any]:
    async with open_provider() as provider, open_house(answer_cache="examples") as house:
        for each in (
            model("small", "says:four|five|six", 1, provider.url),
            model("large", "says:4|5|6", 9, provider.url),
        ):
            assert (await house.http.post("/api/v1/models", json=each)).status_code == 201
        yield house, provider


async def ask(house: Any, text: str, name: str, **own: Any) -> Any:
    body = {"model": name, "temperature": 0, "messages": [{"role": "user", "content": text}]}
    answer = await house.http.post("/v1/chat/completions", json=body | {"toolcrib": own})
    assert answer.status_code == 200, answer.text
    return answer


async def test_an_assistant_climbs_a_cascade_and_is_given_an_answer_again(doors):
    house, provider = doors
    async with Client(f"{house.url}/mcp") as client:
        climbed: Any = await client.call_tool("call_model", {"messages": SUM, "cascade": DIGITS})
        shown = climbed.structured_content
        assert (shown["model"], shown["text"], shown["cascade"]["accepted"]) == ("large", "4", True)
        assert [step["model"] for step in shown["cascade"]["steps"]] == ["small", "large"]
        assert shown["costUsd"] == pytest.approx(12 * (1 + 9) / 1e6)
        asked = {"messages": SUM, "model": "large", "cache": "exact"}
        first: Any = await client.call_tool("call_model", asked)
        assert first.structured_content["cache"] == {"outcome": "miss"}
        calls = len(provider.bodies)
        again: Any = await client.call_tool("call_model", asked)
        assert again.structured_content["cache"]["outcome"] == "exact"
        assert again.structured_content["costUsd"] == 0
        assert again.content[0].text == first.content[0].text
        assert len(provider.bodies) == calls
        refused: Any = await client.call_tool("call_model", asked | {"cache": "maybe"})
        assert refused.is_error
        assert "examples or refresh" in refused.content[0].text


async def test_what_one_door_keeps_another_gives(doors):
    house, provider = doors
    async with AsyncToolcrib(house.url) as client, Client(f"{house.url}/mcp") as assistant:
        parameters = {"temperature": 0}
        await client.chat(SUM, model="large", parameters=parameters)
        said: Any = await assistant.call_tool(
            "call_model", {"messages": SUM, "model": "large", "parameters": parameters}
        )
        assert said.structured_content["cache"]["outcome"] == "exact"
        kept = await client.chat(SUM, model="large", parameters=parameters)
        assert kept.cache is not None
        assert (kept.cache["outcome"], kept.text, kept.usage.tokens_in) == ("exact", "4", 0)
        fresh = await client.chat(SUM, model="large", parameters=parameters, cache=False)
        assert fresh.cache == {"outcome": "skipped", "reason": "declined"}
        climbed = await client.chat(SUM, cascade=DIGITS)
        assert climbed.cascade is not None
        assert climbed.cascade["accepted"]
    assert len(provider.bodies) == 4


async def test_a_rated_answer_of_a_large_model_is_shown_to_a_small_one_and_that_is_said(doors):
    house, provider = doors
    await ask(house, SUM, "large")
    plain = await ask(house, OTHER, "small")
    assert "x-toolcrib-examples" not in plain.headers
    outcome = {"query": SUM, "model": "large", "score": 1}
    rated = await house.http.post("/api/v1/outcomes", json={"outcomes": [outcome]})
    assert rated.status_code == 201, rated.text
    shown = await ask(house, "what is the sum of 2 and 7", "small", cache="examples")
    assert shown.headers["x-toolcrib-examples"] == "1"
    (example,) = shown.json()["toolcrib"]["examples"]
    assert (example["model"], example["question"]) == ("large", SUM)
    sent = provider.bodies[-1]["messages"][0]["content"]
    assert json.dumps({"question": SUM, "answer": "4"}) in sent.splitlines()
    assert sent.endswith("what is the sum of 2 and 7")
    state = (await house.http.get("/api/v1/answers")).json()
    assert (state["mode"], state["examples"]) == ("examples", 1)
    metrics = (await house.http.get("/metrics")).text
    assert "toolcrib_answer_cache_examples_total 1.0" in metrics
    streamed = await house.http.post(
        "/v1/chat/completions",
        json={
            "model": "small",
            "temperature": 0,
            "stream": True,
            "messages": [{"role": "user", "content": "what is the sum of 2 and 9"}],
        },
    )
    assert streamed.headers["x-toolcrib-examples"] == "1"


async def test_what_a_cascade_accepted_is_shown_to_its_small_model_the_next_time(doors):
    house, provider = doors
    first = await ask(house, SUM, "auto", cascade=DIGITS)
    assert "examples" not in first.json()["toolcrib"]
    again = await ask(house, OTHER, "auto", cascade=DIGITS)
    steps = again.json()["toolcrib"]["cascade"]["steps"]
    assert [step["model"] for step in steps] == ["small", "large"]
    contents = [body["messages"][0]["content"] for body in provider.bodies]
    assert [SUM in text and text != SUM for text in contents] == [False, False, True, False]


async def test_a_key_is_shown_nothing_of_another_keys(open_house):
    keys = {"api_keys": f"{ALICE},{BOB}", "admin_keys": ADMIN}
    async with open_provider() as provider, open_house(answer_cache="examples", **keys) as house:
        for each in (
            model("small", "ok", 1, provider.url),
            model("large", "says:4", 9, provider.url),
        ):
            house.http.headers["authorization"] = f"Bearer {ADMIN}"
            await house.http.post("/api/v1/models", json=each)
        house.http.headers["authorization"] = f"Bearer {ALICE}"
        await ask(house, SUM, "large")
        outcome = {"query": SUM, "model": "large", "score": 1}
        await house.http.post("/api/v1/outcomes", json={"outcomes": [outcome]})
        house.http.headers["authorization"] = f"Bearer {BOB}"
        await house.http.post("/api/v1/outcomes", json={"outcomes": [outcome]})
        others = await ask(house, OTHER, "small")
        assert "x-toolcrib-examples" not in others.headers
        assert SUM not in str(provider.bodies[-1])
        house.http.headers["authorization"] = f"Bearer {ALICE}"
        own = await ask(house, OTHER, "small")
        assert own.headers["x-toolcrib-examples"] == "1"


def test_the_command_line_has_the_same_words(toolcrib, tmp_path, monkeypatch):
    monkeypatch.setenv("TOOLCRIB_ANSWER_CACHE", "exact")
    serve = ["-m", "toolcrib_server.upstream.models.testing", "{port}"]
    offer = {"provider": "here", "remoteModel": "says:7", "priceInUsd": 0, "priceOutUsd": 0}
    launch = {"launch": {"command": sys.executable, "args": serve}}
    models = [{"name": "seven", "offers": [offer | launch]}]
    (tmp_path / "models.json").write_text(json.dumps(models))

    assert toolcrib("import", tmp_path / "models.json").code == 0
    ask = ("chat", "7?", "-m", "seven", "--json")
    kept = toolcrib(*ask, "--cache", "on")
    assert (kept.code, kept.json["cache"]) == (0, {"outcome": "miss"})
    climbed = toolcrib(*ask, "--up", "seven", "--verify", "pattern:^7$")
    assert (climbed.code, climbed.json["cascade"]["accepted"]) == (0, True)
    assert toolcrib("chat", "7?", "-m", "seven", "--cache", "maybe").code != 0
