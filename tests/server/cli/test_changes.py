"""Changes in a terminal: who, what, when, and how it differs."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from toolcrib_registry.types import (
    Change,
    ChangeAction,
    EntryId,
    Mark,
    MarkReason,
    Revision,
    ServerName,
)
from toolcrib_server.cli.changes import change_view, print_change, print_changes
from toolcrib_server.cli.output import flush

BEFORE = {"description": "List the files.", "annotations": {"readOnlyHint": True}}
AFTER = {"description": "List all files.\u202e\x1b[2J", "annotations": {"readOnlyHint": False}}
CHANGE = Change(
    revision=Revision(7),
    at=datetime(2026, 11, 21, 7, 30, tzinfo=UTC),
    actor="sync",
    action=ChangeAction.UPDATED,
    subject="tool:s__list",
    server=ServerName("s"),
    fields=("annotations", "description"),
    before=BEFORE,
    after=AFTER,
)


def be_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have standard output be a terminal with colours."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)


def printed(capsys: pytest.CaptureFixture[str], change: Change, **how: Any) -> list[str]:
    print_change(change, diff=True, **how)
    return capsys.readouterr().out.splitlines()


def test_a_change_is_a_line_and_its_differences_stand_under_it(capsys):
    head, *lines = printed(capsys, CHANGE)
    assert head.split()[0] == "7"
    assert head.split()[3:] == ["sync", "updated", "tool:s__list"]
    assert [line.strip() for line in lines] == [
        "description: List [-the files.-] {+all files.\\u{202e}\\u{1b}[2J+}",
        "annotations: readOnlyHint true -> false",
    ]


def test_colours_stand_for_the_marks_on_a_terminal_and_nothing_hidden_gets_through(
    capsys, monkeypatch
):
    be_terminal(monkeypatch)
    text = "\n".join(printed(capsys, CHANGE))
    assert "\x1b[31;9mthe files. \x1b[0m" in text
    assert "[-" not in text
    assert "\x1b[2J" not in text
    assert "\u202e" not in text


def test_no_colour_is_respected(capsys, monkeypatch):
    be_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    text = "\n".join(printed(capsys, CHANGE))
    assert "\x1b" not in text
    assert "[-the files.-]" in text


def test_marks_and_what_is_related_are_said(capsys):
    mark = Mark(reason=MarkReason.DESTRUCTIVE, detail="It says now that it destroys.\u202e")
    quarantined = replace(CHANGE, action=ChangeAction.QUARANTINED, marks=(mark,))
    lines = printed(capsys, quarantined)
    assert lines[0].split()[4] == "quarantined"
    assert lines[0].index("tool:") == printed(capsys, CHANGE)[0].index("tool:")
    assert lines[1].strip() == "! destructive: It says now that it destroys.\\u{202e}"
    removed = replace(
        CHANGE, action=ChangeAction.REMOVED, after=None, related=EntryId("tool:s__ls")
    )
    assert printed(capsys, removed)[1].strip() == "replaced by tool:s__ls"
    added = replace(CHANGE, action=ChangeAction.ADDED, before=None, related=EntryId("tool:s__x"))
    assert [line.strip() for line in printed(capsys, added)[1:]] == [
        "replaces tool:s__x",
        "List all files.\\u{202e}\\u{1b}[2J",
    ]


def test_a_table_without_differences_names_marks_among_the_fields(capsys):
    mark = Mark(reason=MarkReason.CHANGED, detail="It changed.")
    print_changes([replace(CHANGE, marks=(mark,))], diff=False, as_json=False)
    out = capsys.readouterr().out
    assert "annotations, description, !changed" in out
    print_changes([], diff=True, as_json=False)
    assert capsys.readouterr().out == "Nothing has changed yet.\n"


def test_a_listing_loads_no_http_face():
    look = "import sys, toolcrib_server.cli.app; sys.exit('fastapi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0


def test_a_script_gets_the_differences_as_data_when_it_asks():
    assert "diff" not in change_view(CHANGE, diff=False)
    view = json.loads(json.dumps(change_view(CHANGE, diff=True)))
    assert [edit["path"] for edit in view["diff"]] == ["description", "annotations.readOnlyHint"]
    assert view["after"]["description"] == AFTER["description"]


def test_secrets_of_a_server_are_masked_in_both(capsys):
    server = replace(
        CHANGE,
        subject="server:s",
        before={"url": "http://x/?key=one", "enabled": True},
        after={"url": "http://x/?key=two", "enabled": False},
    )
    assert "key=•••" in json.dumps(change_view(server, diff=True), ensure_ascii=False)
    assert "one" not in json.dumps(change_view(server, diff=True))
    assert "two" not in "\n".join(printed(capsys, server))


def test_a_reader_that_left_is_noticed_though_nothing_is_written(monkeypatch):
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        flush()
        os.close(reading)
        with pytest.raises(BrokenPipeError):
            flush()
