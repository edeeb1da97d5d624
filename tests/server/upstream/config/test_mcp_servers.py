"""The mcpServers file: every host's shape, and an error for every mistake."""

import json

import pytest

from toolcrib_registry.errors import InvalidConfig
from toolcrib_registry.types import HttpTransport, SseTransport, StdioTransport
from toolcrib_server.upstream.config.mcp_servers import (
    load_servers,
    parse_servers,
    server_from_command,
    server_from_url,
)

FILE = "mcp.json"


def parse_one(entry, *, key="mcpServers"):
    parsed = parse_servers(json.dumps({key: {"one": entry}}), file=FILE)
    assert parsed.warnings == ()
    return parsed.servers[0]


def refused(text):
    with pytest.raises(InvalidConfig) as caught:
        parse_servers(text if isinstance(text, str) else json.dumps(text), file=FILE)
    error = caught.value
    assert error.file == FILE
    assert error.fix
    return error


def refused_entry(entry):
    error = refused({"mcpServers": {"one": entry}})
    assert error.key is not None
    assert error.key.startswith("mcpServers.one")
    return error


# --- shapes ------------------------------------------------------------------------------------


def test_claude_desktop():
    server = parse_one(
        {"command": "npx", "args": ["-y", "some-server", "/data"], "env": {"TOKEN": "${TOKEN}"}}
    )
    assert server.name == "one"
    assert server.origin == "config:mcp.json"
    assert server.enabled
    assert server.transport == StdioTransport(
        "npx", ("-y", "some-server", "/data"), {"TOKEN": "${TOKEN}"}
    )


def test_claude_code_remote():
    server = parse_one(
        {"type": "http", "url": "https://api.example.com/mcp", "headers": {"X-Key": "k"}}
    )
    assert server.transport == HttpTransport("https://api.example.com/mcp", {"X-Key": "k"})


def test_cursor_infers_the_transport():
    assert parse_one({"url": "http://localhost:8000/mcp"}).transport == HttpTransport(
        "http://localhost:8000/mcp"
    )


def test_vs_code_with_comments_trailing_commas_and_inputs():
    parsed = parse_servers(
        """{
          // what the editor asks for
          "inputs": [{"type": "promptString", "id": "gh-token", "password": true,},],
          "servers": {
            "github": { /* remote */
              "type": "http",
              "url": "https://api.example.com/mcp", // "not a comment" in a string: below
              "headers": {"Authorization": "Bearer ${input:gh-token}", "X-Note": "a // b, ]"},
            },
          },
        }""",
        file=FILE,
    )
    (server,) = parsed.servers
    assert isinstance(server.transport, HttpTransport)
    assert server.transport.headers["X-Note"] == "a // b, ]"
    (warning,) = parsed.warnings
    for word in (
        "mcp.json: servers.github.headers.Authorization",
        "${input:gh-token}",
        "${GH_TOKEN}",
    ):
        assert word in warning


def test_vs_code_settings_keep_the_map_one_level_down():
    text = json.dumps({"editor.fontSize": 12, "mcp": {"servers": {"a": {"command": "x"}}}})
    assert parse_servers(text, file=FILE).servers[0].name == "a"


@pytest.mark.parametrize(
    ("spelling", "kind"),
    [
        ("http", HttpTransport),
        ("streamable-http", HttpTransport),
        ("streamableHttp", HttpTransport),
        ("streamable_http", HttpTransport),
        ("Streamable HTTP", HttpTransport),
        ("sse", SseTransport),
        ("SSE", SseTransport),
    ],
)
@pytest.mark.parametrize("key", ["type", "transport", "transportType"])
def test_any_spelling_of_the_transport(spelling, kind, key):
    assert type(parse_one({key: spelling, "url": "http://h/mcp"}).transport) is kind


def test_stdio_may_be_stated_too():
    assert parse_one({"type": "stdio", "command": "x"}).transport == StdioTransport("x")


def test_our_own_options():
    server = parse_one(
        {
            "command": "x",
            "toolcrib": {"tags": ["a", "b", "a"], "startTimeoutS": 5, "callTimeoutS": 2.5},
        }
    )
    assert server.tags == ("a", "b")
    assert (server.start_timeout_s, server.call_timeout_s) == (5, 2.5)


@pytest.mark.parametrize(
    ("extra", "enabled"),
    [
        ({}, True),
        ({"disabled": True}, False),
        ({"disabled": False}, True),
        ({"enabled": False}, False),
        ({"toolcrib": {"enabled": False}}, False),
        ({"disabled": True, "enabled": False}, False),
    ],
)
def test_servers_can_be_switched_off(extra, enabled):
    assert parse_one({"command": "x", **extra}).enabled is enabled


def test_keys_that_hosts_add_are_harmless():
    parse_one({"command": "x", "autoApprove": [], "alwaysAllow": ["a"], "timeout": 60, "icon": "i"})


def test_an_unknown_key_is_a_warning():
    text = json.dumps({"mcpServers": {"one": {"command": "x", "frobnicate": 1}}})
    (warning,) = parse_servers(text, file=FILE).warnings
    assert warning.startswith("mcp.json: mcpServers.one.frobnicate is not a key Toolcrib knows")


def test_what_has_no_effect_is_said():
    text = json.dumps({"mcpServers": {"one": {"command": "x -y z", "envFile": ".env"}}})
    warnings = parse_servers(text, file=FILE).warnings
    assert any("envFile is not read" in warning for warning in warnings)
    assert any("holds spaces" in warning and "'x'" in warning for warning in warnings)


def test_servers_come_in_the_order_written():
    text = json.dumps({"mcpServers": {name: {"command": "x"} for name in "zmab"}})
    assert [server.name for server in parse_servers(text, file=FILE).servers] == list("zmab")


def test_a_file_is_read_with_or_without_a_byte_order_mark(tmp_path):
    path = tmp_path / "mcp.json"
    path.write_bytes(b'\xef\xbb\xbf{"mcpServers": {"a": {"command": "x"}}}')
    assert load_servers(path).servers[0].origin == f"config:{path}"


# --- mistakes ----------------------------------------------------------------------------------


def test_broken_json_is_placed_by_line_and_column():
    error = refused('{\n  // one\n  "mcpServers": {"a" {}}\n}')
    assert "line 3, column 22" in error.detail


@pytest.mark.parametrize("text", ["", "   ", "{", '{"mcpServers": {', "{'mcpServers': {}}"])
def test_text_that_is_no_json_is_refused(text):
    assert "is not JSON" in refused(text).detail


@pytest.mark.parametrize("value", [[], "x", 5, None, True])
def test_a_map_that_is_no_object_is_refused(value):
    assert "not an object" in refused({"mcpServers": value}).detail
    assert "not an object" in refused_entry(value).detail


def test_a_file_without_servers_says_where_they_belong():
    assert '"mcpServers"' in refused({"theme": "dark"}).fix


def test_a_misspelled_map_is_recognised():
    error = refused({"mcpservers": {}})
    assert (error.key, error.fix) == ("mcpservers", "Write it as 'mcpServers'.")


def test_a_server_that_stands_there_twice():
    error = refused('{"mcpServers": {"a": {"command": "x"}, "a": {"command": "y"}}}')
    assert error.key == "mcpServers.a"
    assert "twice" in error.detail


def test_a_server_in_both_maps():
    entry = {"command": "x"}
    assert "twice" in refused({"mcpServers": {"a": entry}, "servers": {"a": entry}}).detail


def test_a_key_that_stands_there_twice():
    error = refused('{"mcpServers": {"a": {"command": "x", "env": {"T": "1", "T": "2"}}}}')
    assert error.key == "mcpServers.a.env.T"


@pytest.mark.parametrize(
    ("entry", "key", "fix"),
    [
        ({"comand": "x"}, "comand", "command"),
        ({"command": "x", "arg": []}, "arg", "args"),
        ({"command": "x", "environment": {}}, "environment", "env"),
        ({"cmd": "x"}, "cmd", "command"),
        ({"url": "http://h", "header": {}}, "header", "headers"),
        ({"uri": "http://h"}, "uri", "url"),
        ({"command": "x", "toolcrib": {"tag": []}}, "toolcrib.tag", "tags"),
        (
            {"command": "x", "toolcrib": {"start_timeout": 1}},
            "toolcrib.start_timeout",
            "startTimeoutS",
        ),
    ],
)
def test_a_misspelled_key_names_the_right_one(entry, key, fix):
    error = refused_entry(entry)
    assert error.key == f"mcpServers.one.{key}"
    assert f"{fix!r}" in error.fix


@pytest.mark.parametrize(
    ("entry", "key", "words"),
    [
        ({"command": 5}, "command", "a number, not a string"),
        ({"command": ""}, "command", "at least 1 character"),
        ({"command": "x", "args": "-y"}, "args", "a string, not a list"),
        ({"command": "x", "args": ["-p", 80]}, "args.1", "a number, not a string"),
        ({"command": "x", "env": ["A=1"]}, "env", "a list, not an object"),
        ({"command": "x", "env": {"PORT": 80}}, "env.PORT", "a number, not a string"),
        ({"command": "x", "disabled": "yes"}, "disabled", "a string, not true or false"),
        ({"command": "x", "toolcrib": 1}, "toolcrib", "a number, not an object"),
        ({"command": "x", "toolcrib": {"callTimeoutS": "5"}}, "toolcrib.callTimeoutS", "number"),
        ({"command": "x", "toolcrib": {"callTimeoutS": -1}}, "toolcrib.callTimeoutS", "greater"),
        ({"url": "http://h", "headers": {"A b": "x"}}, "headers.A b", "header name"),
        ({"url": "http://h", "headers": {"A": "x\ny"}}, "headers.A", "line break"),
    ],
)
def test_a_wrong_value_names_its_key_and_what_fits(entry, key, words):
    error = refused_entry(entry)
    assert error.key == f"mcpServers.one.{key}"
    assert words in error.detail


def test_a_wrong_value_is_not_repeated_for_it_may_be_secret():
    assert "4242" not in refused_entry({"command": "x", "env": {"PIN": 4242}}).detail


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"command": "x", "url": "http://h"}, "both 'command' and 'url'"),
        ({}, "neither 'command' nor 'url'"),
        ({"type": "stdio", "url": "http://h"}, "says 'stdio', but the server has 'url'"),
        ({"type": "sse", "command": "x"}, "says 'sse', but the server has 'command'"),
        ({"type": "carrier-pigeon", "url": "http://h"}, "'carrier-pigeon' is no transport"),
        ({"type": 5, "url": "http://h"}, "5 is no transport"),
        ({"command": "x", "disabled": True, "enabled": True}, "contradicts"),
        ({"url": "ftp://h/x"}, "not an http or https URL"),
        ({"url": "localhost:8000/mcp"}, "not an http or https URL"),
        ({"url": "http://"}, "not an http or https URL"),
        ({"url": "http://h:99999/"}, "not a URL"),
        ({"url": "http://[::1/"}, "not a URL"),
    ],
)
def test_a_contradiction_is_refused(entry, words):
    assert words in refused_entry(entry).detail


def test_credentials_in_a_url_belong_in_a_header():
    error = refused_entry({"url": "https://me:hunter2@h/mcp"})
    assert "headers" in error.fix
    assert "hunter2" not in error.detail


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("my server", "my-server"),
        ("io.github.me/thing", "io.github.me-thing"),
        ("a__b", "a_b"),
        ("_hidden", "hidden"),
        ("tail_", "tail"),
        ("", "server"),
        ("ünïcode", "n-code"),
        ("x" * 41, "x" * 40),
        ("..", "server"),
    ],
)
def test_a_name_that_cannot_name_a_server_gets_a_suggestion_that_can(name, suggestion):
    error = refused({"mcpServers": {name: {"command": "x"}}})
    assert error.fix == f"Call it {suggestion!r}."
    assert server_from_command(suggestion, ["x"]).name == suggestion


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InvalidConfig, match="there is no such file"):
        load_servers(tmp_path / "none.json")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "mcp.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidConfig, match="UTF-8"):
        load_servers(path)


# --- from the command line ---------------------------------------------------------------------


def test_a_server_from_a_command():
    server = server_from_command("git", ["uvx", "mcp-server-git"], env={"A": "1"}, tags=["vcs"])
    assert server.transport == StdioTransport("uvx", ("mcp-server-git",), {"A": "1"})
    assert (server.origin, server.tags) == ("cli", ("vcs",))


def test_a_server_from_a_url():
    assert server_from_url("x", "http://h/mcp").transport == HttpTransport("http://h/mcp")
    sse = server_from_url("x", "http://h/sse", transport="SSE", headers={"A": "1"})
    assert sse.transport == SseTransport("http://h/sse", {"A": "1"})


@pytest.mark.parametrize(
    "make",
    [
        lambda: server_from_command("x", []),
        lambda: server_from_command("a b", ["x"]),
        lambda: server_from_url("x", "file:///etc/passwd"),
        lambda: server_from_url("x", "http://h", transport="stdio"),
        lambda: server_from_url("x", "http://h", headers={"": "v"}),
    ],
)
def test_wrong_words_on_the_command_line_are_refused(make):
    with pytest.raises(InvalidConfig):
        make()
