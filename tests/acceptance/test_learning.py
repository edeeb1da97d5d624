"""Learning from use in the whole house: a search, a call after it, and what is remembered."""

import json
from pathlib import Path

import pytest
from mcp import Client

from toolcrib_registry.types import (
    CatalogTransport,
    EntryChanges,
    Server,
    ServerName,
    Tool,
    Verdict,
    hash_content,
)

from .conftest import House, OpenHouse, Toolcrib


async def register(house: House, url: str) -> None:
    server = {"name": "clock", "transport": {"type": "http", "url": url}}
    answer = await house.http.post("/api/v1/servers", json=server)
    assert answer.status_code == 201, answer.text
    assert (await house.http.post("/api/v1/sync")).status_code == 200


async def outcomes(house: House) -> list[tuple[str, str, Verdict]]:
    await house.runtime.outcomes.flush()
    return sorted((o.query, o.entry, o.verdict) for o in house.runtime.store.iter_outcomes())


@pytest.mark.anyio
async def test_a_call_after_a_search_is_remembered_without_its_arguments(
    open_house: OpenHouse, clock_url: str
) -> None:
    async with open_house(learning="on") as house:
        await register(house, clock_url)
        async with Client(house.mcp) as client:
            await client.call_tool("search_tools", {"query": "time in another zone", "k": 10})
            arguments = {"time": "secret o'clock", "zone": "Tokyo"}
            call = {"name": "clock__convert_time", "arguments": arguments}
            assert not (await client.call_tool("call_tool", call)).is_error
            broken = {"name": "clock__break_clock", "arguments": {}}
            assert (await client.call_tool("call_tool", broken)).is_error
            await client.call_tool("call_tool", {"name": "clock__convert_time", "arguments": {}})

        assert await outcomes(house) == [
            ("time in another zone", "tool:clock__break_clock", Verdict.FAILED),
            ("time in another zone", "tool:clock__convert_time", Verdict.WORKED),
        ]
        assert "secret" not in repr([*house.runtime.store.iter_outcomes()])


@pytest.mark.anyio
async def test_the_steps_of_a_task_are_remembered_together(
    open_house: OpenHouse, clock_url: str
) -> None:
    async with open_house(learning="record") as house:
        await register(house, clock_url)
        await house.http.post("/api/v1/search", json={"query": ["convert a time", "zones"]})
        call = {"name": "clock__list_zones", "arguments": {}}
        assert (await house.http.post("/api/v1/call", json=call)).status_code == 200
        assert await outcomes(house) == [
            ("convert a time. zones", "tool:clock__list_zones", Verdict.WORKED)
        ]


@pytest.mark.anyio
async def test_by_default_only_what_is_said_on_purpose_is_kept(
    open_house: OpenHouse, clock_url: str
) -> None:
    async with open_house() as house:
        await register(house, clock_url)
        await house.http.post("/api/v1/search", json={"query": "zones"})
        call = {"name": "clock__list_zones", "arguments": {}}
        await house.http.post("/api/v1/call", json=call)
        assert await outcomes(house) == []

        said = {"query": "which zones are there", "name": "clock__list_zones"}
        assert (await house.http.post("/api/v1/feedback", json=said)).status_code == 201
        assert [query for query, _, _ in await outcomes(house)] == ["which zones are there"]


def test_the_command_line_tells_judges_and_forgets(tmp_path: Path, toolcrib: Toolcrib) -> None:
    tools = tmp_path / "tools.jsonl"
    tool = {"server": "mail", "name": "send", "description": "Send an e-mail to somebody."}
    tools.write_text(json.dumps(tool))

    assert toolcrib("import", tools).code == 0
    assert (
        "Noted: mail__send worked for 'post a letter'."
        in toolcrib("feedback", "post a letter", "mail__send", "--worked").out
    )
    both = toolcrib("feedback", "post a letter", "mail__send", "--worked", "--failed")
    assert (both.code, "Say one of" in both.err) == (2, True)
    assert toolcrib("feedback", "post a letter", "mail__sned", "--failed").code == 3

    status = toolcrib("learning", "status", "--json").json
    assert status["mode"] == "feedback"
    assert [(one["tenant"], one["outcomes"]) for one in status["tenants"]] == [("local", 1)]
    assert "not replayed yet" in toolcrib("learning", "status").out
    assert "30 are needed to judge" in toolcrib("learning", "replay").out
    assert toolcrib("learning", "replay", "nobody").code == 3
    assert "feedback: 1 outcomes of 1 tenants, in use for 0" in toolcrib("doctor").out
    assert toolcrib("learning", "forget").code == 2
    assert toolcrib("learning", "forget", "--all", "--tenant", "x").code == 2
    assert "Forgot 0" in toolcrib("learning", "forget", "--before", "2020-01-01").out
    ran = toolcrib("learning", "forget", "--principal", "lokal")
    assert (ran.out, "No outcome fits that" in ran.err) == ("Forgot 0 outcomes.\n", True)
    assert "Forgot 1 outcome." in toolcrib("learning", "forget", "--all").out
    assert "Nothing was recorded yet." in toolcrib("learning", "status").out


def test_learning_is_simulated_on_a_folder_of_judged_queries(
    tmp_path: Path, toolcrib: Toolcrib
) -> None:
    folder = tmp_path / "errands"
    folder.mkdir()
    topics = {"bill": "settle what is owed", "trip": "board a train", "crop": "prune a seedling"}
    (folder / "tools.jsonl").write_text(
        "\n".join(json.dumps({"id": t, "name": t, "description": f"{t} desk"}) for t in topics)
    )
    asked = [(f"{t}{n}", t, f"{words}, case {n}") for t, words in topics.items() for n in range(70)]
    (folder / "queries.jsonl").write_text(
        "\n".join(json.dumps({"id": id_, "text": text}) for id_, _, text in asked)
    )
    (folder / "qrels.tsv").write_text("\n".join(f"{id_}\t{t}\t1" for id_, t, _ in asked))
    ran = toolcrib("eval", "learning", folder, "--unseen", "40", "--json")

    result = ran.json
    assert ran.code == 0
    (judged,) = result["sets"]
    assert (judged["asked"], judged["unseen"], len(judged["trials"])) == (126, 40, 7)
    assert set(result["macro"]) == {trial["attack"] or "no attack" for trial in judged["trials"]}
    assert min(result["macro"].values()) >= 0
    assert result["plan"]["seed"] == 7


@pytest.mark.anyio
async def test_a_near_duplicate_is_as_plausible_as_its_rank(open_house: OpenHouse) -> None:
    async with open_house() as house:
        for name in ("office", "home"):
            server = Server(name=ServerName(name), transport=CatalogTransport("tests"))
            house.runtime.store.add_server(server, actor="test")
            house.runtime.store.apply(
                EntryChanges(server=server.name, upserts=(lamp_of(server.name),)), actor="test"
            )
        await house.runtime.indexer.catch_up()
        search = {"query": "switch a lamp on or off"}
        shown = (await house.http.post("/api/v1/search", json=search)).json()["hits"]
        assert len(shown) == 1

        weights: list[float] = []
        for name in ("office", "home"):
            given = {**search, "name": f"{name}__lamp", "verdict": "worked"}
            answer = await house.http.post("/api/v1/feedback", json=given)
            weights.append(answer.json()["weight"])

        assert max(weights) == 1.0
        assert min(weights) > 0.9


def lamp_of(server: ServerName) -> Tool:
    says = "Switch a lamp on or off"
    definition = {"name": "lamp", "description": says}
    return Tool(
        name=f"{server}__lamp",
        description=says,
        server=server,
        local_name="lamp",
        definition=definition,
        content_hash=hash_content(definition),
    )
