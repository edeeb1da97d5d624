"""Routing in the whole house: outcomes are imported, a model is chosen, the choice explained."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from toolcrib_clients import AsyncToolcrib
from toolcrib_registry.types import RatingSource
from toolcrib_server.learning.mode import EVERYONE
from toolcrib_server.learning.taking_up import TakingUp
from toolcrib_server.routing.rows import OutcomeRow
from toolcrib_server.runtime import run_background

from .conftest import House, OpenHouse, Toolcrib

POEM = "Write a rhyming poem about the {} and the moon"
SUM = "Calculate the definite integral of {} over the unit interval"
THINGS = [
    "sea",
    "wind",
    "rain",
    "hill",
    "road",
    "wood",
    "lake",
    "rose",
    "wolf",
    "star",
    "lamp",
    "bell",
    "ship",
    "snow",
    "bird",
    "tree",
]


def outcomes(adjectives: str = "blue old") -> list[dict[str, Any]]:
    return [
        {"query": text.format(f"{adjective} {thing}"), "model": model, "score": score}
        for adjective in adjectives.split()
        for thing in THINGS
        for text, best in ((POEM, "poet"), (SUM, "clerk"))
        for model in ("poet", "clerk")
        for score in [0.9 if model == best else 0.2]
    ]


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_outcomes_are_imported_and_decide_a_batch(tmp_path: Path, toolcrib: Toolcrib) -> None:
    file = write_lines(tmp_path / "seen.jsonl", [*outcomes(), {"query": "x"}])

    first = toolcrib("outcomes", "import", file)
    assert first.code == 0
    assert "128 added, 0 updated, 0 unchanged, 1 refused" in first.out
    assert "Registered 2 models" in first.err
    assert "refused line 129: model must be text" in first.err
    report = toolcrib("outcomes", "import", file, "--json").json["report"]
    assert (report["added"], report["unchanged"], len(report["refused"])) == (0, 128, 1)

    asked = [("a", POEM, "poet"), ("b", SUM, "clerk"), ("c", POEM, "poet")]
    queries = [{"id": i, "text": text.format("quiet garden")} for i, text, _ in asked]
    batch = write_lines(tmp_path / "asked.jsonl", queries)
    chosen = toolcrib("select", "--batch", batch, "--json").out
    answers = [json.loads(line) for line in chosen.splitlines()]
    assert [(one["id"], one["choice"]) for one in answers] == [(i, best) for i, _, best in asked]
    assert all(one["low"] <= one["quality"] <= one["high"] for one in answers[0]["ranked"])

    told = toolcrib("select", POEM.format("harbour"))
    assert told.code == 0
    for stage in ("guard:", "limits:", "quality:", "cost:", "pareto:", "choice:"):
        assert stage in told.out
    status = toolcrib("outcomes", "status", "--json").json
    assert [(one["tenant"], one["state"]) for one in status["tenants"]] == [(EVERYONE, "used")]
    assert "poet" in toolcrib("outcomes", "list", "--model", "poet").out
    assert toolcrib("outcomes", "forget").code == 2
    for narrowed in (("list", "--model", "poe"), ("forget", "--tenant", "nobody")):
        ran = toolcrib("outcomes", *narrowed)
        assert (ran.code, "No outcome fits that" in ran.out + ran.err) == (0, True)
    assert "Forgot 128 outcomes." in toolcrib("outcomes", "forget", "--all").out
    assert "No outcome is known" in toolcrib("outcomes", "status").out


def test_a_long_query_is_listed_in_one_line_and_whole_as_json(
    tmp_path: Path, toolcrib: Toolcrib
) -> None:
    query = "Summarise this contract.\n\x1b[2J\u2028" + "clause " * 500
    row = {"query": query, "model": "clerk", "score": 1}
    assert toolcrib("outcomes", "import", write_lines(tmp_path / "o.jsonl", [row])).code == 0
    _, line = toolcrib("outcomes", "list").out.splitlines()
    assert len(line) < 260
    assert "Summarise this contract." in line
    assert line.endswith("…")
    (whole,) = toolcrib("outcomes", "list", "--json").json
    assert whole["query"] == query


def test_a_batch_answers_by_relevance_while_nothing_is_known(
    tmp_path: Path, toolcrib: Toolcrib
) -> None:
    models = [{"name": "poet", "description": "writes poems"}, {"name": "clerk"}]
    assert toolcrib("import", write_lines(tmp_path / "models.jsonl", models)).code == 0
    batch = write_lines(tmp_path / "asked.jsonl", [{"id": 1, "text": "writes poems"}])
    (answer,) = toolcrib("select", "--batch", batch, "--json").out.splitlines()
    assert json.loads(answer)["choice"] == "poet"
    assert toolcrib("select").code == 2
    assert toolcrib("select", "a task", "--cost", "-1").code == 2
    assert toolcrib("outcomes", "import", tmp_path / "nothing.jsonl").code == 2
    known = write_lines(tmp_path / "new.jsonl", [{"query": "x", "model": "new", "score": 1}])
    ran = toolcrib("outcomes", "import", known, "--known-only")
    assert (ran.code, "refused line 1: no model is registered as 'new'" in ran.err) == (1, True)


def test_domains_say_what_is_outside(tmp_path: Path, toolcrib: Toolcrib) -> None:
    examples = tmp_path / "poems.txt"
    examples.write_text("\n".join(POEM.format(f"{a} {t}") for a in ("old", "red") for t in THINGS))
    assert (
        "poetry: 32 examples." in toolcrib("domains", "add", "poetry", "--examples", examples).out
    )
    assert toolcrib("domains", "add", "*", "--examples", examples).code == 0
    assert "(calibration)" in toolcrib("domains", "list").out
    assert toolcrib("outcomes", "import", write_lines(tmp_path / "o.jsonl", outcomes())).code == 0
    queries = [
        {"id": "in", "text": POEM.format("old bell")},
        {"id": "out", "text": "What is the notice period of my rental contract?"},
    ]
    said = toolcrib("select", "--batch", write_lines(tmp_path / "q.jsonl", queries), "--json").out
    verdicts = {row["id"]: row["domain"] for row in map(json.loads, said.splitlines())}
    assert (verdicts["in"]["name"], verdicts["out"]["inDomain"]) == ("poetry", False)
    assert toolcrib("domains", "remove", "poesy").code == 3
    assert toolcrib("domains", "remove", "(calibration)").code == 0
    assert toolcrib("domains", "remove", "poetry", "--json").code == 0


@pytest.mark.anyio
async def test_mcp_rest_and_the_client_say_the_same(open_house: OpenHouse) -> None:
    async with open_house() as house, AsyncToolcrib(house.url) as client:
        for name in ("poet", "clerk"):
            await client.add_model({"name": name})
        sent = await client.add_outcomes(outcomes(), source="verifier")
        assert sent.added == 128
        await house.runtime.routing.learner.look()

        task = POEM.format("harbour")
        chosen = await client.select(task, weights={"quality": 1})
        assert chosen.routing is not None
        assert chosen.routing.choice == chosen.choices[0].model == "poet"
        async with Client(house.mcp) as assistant:
            answer = await assistant.call_tool("select_model", {"task": task, "weights": {}})
        view: Any = answer.structured_content
        assert view["routing"]["choice"] == "poet"
        assert view["choices"][0]["expected"]["outcomes"] == 64
        assert (await client.routing()).tenants[0].state == "used"
        assert len(await client.list_outcomes(limit=5)) == 5
        assert (await client.put_domain("poetry", [task])).examples == [task]
        assert [one.name for one in await client.list_domains()] == ["poetry"]
        await client.remove_domain("poetry")
        assert (await client.forget_outcomes()).forgotten == 128


@pytest.mark.anyio
async def test_what_an_operator_imports_is_everyones(open_house: OpenHouse) -> None:
    key = "user-key-0123456789"
    async with open_house(api_keys=key) as house, AsyncToolcrib(house.url, api_key=key) as client:
        for row in outcomes()[:2]:
            assert (await client.add_outcomes([row])).refused
        rows = [
            OutcomeRow(where="", query=row["query"], model=row["model"], score=row["score"])
            for row in outcomes()
        ]
        from toolcrib_server.routing.desk import bare_models

        await house.runtime.registrar.import_models(bare_models(["poet", "clerk"]), actor="test")
        await house.runtime.routing.record(
            rows, principal="local", tenant=EVERYONE, source=RatingSource.IMPORT, limited=False
        )
        await house.runtime.routing.learner.look()
        chosen = await client.select(SUM.format("harbour"))
        assert chosen.choices[0].model == "clerk"


CARD = """---
license: apache-2.0
model-index:
- name: poet
  results:
  - {dataset: {name: Rhymes}, metrics: [{type: acc, value: 0.7}]}
---
"""


def test_sources_that_differ_are_shown_with_the_better_one_first(
    tmp_path: Path, toolcrib: Toolcrib
) -> None:
    fact = {"value": "MIT", "source": "litellm"}
    own = write_lines(tmp_path / "own.jsonl", [{"name": "poet", "descriptor": {"license": fact}}])
    card = tmp_path / "README.md"
    card.write_text(CARD)
    for file in (own, card, own):
        assert toolcrib("import", file).code == 0
    shown = toolcrib("show", "poet", "--json").json
    assert shown["capabilities"]["license"] == "Apache-2.0"
    assert [(one["value"], one["source"]) for one in shown["disputed"]["license"]] == [
        ("Apache-2.0", "huggingface:poet"),
        ("MIT", "litellm"),
    ]
    assert shown["evaluations"][0]["benchmark"] == "Rhymes"
    ran = toolcrib("import", "ftp://example.com/models")
    assert (ran.code, "is not an http or https URL" in ran.err) == (2, True)
    assert toolcrib("import", "http://127.0.0.1:9/v1/models", "--key", "literal").code == 2
    assert toolcrib("import", "http://127.0.0.1:9/v1/models").code == 4
    assert toolcrib("refresh", "poesy").code == 3


async def teach(house: House) -> None:
    async with AsyncToolcrib(house.url) as client:
        for name in ("poet", "clerk"):
            await client.add_model({"name": name})
        await client.add_outcomes(outcomes(), source="verifier")
    await house.runtime.routing.learner.look()


@pytest.mark.anyio
async def test_the_first_choice_of_a_process_goes_by_what_an_earlier_one_learned(
    open_house: OpenHouse,
) -> None:
    body = {"task": SUM.format("quiet garden"), "k": 2}
    async with open_house() as house:
        await teach(house)
    async with open_house() as house, anyio.create_task_group() as tasks:
        tasks.start_soon(run_background, house.runtime)
        chosen = (await house.http.post("/api/v1/select", json=body)).json()
        assert chosen["choices"][0]["model"] == "clerk"
        assert chosen["choices"][0]["expected"] is not None
        assert not any("without what was learned" in note for note in chosen["notes"])
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_every_door_says_that_a_choice_was_made_without_what_was_learned(
    open_house: OpenHouse,
) -> None:
    said = "Chosen without what was learned from past outcomes: it is still being read."
    task = SUM.format("quiet garden")
    async with open_house() as house:
        await teach(house)
    async with open_house() as house:
        learner = house.runtime.routing.learner
        learner.taking_up = TakingUp(longest_s=0.01)
        learner.expect()
        chosen = (await house.http.post("/api/v1/select", json={"task": task})).json()
        assert chosen["notes"][-1].startswith(said)
        async with Client(house.mcp) as client:
            answer = await client.call_tool("select_model", {"task": task})
        assert answer.structured_content is not None
        assert answer.structured_content["notes"][-1].startswith(said)
        assert said in getattr(answer.content[0], "text", "")
