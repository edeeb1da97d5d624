"""The command line on a fresh data folder: what it prints, and the exit codes scripts rely on."""

import json
import sys
from pathlib import Path

import pytest

from .conftest import Toolcrib

ROOT = Path(__file__).parents[2]
RAW = ROOT / "tests/server/upstream/servers/raw.py"
TOOLS = [
    {
        "id": "w/1",
        "server": "weather",
        "name": "forecast",
        "description": "Tell the weather of the next days for a city.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
    {"id": "m/1", "server": "mail", "name": "send", "description": "Send an e-mail to somebody."},
    {"id": "m/2", "server": "mail", "name": "inbox", "description": "List unread e-mails."},
]


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """Write a small tools.jsonl."""
    file = tmp_path / "tools.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in TOOLS))
    return file


def test_an_empty_registry_says_what_to_do(toolcrib: Toolcrib) -> None:
    assert "Add one: toolcrib add" in toolcrib("list").out
    assert "No tool is registered." in toolcrib("list", "tools").out
    found = toolcrib("search", "anything")
    assert found.code == 1
    assert "The registry is empty." in found.out
    assert toolcrib("list", "--json").json == []
    assert "Nothing has changed yet." in toolcrib("changes").out


def test_a_catalogue_is_imported_found_and_imported_again_without_change(
    toolcrib: Toolcrib, catalogue: Path
) -> None:
    first = toolcrib("import", catalogue)
    assert first.code == 0
    assert "3 added" in first.out
    assert "2 servers" in first.out
    found = toolcrib("search", "will it rain in Lisbon tomorrow", "--json").json
    assert found["results"][0]["name"] == "weather__forecast"
    again = toolcrib("import", catalogue, "--json").json
    assert again["changed"] is False
    assert again["report"]["unchanged"] == 3
    assert again["report"]["index"]["embedded"] == 0


def test_what_left_the_catalogue_leaves_the_registry(toolcrib: Toolcrib, catalogue: Path) -> None:
    toolcrib("import", catalogue)
    catalogue.write_text("".join(json.dumps(row) + "\n" for row in TOOLS[:2]))
    assert "1 removed" in toolcrib("import", catalogue).out
    assert toolcrib("show", "mail__inbox").code == 3


def test_a_catalogues_tool_is_found_but_cannot_be_called(
    toolcrib: Toolcrib, catalogue: Path
) -> None:
    toolcrib("import", catalogue)
    called = toolcrib("call", "weather__forecast", "city=Lisbon")
    assert called.code == 1
    assert "Register the server itself" in called.err


def test_a_batch_of_queries_is_a_trec_run(
    toolcrib: Toolcrib, catalogue: Path, tmp_path: Path
) -> None:
    toolcrib("import", catalogue)
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"id": "q1", "text": "send a letter"}\n{"id": "q 2", "text": "weather"}\n')
    run = toolcrib("search", "--batch", queries, "-k", 2, "--format", "trec")
    rows = [line.split() for line in run.out.splitlines()]
    assert [row[0] for row in rows] == ["q1", "q1", "q_2", "q_2"]
    assert all(len(row) == 6 and row[1] == "Q0" and row[5] == "toolcrib" for row in rows)
    assert [row[3] for row in rows] == ["1", "2", "1", "2"]
    assert rows[0][2] == "m/1"
    assert rows[2][2] == "w/1"
    scores = [float(row[4]) for row in rows]
    assert scores[0] > scores[1]


REPEATING = """{"id": "a", "text": "x"}

{"id": 1, "text": "x"}
{"id": "a", "text": "y"}
{"id": "1", "text": "x"}
"""


@pytest.mark.parametrize("command", ["search", "select"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            REPEATING,
            "line 4: the id 'a' is that of line 1 too; line 5: the id '1' is that of line 3 too.",
        ),
        ('{"id": 1}\n', "line 1: no 'text', or an empty one."),
        ('{"id": 1, "text": null}\n', "line 1: no 'text', or an empty one."),
        ("[]\n", "line 1: a JSON object was expected, not list."),
        ("\x89PNG", "line 1: not JSON"),
        ("\n", "holds no query. A line is an object with 'id' and 'text'."),
    ],
)
def test_a_file_of_queries_that_cannot_be_asked_is_refused_by_its_lines(
    toolcrib: Toolcrib, tmp_path: Path, command: str, content: str, says: str
) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text(content)
    ran = toolcrib(command, "--batch", file)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


def test_a_run_ranks_near_duplicates_where_they_stand(toolcrib: Toolcrib, tmp_path: Path) -> None:
    row = {"name": "forecast", "description": "Tell the weather of the next days for a city."}
    rows = [{**row, "id": f"w/{i}", "server": f"weather{i}"} for i in range(3)]
    file, queries = tmp_path / "tools.jsonl", tmp_path / "queries.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    queries.write_text('{"id": "q", "text": "weather for a city"}\n')
    toolcrib("import", file)
    run = toolcrib("search", "--batch", queries, "-k", 3)
    lines = [line.split() for line in run.out.splitlines()]
    assert sorted(line[2] for line in lines) == ["w/0", "w/1", "w/2"]
    scores = [float(line[4]) for line in lines]
    assert scores == sorted(set(scores), reverse=True)
    listed = toolcrib("search", "weather for a city", "--no-fold", "--json").json
    assert len(listed["results"]) == 3
    rows = toolcrib("search", "--batch", queries, "--format", "jsonl").out.splitlines()
    answer = json.loads(rows[0])
    assert answer["id"] == "q"
    assert answer["results"][0]["document"] == "w/0"


def test_a_search_is_shown_with_all_there_is_to_say(toolcrib: Toolcrib, catalogue: Path) -> None:
    toolcrib("import", catalogue)
    explained = toolcrib("search", "will it rain tomorrow", "--explain")
    assert "1 why: dense #1" in explained.out
    grouped = toolcrib("search", "list unread mail", "-k", 3, "--group").out.splitlines()
    assert grouped[0] == "mail"
    assert "weather" in grouped
    both = toolcrib("search", "will it rain", "send an e-mail", "--json").json
    assert {"weather__forecast", "mail__send"} <= {found["name"] for found in both["results"]}
    full = toolcrib("search", "will it rain", "--detail", "full", "--json").json
    assert full["results"][0]["inputSchema"] == TOOLS[0]["input_schema"]
    assert isinstance(full["abstained"], bool)
    assert isinstance(full["reranked"], bool)
    assert full["tookMs"] > 0
    off = toolcrib("search", "will it rain", "--rerank", "off", "--no-split", "--no-fold")
    assert off.code == 0


def test_a_search_is_narrowed_by_what_tools_say(toolcrib: Toolcrib, tmp_path: Path) -> None:
    rows = [
        {"name": "read", "annotations": {"readOnlyHint": True}, "tags": ["disk"]},
        {"name": "drop", "annotations": {"readOnlyHint": False, "destructiveHint": True}},
        {"name": "keep", "annotations": {"readOnlyHint": False, "destructiveHint": False}},
    ]
    file = tmp_path / "tools.jsonl"
    more = {"server": "files", "description": "Do it to a file."}
    file.write_text("".join(json.dumps({**row, **more}) + "\n" for row in rows))
    toolcrib("import", file)

    def names(*options: str) -> set[str]:
        ran = toolcrib("search", "a file", "--json", "--no-fold", *options)
        return {result["name"] for result in ran.json["results"]}

    assert names() == {"files__read", "files__drop", "files__keep"}
    assert names("--read-only") == {"files__read"}
    assert names("--no-destructive") == {"files__read", "files__keep"}
    assert names("--tag", "disk") == {"files__read"}
    nothing = toolcrib("search", "a file", "--kind", "prompt")
    assert nothing.code == 1
    assert "passes the filters" in nothing.out


def test_a_live_server_is_added_called_turned_off_and_removed(toolcrib: Toolcrib) -> None:
    added = toolcrib("add", "raw", "--json", "--", sys.executable, RAW, "good")
    assert added.code == 0, added.err
    assert added.json["changed"]
    tool = toolcrib("list", "tools", "--json").json[0]["name"]
    assert tool.startswith("raw__")
    assert toolcrib("sync", "--json").json["changed"] is False
    assert "raw is off." in toolcrib("disable", "raw").out
    off = toolcrib("call", tool)
    assert off.code == 1
    assert "is disabled" in off.err
    assert toolcrib("enable", "raw", "--json").json == {"name": "raw", "enabled": True}
    assert "not since then" in toolcrib("changes", "--since", "999").out
    again = toolcrib("add", "raw", "--", "other")
    assert again.code == 1
    assert "exists already. To put another in its place: toolcrib remove raw" in again.err
    refused = toolcrib("remove", tool)
    assert refused.code == 2
    assert "toolcrib disable" in refused.err
    assert toolcrib("remove", "raw").code == 0
    assert toolcrib("show", "raw").code == 3


def test_a_server_that_sets_no_deadline_has_the_one_of_the_settings(
    toolcrib: Toolcrib, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = toolcrib("add", "raw", "--json", "--", sys.executable, RAW, "hang-on-call")
    assert added.code == 0, added.err
    tool = toolcrib("list", "tools", "--json").json[0]["name"]
    for seconds in ("0.3", "0.4"):
        monkeypatch.setenv("TOOLCRIB_CALL_TIMEOUT_S", seconds)
        called = toolcrib("call", tool, "--args", "{}")
        assert f"within {seconds} s" in called.err


def test_a_server_that_cannot_start_is_registered_with_its_error(toolcrib: Toolcrib) -> None:
    added = toolcrib("add", "gone", "--", "/no/such/command")
    assert added.code == 4
    assert "was not found" in added.err
    assert "toolcrib sync gone" in added.err
    (server,) = toolcrib("list", "--json").json
    assert server["health"]["status"] == "unreachable"
    assert toolcrib("doctor").code == 1


def test_a_secret_given_on_the_command_line_is_stored_apart(
    toolcrib: Toolcrib, tmp_path: Path
) -> None:
    secret = "s3cr3t-value-of-a-token"
    toolcrib("add", "x", "-e", f"TOKEN={secret}", "--no-sync", "--", sys.executable, RAW, "good")
    shown = toolcrib("show", "x", "--json")
    assert shown.json["transport"]["env"] == ["TOKEN"]
    assert secret not in shown.out
    holders = [
        file.name
        for file in (tmp_path / "data").rglob("*")
        if file.is_file() and secret.encode() in file.read_bytes()
    ]
    assert holders == ["secrets.json"]
    toolcrib("remove", "x")
    assert secret not in (tmp_path / "data/secrets.json").read_text()


def test_models_are_imported_and_selected_under_limits(toolcrib: Toolcrib, tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    file.write_text(
        json.dumps(
            [
                {
                    "name": "acme/cheap",
                    "description": "Summarises contracts.",
                    "descriptor": {"contextTokens": 100_000},
                    "offers": [{"provider": "acme", "priceInUsd": 0.1, "priceOutUsd": 0.2}],
                },
                {"name": "acme/unknown", "description": "Summarises contracts, price unknown."},
            ]
        )
    )
    assert "2 added" in toolcrib("import", file).out
    chosen = toolcrib("select", "summarise a contract", "max_price_in_usd=1", "--json").json
    assert [choice["name"] for choice in chosen["choices"]] == ["acme/cheap"]
    assert chosen["excludedBy"] == {"price_in_usd": 1}
    none = toolcrib("select", "summarise", "max_price_in_usd=0.01")
    assert none.code == 1
    assert "No model meets every limit." in none.out
    wrong = toolcrib("select", "summarise", "max_prize=1")
    assert wrong.code == 2
    assert "max_price_in_usd" in wrong.err
    assert toolcrib("remove", "acme/cheap").code == 0


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["search"], 2, "Give a query, or --batch"),
        (["search", "x", "--server", "nobody"], 3, "No server is named 'nobody'"),
        (["search", "x", "-k", "0"], 2, "'-k' / '--limit'"),
        (["search", "x", "-k", "-1"], 2, "'-k' / '--limit'"),
        (["search", "x", "-k", "10000"], 2, "less than or equal to 1000"),
        (["search", "x", "-k", "nan"], 2, "Invalid value for '-k'"),
        (["search", ""], 2, "The query is empty"),
        (["search", " ", ""], 2, "The query is empty"),
        (["search", "\x01\x02"], 2, "holds nothing that can be read"),
        (["search", *["x"] * 17], 2, "17 steps"),
        (["search", "x" * 100_001], 2, "the limit is 100000"),
        (["search", "x", "--kind", "toool"], 2, "'toool' is not one of"),
        (["search", "x", "--tag", " "], 2, "A tag is blank"),
        (["search", "x", "--rerank", "maybe"], 2, "'maybe' is not one of"),
        (["search", "x", "--batch", "f"], 2, "one of the two"),
        (["call", "nothing"], 3, "No tool is named"),
        (["call", "nothing", "novalue"], 2, "write KEY=VALUE"),
        (["call", "nothing", "--args", "["], 2, "--args is not JSON"),
        (["add", "two words", "--", "x"], 2, "cannot name a server"),
        (["add", "x"], 2, "one of the two"),
        (["import", "/no/such/file"], 2, "cannot be read"),
        (["sync", "nobody"], 3, "No server is named"),
        (["connect", "cursor"], 2, "say --yes"),
        (["serve", "--port", "99999"], 2, "not valid: --port: Input should be less than or equal"),
        (["eval", "learning", ".", "--outcomes", "0"], 2, "Invalid value for '--outcomes'"),
        (["eval", "learning", ".", "--unseen", "-1"], 2, "Invalid value for '--unseen'"),
    ],
)
def test_what_is_wrong_is_said_with_its_exit_code(
    toolcrib: Toolcrib, args: list[str], code: int, says: str
) -> None:
    ran = toolcrib(*args)
    assert ran.code == code, ran.err
    assert says in ran.err


def test_a_wrong_setting_is_named(toolcrib: Toolcrib, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLCRIB_PORT", "many")
    ran = toolcrib("list")
    assert ran.code == 2
    assert "TOOLCRIB_PORT" in ran.err


def test_serving_beyond_this_machine_needs_a_key(toolcrib: Toolcrib) -> None:
    ran = toolcrib("serve", "--host", "0.0.0.0")
    assert ran.code == 2
    assert "TOOLCRIB_ADMIN_KEYS" in ran.err


def test_an_assistant_is_connected_and_disconnected(toolcrib: Toolcrib, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".cursor").mkdir(parents=True)
    file = home / ".cursor/mcp.json"
    before = '{"mcpServers": {"other": {"command": "x"}}}'
    file.write_text(before)
    shown = toolcrib("connect", "cursor", "--dry-run")
    assert shown.code == 0
    assert "+" in shown.out
    assert file.read_text() == before
    assert toolcrib("connect", "cursor", "--yes").code == 0
    entry = json.loads(file.read_text())["mcpServers"]
    assert entry["other"] == {"command": "x"}
    assert entry["toolcrib"]["args"] == ["stdio"]
    assert toolcrib("connect", "cursor", "--undo", "--yes").code == 0
    assert file.read_text() == before
