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
from toolcrib_server.cli.app import app
from toolcrib_server.cli.running import told
from toolcrib_server.doctor import examine
from toolcrib_server.runtime import Runtime
from toolcrib_server.upstream.models.testing import Provider, open_provider

from .conftest import House, OpenHouse

ROOT = Path(__file__).parents[2]
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
def toolcrib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("TOOLCRIB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TOOLCRIB_CACHE_DIR", str(ROOT / ".cache"))
    launch = {"command": sys.executable, "args": SERVE}
    offer = {"provider": "here", "remoteModel": f"says:{json.dumps(QUESTIONS)}", "launch": launch}
    models = [{"name": "small", "offers": [offer]}]
    (tmp_path / "models.json").write_text(json.dumps(models))
    row = {"id": "1", "name": "forecast", "server": "city", "description": "Weather of a place"}
    (tmp_path / "tools.jsonl").write_text(json.dumps(row) + "\n")

    def run(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["toolcrib", *args])
        code: Any = 0
        try:
            told(app)
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        return code or 0, captured.out, captured.err

    for file in ("models.json", "tools.jsonl"):
        code, _, err = run("import", str(tmp_path / file))
        assert code == 0, err
    return run


def test_questions_are_written_shown_and_forgotten_from_the_shell(toolcrib, monkeypatch):
    code, _, err = toolcrib("questions", "write", "--yes")
    assert (code, "TOOLCRIB_WRITER_MODEL" in err) == (2, True)
    monkeypatch.setenv("TOOLCRIB_WRITER_MODEL", "small")
    code, _, err = toolcrib("questions", "write")
    assert (code, "--yes" in err) == (2, True)
    code, out, err = toolcrib("questions", "write", "--yes", "--json")
    assert code == 0, err
    assert json.loads(out)["written"] == 1
    code, out, _ = toolcrib("questions", "write", "--json")
    assert (code, json.loads(out)["written"]) == (0, 0)
    (tools,) = [json.loads(toolcrib("list", "tools", "--json")[1])]
    name = (tools["items"] if isinstance(tools, dict) else tools)[0]["name"]
    shown = json.loads(toolcrib("questions", "show", name, "--json")[1])
    assert (shown["source"], shown["questions"]) == ("written", QUESTIONS["questions"])
    status = json.loads(toolcrib("questions", "show", "--json")[1])
    assert (status["writer"], status["written"], status["waiting"]) == ("small", 1, 0)
    code, out, _ = toolcrib("questions", "forget", "--json")
    assert (code, json.loads(out)) == (0, {"forgotten": 1})
    assert toolcrib("questions", "forget", "--readings", "--server", "city")[0] == 2
    assert toolcrib("questions", "show", "--server", "nope")[0] == 3
