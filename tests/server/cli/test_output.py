"""What others wrote reaches a terminal as text, on either stream, and a pipe as it is."""

import os
import pty
import re
import subprocess
import sys

import pytest

from toolcrib_server.cli.output import clipped, print_table

HOSTILE = "a\x1b]0;title\x07b\x9b2Jc\u202ed"
PRINT = "import sys; from toolcrib_server.cli.output import {0}; {0}(sys.argv[1])"


@pytest.mark.parametrize(
    ("function", "stream"), [("print_line", "stdout"), ("print_note", "stderr")]
)
def test_no_control_character_reaches_a_terminal(function: str, stream: str) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", PRINT.format(function), HOSTILE]
    done = subprocess.run(command, timeout=60, check=False, **{stream: theirs})  # type: ignore[call-overload]
    os.close(theirs)
    shown = os.read(ours, 1000).decode()
    os.close(ours)
    assert done.returncode == 0
    assert shown == "a\ufffd]0;title\ufffdb\ufffd2Jc\ufffdd\r\n"


def test_a_pipe_is_given_a_note_as_it_is() -> None:
    command = [sys.executable, "-c", PRINT.format("print_note"), HOSTILE]
    done = subprocess.run(command, timeout=60, check=False, capture_output=True)
    assert done.stderr.decode() == f"{HOSTILE}\n"


def test_a_row_is_a_line_whatever_its_cells_hold_and_wide_letters_are_not_cut(
    capsys: pytest.CaptureFixture[str],
) -> None:
    breaks = "one\ntwo\r\nthree\x0bfour\x0cfive\x85six\u2028seven\u2029eight\x1b[2Jnine\tten"
    print_table(("first", "second"), [(breaks, "中文工具名字"), ("x", "y")], empty="")
    heading, hostile, plain = capsys.readouterr().out.splitlines()
    assert heading.split() == ["first", "second"]
    assert hostile.endswith("中文工具名字")
    assert "\x1b" not in hostile
    assert "nine ten" in hostile
    assert plain.split() == ["x", "y"]


TABLE = (
    "from toolcrib_server.cli.output import print_table; print_table(('name', 'score', 'said'), "
    "[('clock__convert_time', '0.5', 'word ' * 20)], empty='', spare=('score',))"
)


@pytest.mark.parametrize(
    ("columns", "heading"), [(50, ["name", "score", "said"]), (40, ["name", "said"])]
)
def test_a_spare_column_is_left_out_before_a_name_is_cut(columns: int, heading: list[str]) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    subprocess.run(
        [sys.executable, "-c", TABLE], timeout=60, check=True, stdout=theirs, env=environment
    )
    os.close(theirs)
    first, second = re.sub(r"\x1b\[\d*m", "", os.read(ours, 1000).decode()).splitlines()
    os.close(ours)
    assert first.split() == heading
    assert second.startswith("clock__convert_time  ")
    assert len(second) == columns
    assert second.endswith("…")


def test_free_text_is_clipped_to_a_line_that_a_table_has_room_for() -> None:
    assert clipped(None) is None
    assert clipped("  two\n words ") == "two words"
    assert clipped("a" * 160) == "a" * 160
    assert clipped("a" * 161) == "a" * 159 + "…"
