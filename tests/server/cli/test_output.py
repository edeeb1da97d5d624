"""What others wrote reaches a terminal as text, on either stream, and a pipe as it is."""

import os
import pty
import subprocess
import sys

import pytest

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
