"""A registered model writes questions and reads queries: for searches, and from the shell."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from toolcrib_registry.types import (
    CatalogTransport,
    EntryChanges,
    Model,
    Offer,
    Server,
    ServerName,
    Tool,
    hash_content,
)
from toolcrib_server.doctor import examine
from toolcrib_server.runtime import Runtime
from toolcrib_server.upstream.models.testing import Provider, open_provider

from .conftest import House, OpenHouse, Toolcrib

SERVE = ["-m", "toolcrib_server.upstream.models.testing", "{port}"]
CITY = ServerName("city")
ENGLISH = {"english": "weather forecast of Beijing", "steps": ["get the weather forecast"]}
CHINESE = "北京后天的天气如何"
TASK = "Tell me the weather forecast of Oslo and then reserve a table at a restaurant"
STEPS = {"steps": ["tell the weather forecast of Oslo", "reserve a table at a restaurant"]}


@pytest.fixture
async def provider() -> AsyncGenerator[Provider]:
    async with open_provider() as opened:
        yield opened


def tool(name: str, description: str) -> Tool:
    definition = {"name": name, "description": description}
    return Tool(
        name=f"{CITY}__{name}",
        server=CITY,
        local_name=name,
        description=description,
        definition=definition,
        content_hash=hash_content(definition),
    )


def fill(runtime: Runtime, provider: Provider, *says: dict[str, Any]) -> None:
    mood = "says:" + "|".join(map(json.dumps, says))
    offer = Offer(provider="here", remote_model=mood, endpoint=provider.url)
    runtime.store.put_model(Model(name="small", offers=(offer,)), actor="test")
    server = Server(name=CITY, transport=CatalogTransport("f"))
    runtime.store.add_server(server, actor="test")
    listed = (
        tool("forecast", "The weather forecast of a place"),
        tool("reserve", "Reserve a table at a restaurant"),
        tool("sum", "Add up numbers"),
    )
    runtime.store.apply(EntryChanges(server=CITY, upserts=listed), actor="test")


async def search(house: House, query: str, **more: Any) -> dict[str, Any]:
    given = {"query": query, "kinds": ["tool"], **more}
    answer = await house.http.post("/api/v1/search", json=given)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.anyio
async def test_a_query_in_a_script_that_nobody_knows_is_answered_with_a_plain_statement(
    open_house: OpenHouse, provider: Provider
):
    async with open_house() as house:
        fill(house.runtime, provider, ENGLISH)
        found = await search(house, CHINESE)
        assert "Chinese script, which the encoder does not know" in found["notice"]
        assert (found["english"], found["readBy"]) == (None, None)
        assert (await search(house, "weather forecast"))["notice"] is None
        checks = {check.name: check for check in await examine(house.runtime)}
        assert checks["writer"].detail == "off"
    # Nothing is sent to a model that nobody set to write.
    assert provider.bodies == []


@pytest.mark.anyio
async def test_a_writer_gives_it_in_english_and_the_answer_says_so(
    open_house: OpenHouse, provider: Provider
):
    async with open_house(writer_model="small", writer_budget_ms=20_000) as house:
        fill(house.runtime, provider, ENGLISH)
        found = await search(house, CHINESE)
        assert found["hits"][0]["name"] == "city__forecast"
        assert (found["english"], found["readBy"]) == ("weather forecast of Beijing", "small")
        assert found["notice"] is None
        await search(house, CHINESE, k=3)
        assert len(provider.bodies) == 1


@pytest.mark.anyio
async def test_steps_are_a_model_s_where_it_writes_and_the_rules_otherwise(
    open_house: OpenHouse, provider: Provider
):
    async with open_house() as house:
        fill(house.runtime, provider, STEPS)
        by_rules = await search(house, TASK, explain=True)
        assert by_rules["splitBy"] == "rules"
        asked = await house.http.post("/api/v1/search", json={"query": ["a table", "numbers"]})
        assert asked.json()["splitBy"] == "asker"
    async with open_house(writer_model="small", writer_budget_ms=20_000) as house:
        found = await search(house, TASK, explain=True)
        assert (found["splitBy"], found["readBy"]) == ("model", "small")
        assert found["steps"] == STEPS["steps"]
        assert {hit["name"] for hit in found["hits"][:2]} == {"city__forecast", "city__reserve"}
    async with open_house(writer_model="small", writer_budget_ms=0) as house:
        assert (await search(house, TASK))["splitBy"] == "rules"


@pytest.mark.anyio
async def test_a_writer_that_is_not_registered_is_a_finding_of_doctor_and_search_works(
    open_house: OpenHouse, provider: Provider
):
    async with open_house(writer_model="nobody") as house:
        fill(house.runtime, provider, STEPS)
        assert (await search(house, TASK))["splitBy"] == "rules"
        checks = {check.name: check for check in await examine(house.runtime)}
        assert not checks["writer"].ok
        assert "nobody" in checks["writer"].detail
        assert "TOOLCRIB_WRITER_MODEL" in checks["writer"].advice


# --- the shell -----------------------------------------------------------------------------------

QUESTIONS = {"questions": ["Do I need an umbrella for this weather?", "Is the weather nice?"]}


@pytest.fixture
def registered(toolcrib: Toolcrib, tmp_path: Path) -> None:
    """Register a model that writes questions, and a tool to write them about."""
    launch = {"command": sys.executable, "args": SERVE}
    offer = {"provider": "here", "remoteModel": f"says:{json.dumps(QUESTIONS)}", "launch": launch}
    models = [{"name": "small", "offers": [offer]}]
    (tmp_path / "models.json").write_text(json.dumps(models))
    row = {"id": "1", "name": "forecast", "server": "city", "description": "Weather of a place"}
    (tmp_path / "tools.jsonl").write_text(json.dumps(row) + "\n")

    for file in ("models.json", "tools.jsonl"):
        code, _, err = toolcrib("import", tmp_path / file)
        assert code == 0, err


@pytest.mark.usefixtures("registered")
def test_questions_are_written_shown_and_forgotten_from_the_shell(toolcrib, monkeypatch):
    code, _, err = toolcrib("questions", "write", "--yes")
    assert (code, "TOOLCRIB_WRITER_MODEL" in err) == (2, True)
    monkeypatch.setenv("TOOLCRIB_WRITER_MODEL", "smal")
    code, _, err = toolcrib("questions", "write")
    assert (code, "No model is named 'smal'. Did you mean: small?" in err) == (3, True)
    assert "is asked for" not in err
    monkeypatch.setenv("TOOLCRIB_WRITER_MODEL", "auto")
    code, _, err = toolcrib("questions", "write", "--yes")
    assert (code, "structured_output is unknown" in err) == (1, True)
    assert "is asked for" not in err
    monkeypatch.setenv("TOOLCRIB_WRITER_MODEL", "small")
    code, _, err = toolcrib("questions", "write")
    assert (code, "--yes" in err) == (2, True)
    code, out, err = toolcrib("questions", "write", "--yes", "--json")
    assert code == 0, err
    assert json.loads(out)["written"] == 1
    code, out, _ = toolcrib("questions", "write", "--json")
    assert (code, json.loads(out)["written"]) == (0, 0)
    (tools,) = [toolcrib("list", "tools", "--json").json]
    name = (tools["items"] if isinstance(tools, dict) else tools)[0]["name"]
    assert toolcrib("questions", "show", name, "--server", "city").code == 2
    shown = toolcrib("questions", "show", name, "--json").json
    assert (shown["source"], shown["questions"]) == ("written", QUESTIONS["questions"])
    status = toolcrib("questions", "show", "--json").json
    assert (status["writer"], status["written"], status["waiting"]) == ("small", 1, 0)
    code, out, _ = toolcrib("questions", "forget", "--json")
    assert (code, json.loads(out)) == (0, {"forgotten": 1})
    assert "city__forecast: no example questions" in toolcrib("questions", "show", name).out
    assert toolcrib("questions", "forget", "--readings", "--server", "city").code == 2
    assert toolcrib("questions", "show", "--server", "nope").code == 3
