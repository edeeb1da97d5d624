"""Paths and shapes of each host, on each platform."""

import json
import sys
from pathlib import Path

import pytest

from toolcrib_registry.errors import InvalidInput, NotFound
from toolcrib_registry.types import HttpTransport, StdioTransport
from toolcrib_server.hosts import (
    Host,
    Machine,
    Scope,
    find_executable,
    known_hosts,
    locate,
    snippet,
)

SNIPPETS = Path(__file__).parents[3] / "clients" / "hosts"
STDIO = StdioTransport(command="/absolute/path/to/toolcrib", args=("stdio",))
HTTP = HttpTransport(url="http://127.0.0.1:8321/mcp")


def machine(home: Path, platform: str = "linux", **environ: str) -> Machine:
    return Machine(platform=platform, home=home, project=home / "project", environ=environ)


@pytest.mark.parametrize(
    ("host", "platform", "expected"),
    [
        (Host.CLAUDE_DESKTOP, "linux", ".config/Claude/claude_desktop_config.json"),
        (
            Host.CLAUDE_DESKTOP,
            "darwin",
            "Library/Application Support/Claude/claude_desktop_config.json",
        ),
        (Host.CLAUDE_DESKTOP, "win32", "AppData/Roaming/Claude/claude_desktop_config.json"),
        (Host.CLAUDE_CODE, "linux", ".claude.json"),
        (Host.CLAUDE_CODE, "darwin", ".claude.json"),
        (Host.CLAUDE_CODE, "win32", ".claude.json"),
        (Host.CURSOR, "linux", ".cursor/mcp.json"),
        (Host.CURSOR, "darwin", ".cursor/mcp.json"),
        (Host.CURSOR, "win32", ".cursor/mcp.json"),
        (Host.VSCODE, "linux", ".config/Code/User/mcp.json"),
        (Host.VSCODE, "darwin", "Library/Application Support/Code/User/mcp.json"),
        (Host.VSCODE, "win32", "AppData/Roaming/Code/User/mcp.json"),
    ],
)
def test_each_host_is_found_where_it_keeps_its_file(
    tmp_path: Path, host: Host, platform: str, expected: str
) -> None:
    found = locate(host, scope=Scope.USER, machine=machine(tmp_path, platform))
    assert found == tmp_path / expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (Host.CLAUDE_CODE, ".mcp.json"),
        (Host.CURSOR, ".cursor/mcp.json"),
        (Host.VSCODE, ".vscode/mcp.json"),
    ],
)
def test_project_files_lie_in_the_project(tmp_path: Path, host: Host, expected: str) -> None:
    found = locate(host, scope=Scope.PROJECT, machine=machine(tmp_path))
    assert found == tmp_path / "project" / expected


def test_a_host_without_project_files_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="Claude Desktop has no project files"):
        locate(Host.CLAUDE_DESKTOP, scope=Scope.PROJECT, machine=machine(tmp_path))


def test_folders_named_by_the_environment_win(tmp_path: Path) -> None:
    moved = machine(tmp_path, XDG_CONFIG_HOME="/elsewhere", CLAUDE_CONFIG_DIR="/mine")
    assert locate(Host.VSCODE, scope=Scope.USER, machine=moved) == Path(
        "/elsewhere/Code/User/mcp.json"
    )
    assert locate(Host.CLAUDE_CODE, scope=Scope.USER, machine=moved) == Path("/mine/.claude.json")


def test_a_packaged_claude_desktop_is_found_in_its_private_folder(tmp_path: Path) -> None:
    private = tmp_path / "AppData/Local/Packages/Claude_abc123/LocalCache/Roaming/Claude"
    private.mkdir(parents=True)
    found = locate(Host.CLAUDE_DESKTOP, scope=Scope.USER, machine=machine(tmp_path, "win32"))
    assert found == private / "claude_desktop_config.json"


@pytest.mark.parametrize("host", list(Host))
def test_the_stdio_snippet_in_the_repository_is_what_connect_writes(host: Host) -> None:
    assert json.loads((SNIPPETS / f"{host}.json").read_text()) == snippet(host, STDIO)


@pytest.mark.parametrize(
    "host", [host for host, known in known_hosts().items() if known.takes_http]
)
def test_the_http_snippet_in_the_repository_is_what_connect_writes(host: Host) -> None:
    assert json.loads((SNIPPETS / f"{host}.http.json").read_text()) == snippet(host, HTTP)


def test_every_snippet_in_the_repository_belongs_to_a_host() -> None:
    hosts = {path.name.removesuffix(".json").removesuffix(".http") for path in SNIPPETS.iterdir()}
    assert hosts == {host.value for host in Host}


def test_a_host_that_takes_commands_only_refuses_a_url() -> None:
    with pytest.raises(InvalidInput, match="connect it over stdio"):
        snippet(Host.CLAUDE_DESKTOP, HTTP)


def test_environment_and_headers_reach_the_entry() -> None:
    stdio = StdioTransport(command="toolcrib", env={"TOOLCRIB_DATA_DIR": "/data"}, cwd="/work")
    assert snippet(Host.CLAUDE_DESKTOP, stdio)["mcpServers"]["toolcrib"] == {
        "command": "toolcrib",
        "args": [],
        "env": {"TOOLCRIB_DATA_DIR": "/data"},
        "cwd": "/work",
    }
    http = HttpTransport(url="http://127.0.0.1:8321/mcp", headers={"X-Key": "${KEY}"})
    assert snippet(Host.VSCODE, http, name="crib") == {
        "servers": {
            "crib": {"type": "http", "url": http.url, "headers": {"X-Key": "${KEY}"}},
        }
    }


def test_the_installed_command_is_found_as_an_absolute_path(tmp_path: Path) -> None:
    found = find_executable(machine(tmp_path))
    assert found.is_absolute()
    assert found.parent == Path(sys.executable).parent


def test_a_command_that_is_nowhere_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"toolcrib\.exe"):
        find_executable(machine(tmp_path, "win32", PATH=str(tmp_path)))


def test_the_current_machine_describes_this_process() -> None:
    here = Machine.current()
    assert (here.platform, here.home, here.project) == (sys.platform, Path.home(), Path.cwd())
