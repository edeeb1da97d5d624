"""Views on the command line: saved, changed, carried as files, shown with what they cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolcrib_migrations import open_store
from toolcrib_registry.types import EntryChanges, HttpTransport, Server, ServerName, Tool

from .conftest import Toolcrib

SCHEMA = {
    "type": "object",
    "properties": {
        "to": {"type": "string", "description": "Who."},
        "account": {"type": "string"},
        "copies": {"type": "integer"},
    },
    "required": ["to", "account"],
}


def tool(server: str, name: str, **said: object) -> Tool:
    definition = {"name": name, "inputSchema": SCHEMA, **said}
    return Tool(
        name=f"{server}__{name}",
        server=ServerName(server),
        local_name=name,
        description=str(said.get("description", "")),
        definition=definition,
        content_hash=json.dumps(definition),
    )


@pytest.fixture(autouse=True)
def registry(tmp_path: Path) -> None:
    """Put two servers into the registry, as syncs would."""
    store = open_store(f"sqlite:///{tmp_path / 'data' / 'toolcrib.db'}")
    for server in ("mail", "time"):
        name = ServerName(server)
        store.add_server(Server(name=name, transport=HttpTransport("http://x/mcp")), actor="test")
    mail = (tool("mail", "send", description="Send mail."), tool("mail", "read"))
    store.apply(EntryChanges(server=ServerName("mail"), upserts=mail), actor="test")
    now = (tool("time", "now"),)
    store.apply(EntryChanges(server=ServerName("time"), upserts=now), actor="test")
    store.close()


def create(toolcrib: Toolcrib, *more: str) -> None:
    made = toolcrib("view", "create", "desk", "--server", "mail", *more)
    assert made.code == 0, made.err


def test_a_view_is_created_changed_shown_and_removed(toolcrib: Toolcrib) -> None:
    create(
        toolcrib,
        *("--title", "Desk", "--description", "For mail.", "--not-tool", "mail__read"),
        *("--rename", "mail__send=send", "--describe", "mail__send=Send it=now."),
        *("--fix", "mail__send.account=me", "--default", "mail__send.copies=2"),
    )
    shown = toolcrib("view", "show", "desk", "--json").json
    (listed,) = shown["listed"]
    assert (listed["name"], listed["tool"]) == ("send", "mail__send")
    assert listed["definition"]["description"] == "Send it=now."
    assert sorted(listed["definition"]["inputSchema"]["properties"]) == ["copies", "to"]
    assert listed["tokens"] == shown["tokens"] > 0
    assert shown["view"]["overrides"][0]["defaults"] == {"copies": 2}

    edited = toolcrib("view", "edit", "desk", "--tool", "time__now", "--mode", "search", "--json")
    assert edited.json["searches"] is True
    assert edited.json["tools"] == 2
    again = toolcrib("view", "edit", "desk", "--reset", "mail__send", "--json").json
    assert again["tools"] == 2
    view = toolcrib("view", "show", "desk", "--json").json["view"]
    assert "overrides" not in view
    assert view["include"] == {"servers": ["mail"], "tools": ["time__now"]}
    assert view["exclude"] == {"tools": ["mail__read"]}

    (row,) = toolcrib("view", "list", "--json").json
    assert (row["name"], row["tools"], row["problems"]) == ("desk", 2, 0)
    assert "desk" in toolcrib("view", "list").out
    assert toolcrib("view", "remove", "desk").out == "Removed the view desk.\n"
    assert "There is no view." in toolcrib("view", "list").out
    assert toolcrib("view", "show", "desk").code == 3


def test_what_a_client_sees_is_shown_with_its_tokens(toolcrib: Toolcrib) -> None:
    create(toolcrib)

    out = toolcrib("view", "show", "desk").out

    assert "It lists 2 of its 2 tools, in " in out
    assert "Served at /mcp/v/desk" in out
    assert "mail__send" in out
    searched = toolcrib("view", "edit", "desk", "--mode", "search").out
    assert "It lists 0 of its 2 tools and has them searched, in " in searched


def test_views_are_carried_from_one_registry_to_another_as_a_file(
    toolcrib: Toolcrib, tmp_path: Path
) -> None:
    create(toolcrib, "--fix", "mail__send.account=me")
    assert toolcrib("view", "create", "clock", "--tool", "time__now").code == 0
    file = tmp_path / "views.yaml"
    assert toolcrib("view", "export", "-o", file).code == 0
    text = toolcrib("view", "export", "desk").out
    assert text.startswith("name: desk\n")
    assert toolcrib("view", "export", "desk", "--json").json["name"] == "desk"
    for name in ("desk", "clock"):
        toolcrib("view", "remove", name)

    read = toolcrib("view", "import", file, "--json").json

    assert [view["name"] for view in read] == ["clock", "desk"]
    assert toolcrib("view", "export", "desk").out == text
    assert "Served at /mcp/v/desk" in toolcrib("view", "import", file).out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "It includes nothing: name a server, a tag or a tool."),
        (("--server", "male"), "No server is named 'male'. Did you mean: mail?"),
        (("--server", "mail", "--rename", "mail__send"), "write TOOL=NAME"),
        (("--server", "mail", "--fix", "mail__send.account"), "write TOOL.PARAM=VALUE"),
        (("--server", "mail", "--fix", "account=1"), "write TOOL.PARAM=VALUE"),
        (("--server", "mail", "--hide", "mail__send"), "write TOOL.PARAM"),
        (("--server", "mail", "--hide", "mail__send.to"), "'to' is hidden, and the tool requires"),
        (
            ("--server", "mail", "--default", "mail__send.copies=many"),
            "defaults.copies is string (expected integer)",
        ),
        (
            ("--server", "mail", "--rename", "mail__send=x", "--rename", "mail__read=x"),
            "mail__send and mail__read are both called x",
        ),
    ],
)
def test_a_view_that_could_not_be_served_is_refused(
    toolcrib: Toolcrib, args: tuple[str, ...], said: str
) -> None:
    refused = toolcrib("view", "create", "desk", *args)

    assert refused.code == 2
    assert said in refused.err
    assert toolcrib("view", "list", "--json").json == []


def test_a_file_that_is_no_view_is_refused_with_the_field_named(
    toolcrib: Toolcrib, tmp_path: Path
) -> None:
    file = tmp_path / "v.yaml"
    file.write_text("name: v\ninclude: {server: [mail]}\n")

    refused = toolcrib("view", "import", file)

    assert refused.code == 2
    assert f"{file}: include has no field 'server' (did you mean 'servers'?)" in refused.err


def test_nothing_to_change_is_said(toolcrib: Toolcrib) -> None:
    create(toolcrib)
    assert "Nothing to change was given" in toolcrib("view", "edit", "desk").err
    assert toolcrib("view", "create", "desk", "--server", "mail").code == 1


def test_what_does_not_hold_any_more_is_told_by_show_and_by_doctor(toolcrib: Toolcrib) -> None:
    create(toolcrib, "--pin", "mail__send")
    assert toolcrib("disable", "mail__send").code == 0

    shown = toolcrib("view", "show", "desk")
    examined = toolcrib("doctor", "--json").json

    said = "mail__send is left out: it is disabled."
    assert f"warning: {said}" in shown.err
    (check,) = [one for one in examined["checks"] if one["name"] == "view desk"]
    assert not check["ok"]
    assert check["detail"] == f"1 tool. {said}"
    toolcrib("enable", "mail__send")
    (check,) = [
        one for one in toolcrib("doctor", "--json").json["checks"] if one["name"] == "view desk"
    ]
    assert check["ok"]


def test_an_assistant_is_connected_to_a_view(toolcrib: Toolcrib, tmp_path: Path) -> None:
    plan = toolcrib("connect", "cursor", "--view", "desk", "--dry-run").out
    assert '"--view"' in plan
    assert '"desk"' in plan
    url = "http://127.0.0.1:8321/mcp"
    plan = toolcrib("connect", "cursor", "--view", "desk", "--url", url, "--dry-run").out
    assert f'"{url}/v/desk"' in plan
    refused = toolcrib("connect", "cursor", "--view", "desk", "--url", "http://x/", "--dry-run")
    assert "which ends in /mcp" in refused.err
