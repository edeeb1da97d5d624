"""Routing in the whole house: outcomes are imported, a model is chosen, the choice explained."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from toolcrib_clients import AsyncToolcrib
from toolcrib_registry.types import RatingSource
from toolcrib_server.cli.app import app
from toolcrib_server.cli.running import told
from toolcrib_server.learning.mode import EVERYONE
from toolcrib_server.routing.rows import OutcomeRow

from .conftest import OpenHouse

ROOT = Path(__file__).parents[2]
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

Run = Callable[..., tuple[Any, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process: its exit code and what it printed."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "encoders").symlink_to(ROOT / ".cache" / "encoders")
    monkeypatch.setenv("TOOLCRIB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TOOLCRIB_CACHE_DIR", str(cache))

    def inside(*args: object) -> tuple[Any, str]:
        monkeypatch.setattr(sys, "argv", ["toolcrib", *map(str, args)])
        code: Any = 0
        try:
            told(app)
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        return code or 0, captured.out if "--json" in args else captured.out + captured.err

    return inside


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


def test_outcomes_are_imported_and_decide_a_batch(tmp_path: Path, run: Run) -> None:
    file = write_lines(tmp_path / "seen.jsonl", [*outcomes(), {"query": "x"}])

    code, said = run("outcomes", "import", file)
    assert code == 0
    assert "128 added, 0 updated, 0 unchanged, 1 refused" in said
    assert "Registered 2 models" in said
    assert "refused line 129: model must be text" in said
    report = json.loads(run("outcomes", "import", file, "--json")[1])["report"]
    assert (report["added"], report["unchanged"], len(report["refused"])) == (0, 128, 1)

    asked = [("a", POEM, "poet"), ("b", SUM, "clerk"), ("c", POEM, "poet")]
    queries = [{"id": i, "text": text.format("quiet garden")} for i, text, _ in asked]
    batch = write_lines(tmp_path / "asked.jsonl", queries)
    code, said = run("select", "--batch", batch, "--json")
    answers = [json.loads(line) for line in said.splitlines()]
    assert [(one["id"], one["choice"]) for one in answers] == [(i, best) for i, _, best in asked]
    assert all(one["low"] <= one["quality"] <= one["high"] for one in answers[0]["ranked"])

    code, said = run("select", POEM.format("harbour"))
    assert code == 0
    for stage in ("guard:", "limits:", "quality:", "cost:", "pareto:", "choice:"):
        assert stage in said
    status = json.loads(run("outcomes", "status", "--json")[1])
    assert [(one["tenant"], one["state"]) for one in status["tenants"]] == [(EVERYONE, "used")]
    assert "poet" in run("outcomes", "list", "--model", "poet")[1]
    assert run("outcomes", "forget")[0] == 2
    assert "Forgot 128 outcomes." in run("outcomes", "forget", "--all")[1]
    assert "No outcome is known" in run("outcomes", "status")[1]


def test_a_batch_answers_by_relevance_while_nothing_is_known(tmp_path: Path, run: Run) -> None:
    models = [{"name": "poet", "description": "writes poems"}, {"name": "clerk"}]
    assert run("import", write_lines(tmp_path / "models.jsonl", models))[0] == 0
    batch = write_lines(tmp_path / "asked.jsonl", [{"id": 1, "text": "writes poems"}])
    (answer,) = run("select", "--batch", batch, "--json")[1].splitlines()
    assert json.loads(answer)["choice"] == "poet"
    assert run("select")[0] == 2
    assert run("select", "a task", "--cost", "-1")[0] == 2
    assert run("outcomes", "import", tmp_path / "nothing.jsonl")[0] == 2
    known = write_lines(tmp_path / "new.jsonl", [{"query": "x", "model": "new", "score": 1}])
    code, said = run("outcomes", "import", known, "--known-only")
    assert (code, "refused line 1: no model is registered as 'new'" in said) == (1, True)


def test_domains_say_what_is_outside(tmp_path: Path, run: Run) -> None:
    examples = tmp_path / "poems.txt"
    examples.write_text("\n".join(POEM.format(f"{a} {t}") for a in ("old", "red") for t in THINGS))
    assert "poetry: 32 examples." in run("domains", "add", "poetry", "--examples", examples)[1]
    assert run("domains", "add", "*", "--examples", examples)[0] == 0
    assert "(calibration)" in run("domains", "list")[1]
    assert run("outcomes", "import", write_lines(tmp_path / "o.jsonl", outcomes()))[0] == 0
    queries = [
        {"id": "in", "text": POEM.format("old bell")},
        {"id": "out", "text": "What is the notice period of my rental contract?"},
    ]
    said = run("select", "--batch", write_lines(tmp_path / "q.jsonl", queries), "--json")[1]
    verdicts = {row["id"]: row["domain"] for row in map(json.loads, said.splitlines())}
    assert (verdicts["in"]["name"], verdicts["out"]["inDomain"]) == ("poetry", False)
    assert run("domains", "remove", "poesy")[0] == 3
    assert run("domains", "remove", "(calibration)")[0] == 0
    assert run("domains", "remove", "poetry", "--json")[0] == 0


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


def test_sources_that_differ_are_shown_with_the_better_one_first(tmp_path: Path, run: Run) -> None:
    fact = {"value": "MIT", "source": "litellm"}
    own = write_lines(tmp_path / "own.jsonl", [{"name": "poet", "descriptor": {"license": fact}}])
    card = tmp_path / "README.md"
    card.write_text(CARD)
    for file in (own, card, own):
        assert run("import", file)[0] == 0
    shown = json.loads(run("show", "poet", "--json")[1])
    assert shown["capabilities"]["license"] == "Apache-2.0"
    assert [(one["value"], one["source"]) for one in shown["disputed"]["license"]] == [
        ("Apache-2.0", "huggingface:poet"),
        ("MIT", "litellm"),
    ]
    assert shown["evaluations"][0]["benchmark"] == "Rhymes"
    code, said = run("import", "ftp://example.com/models")
    assert (code, "is not an http or https URL" in said) == (2, True)
    assert run("import", "http://127.0.0.1:9/v1/models", "--key", "literal")[0] == 2
    assert run("import", "http://127.0.0.1:9/v1/models")[0] == 4
    assert run("refresh", "poesy")[0] == 3
