"""Plan, show, apply, undo: against real files."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from toolcrib_registry.errors import InvalidConfig, InvalidInput, NotFound
from toolcrib_registry.types import HttpTransport, StdioTransport
from toolcrib_server.hosts import (
    Host,
    Machine,
    Plan,
    Scope,
    apply,
    known_hosts,
    locate,
    plan_connect,
    plan_remove,
    plan_undo,
)

STDIO = StdioTransport(command="/opt/toolcrib/bin/toolcrib", args=("stdio",))
HTTP = HttpTransport(url="http://127.0.0.1:8321/mcp")

VSCODE_FILE = """\
{
  // Servers of this team
  "inputs": [],
  "servers": {
    "github": {
      "type": "stdio",
      "command": "gh-mcp",
      "env": { "TOKEN": "s3cret" } // do not share
    }
  }
}
"""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A Linux machine whose home and project are empty."""
    return Machine(platform="linux", home=tmp_path / "home", project=tmp_path / "project")


def put(machine: Machine, host: Host, text: str, *, scope: Scope = Scope.USER) -> Path:
    path = locate(host, scope=scope, machine=machine)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def connect(machine: Machine, host: Host = Host.VSCODE) -> Plan:
    return plan_connect(host, transport=STDIO, machine=machine)


@pytest.mark.parametrize("host", list(Host))
def test_connecting_a_host_without_a_file_makes_one_and_undo_takes_it_away(
    machine: Machine, host: Host
) -> None:
    plan = connect(machine, host)
    assert not plan.path.exists()
    assert any("is not there yet" in note for note in plan.notes)
    apply(plan)
    container = known_hosts()[host].container
    written = json.loads(plan.path.read_text())[container]["toolcrib"]
    assert written["command"] == STDIO.command
    assert written["args"] == ["stdio"]
    apply(plan_undo(host, machine=machine))
    assert list(plan.path.parent.iterdir()) == []


def test_the_diff_is_shown_before_anything_is_written(machine: Machine) -> None:
    path = put(machine, Host.VSCODE, VSCODE_FILE)
    plan = connect(machine)
    assert path.read_text() == VSCODE_FILE
    added = [line for line in plan.diff.splitlines() if line.startswith("+ ")]
    assert '+      "command": "/opt/toolcrib/bin/toolcrib",' in added
    assert plan.diff.startswith(f"--- {path}\n+++ {path}\n@@")


def test_the_diff_shows_no_secret_of_the_users(machine: Machine) -> None:
    put(machine, Host.VSCODE, VSCODE_FILE)
    plan = connect(machine)
    assert '"TOKEN": "…"' in plan.diff
    assert "s3cret" not in plan.diff
    transport = replace(STDIO, env={"TOOLCRIB_API_KEY": "k3y"})
    assert "k3y" not in plan_connect(Host.VSCODE, transport=transport, machine=machine).diff


def test_everything_else_in_the_file_stays(machine: Machine) -> None:
    path = put(machine, Host.VSCODE, VSCODE_FILE)
    apply(connect(machine))
    edited = path.read_text()
    kept = [line for line in VSCODE_FILE.splitlines() if line.strip() != "}"]
    assert all(line in edited for line in kept)


def test_connecting_twice_changes_nothing_and_says_so(machine: Machine) -> None:
    path = put(machine, Host.VSCODE, VSCODE_FILE)
    apply(connect(machine))
    text, siblings = path.read_bytes(), sorted(path.parent.iterdir())
    again = connect(machine)
    assert not again.changes
    assert again.diff == ""
    assert again.notes == ("VS Code is connected already; nothing to change.",)
    assert apply(again) is None
    assert (path.read_bytes(), sorted(path.parent.iterdir())) == (text, siblings)


def test_the_backup_is_the_file_as_it_was(machine: Machine) -> None:
    path = put(machine, Host.CLAUDE_DESKTOP, '{"theme":"dark"}\r\n')
    backup = apply(connect(machine, Host.CLAUDE_DESKTOP))
    assert backup is not None
    assert backup.parent == path.parent
    assert backup.read_bytes() == b'{"theme":"dark"}\r\n'


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no mode bits")
def test_the_mode_of_the_file_stays_and_a_new_one_is_private(machine: Machine) -> None:
    path = put(machine, Host.CURSOR, "{}")
    path.chmod(0o640)
    backup = apply(connect(machine, Host.CURSOR))
    assert backup is not None
    assert (path.stat().st_mode & 0o777, backup.stat().st_mode & 0o777) == (0o640, 0o640)
    plan = connect(machine, Host.CLAUDE_CODE)
    apply(plan)
    assert plan.path.stat().st_mode & 0o777 == 0o600


def test_a_linked_settings_file_stays_a_link(machine: Machine, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.json"
    real.write_text("{}")
    link = locate(Host.CURSOR, scope=Scope.USER, machine=machine)
    link.parent.mkdir(parents=True)
    link.symlink_to(real)
    apply(connect(machine, Host.CURSOR))
    assert link.is_symlink()
    assert "toolcrib" in real.read_text()


def test_undo_restores_to_the_byte(machine: Machine) -> None:
    path = put(machine, Host.VSCODE, VSCODE_FILE.replace("\n", "\r\n"))
    before = path.read_bytes()
    apply(connect(machine))
    assert path.read_bytes() != before
    undo = plan_undo(Host.VSCODE, machine=machine)
    assert undo.changes
    assert '-      "command": "/opt/toolcrib/bin/toolcrib",' in undo.diff
    apply(undo)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(NotFound, match="backup"):
        plan_undo(Host.VSCODE, machine=machine)


def test_undo_keeps_edits_made_since(machine: Machine) -> None:
    path = put(machine, Host.VSCODE, VSCODE_FILE)
    apply(connect(machine))
    path.write_text(path.read_text().replace('"inputs": []', '"inputs": [1]'))
    undo = plan_undo(Host.VSCODE, machine=machine)
    assert "edited since" in undo.notes[0]
    apply(undo)
    assert path.read_text() == VSCODE_FILE.replace('"inputs": []', '"inputs": [1]')


def test_undo_puts_back_the_entry_that_was_replaced(machine: Machine) -> None:
    old = '{"mcpServers": {"toolcrib": {"command": "old"}}}'
    path = put(machine, Host.CURSOR, old)
    apply(connect(machine, Host.CURSOR))
    path.write_text(json.dumps({**json.loads(path.read_text()), "later": 1}))
    apply(plan_undo(Host.CURSOR, machine=machine))
    assert json.loads(path.read_text()) == {**json.loads(old), "later": 1}


def test_undo_of_two_changes_goes_back_one_at_a_time(machine: Machine) -> None:
    path = put(machine, Host.CURSOR, "{}")
    apply(connect(machine, Host.CURSOR))
    over_stdio = path.read_text()
    apply(plan_connect(Host.CURSOR, transport=HTTP, machine=machine))
    apply(plan_undo(Host.CURSOR, machine=machine))
    assert path.read_text() == over_stdio
    apply(plan_undo(Host.CURSOR, machine=machine))
    assert path.read_text() == "{}"


def test_remove_takes_our_entry_only_and_can_be_undone(machine: Machine) -> None:
    path = put(machine, Host.VSCODE, VSCODE_FILE)
    apply(connect(machine))
    connected = path.read_text()
    apply(plan_remove(Host.VSCODE, machine=machine))
    assert path.read_text() == VSCODE_FILE
    apply(plan_undo(Host.VSCODE, machine=machine))
    assert path.read_text() == connected


def test_removing_what_is_not_there_changes_nothing(machine: Machine) -> None:
    plan = plan_remove(Host.CLAUDE_CODE, machine=machine)
    assert not plan.changes
    assert plan.notes == ("Claude Code is not connected; nothing to change.",)


def test_what_the_user_added_to_our_entry_is_kept(machine: Machine) -> None:
    put(
        machine,
        Host.CURSOR,
        '{"mcpServers": {"toolcrib": {"type": "stdio", "command": "old", "env": {"A": "1"},'
        ' "disabled": true}}}',
    )
    plan = connect(machine, Host.CURSOR)
    assert plan.after is not None
    assert json.loads(plan.after)["mcpServers"]["toolcrib"] == {
        "type": "stdio",
        "command": STDIO.command,
        "args": ["stdio"],
        "env": {"A": "1"},
        "disabled": True,
    }


def test_our_environment_is_brought_up_to_date_and_theirs_kept(machine: Machine) -> None:
    put(machine, Host.CURSOR, '{"mcpServers": {"toolcrib": {"env": {"A": "old", "B": "theirs"}}}}')
    transport = replace(STDIO, env={"A": "new"})
    plan = plan_connect(Host.CURSOR, transport=transport, machine=machine)
    assert plan.after is not None
    entry = json.loads(plan.after)["mcpServers"]["toolcrib"]
    assert entry["env"] == {"A": "new", "B": "theirs"}


def test_changing_the_transport_drops_what_belonged_to_the_other(machine: Machine) -> None:
    path = put(machine, Host.CLAUDE_CODE, "{}")
    transport = replace(STDIO, env={"A": "1"})
    apply(plan_connect(Host.CLAUDE_CODE, transport=transport, machine=machine))
    apply(plan_connect(Host.CLAUDE_CODE, transport=HTTP, machine=machine))
    entry = json.loads(path.read_text())["mcpServers"]["toolcrib"]
    assert entry == {"type": "http", "url": HTTP.url}


def test_an_entry_that_is_no_object_is_replaced(machine: Machine) -> None:
    put(machine, Host.CURSOR, '{"mcpServers": {"toolcrib": null}}')
    plan = connect(machine, Host.CURSOR)
    assert plan.after is not None
    assert json.loads(plan.after)["mcpServers"]["toolcrib"]["args"] == ["stdio"]


def test_project_scope_writes_in_the_project(machine: Machine) -> None:
    plan = plan_connect(
        Host.CLAUDE_CODE, transport=HTTP, machine=machine, scope=Scope.PROJECT, name="crib"
    )
    apply(plan)
    written = json.loads((machine.project / ".mcp.json").read_text())
    assert written == {"mcpServers": {"crib": {"type": "http", "url": HTTP.url}}}


@pytest.mark.parametrize("text", ["{", "[]", '{"servers": 3}', "// only a note"])
def test_a_malformed_file_is_named_and_left_alone(machine: Machine, text: str) -> None:
    path = put(machine, Host.VSCODE, text)
    with pytest.raises(InvalidConfig) as refused:
        connect(machine)
    assert refused.value.file == str(path)
    assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_is_not_text_is_named(machine: Machine) -> None:
    path = put(machine, Host.VSCODE, "")
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(InvalidConfig, match="not UTF-8"):
        connect(machine)


def test_a_folder_in_the_files_place_is_named(machine: Machine) -> None:
    locate(Host.VSCODE, scope=Scope.USER, machine=machine).mkdir(parents=True)
    with pytest.raises(InvalidConfig, match=r"mcp\.json: it cannot be read"):
        connect(machine)


def test_a_file_that_changed_after_planning_is_left_alone(machine: Machine) -> None:
    path = put(machine, Host.VSCODE, VSCODE_FILE)
    plan = connect(machine)
    path.write_text('{"servers": {"new": {}}}')
    with pytest.raises(InvalidConfig, match="changed after the change was planned"):
        apply(plan)
    assert path.read_text() == '{"servers": {"new": {}}}'


def test_a_place_that_cannot_be_written_is_named_and_nothing_is_left_there(
    machine: Machine,
) -> None:
    plan = connect(machine)
    # The file's own name fits; the backup's, which is longer, fits no file system.
    plan = replace(plan, path=plan.path.with_name("m" * 250))
    with pytest.raises(InvalidConfig, match=r"mmm: it cannot be written: File name too long"):
        apply(plan)
    assert list(plan.path.parent.iterdir()) == []


def test_a_host_that_takes_no_url_refuses_before_reading(machine: Machine) -> None:
    with pytest.raises(InvalidInput, match="over stdio"):
        plan_connect(Host.CLAUDE_DESKTOP, transport=HTTP, machine=machine)
