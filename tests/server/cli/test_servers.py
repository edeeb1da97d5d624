"""Where a command is run that was registered from the command line."""

from pathlib import Path

import pytest

from toolcrib_server.cli.servers import folder_of


def test_a_command_with_a_path_of_this_folder_is_run_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").mkdir()
    assert folder_of(["npx", "server-filesystem", "notes"]) == str(tmp_path)
    assert folder_of(["npx", "server-filesystem", "../"]) == str(tmp_path)


def test_a_command_that_holds_from_anywhere_is_bound_to_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").mkdir()
    assert folder_of(["npx", "server-filesystem", str(tmp_path / "notes")]) is None
    assert folder_of(["uvx", "mcp-server-time", "x" * 5000]) is None
