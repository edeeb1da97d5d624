"""Whoever ends a long command is told in a line what is kept; one that nobody reads ends well."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Toolcrib

TOOLCRIB = str(Path(sys.executable).with_name("toolcrib"))
DEADLINE_S = 60
QUERIES = 3_000


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """Have children heed SIGINT also where it is ignored, as by whatever runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def outcomes(tmp_path: Path) -> Path:
    """Write so many outcomes that their queries take a while to encode."""
    rows = [
        {"query": f"question {n} about the matter of some thing", "model": "clerk", "score": 1}
        for n in range(QUERIES)
    ]
    file = tmp_path / "outcomes.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def interrupted(env: dict[str, str], *args: object) -> str:
    """Run a command, end it with Ctrl-C when it says how far it is, and give what it said then."""
    command = [TOOLCRIB, *map(str, args)]
    given = {**os.environ, **env}
    with subprocess.Popen(command, env=given, stdout=-1, stderr=-1, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert " of " in first, first
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(DEADLINE_S) == 130, said
    return said


def test_an_import_of_outcomes_says_what_is_in_and_goes_on_where_it_was(
    own_folders: dict[str, str], outcomes: Path, toolcrib: Toolcrib
) -> None:
    said = interrupted(own_folders, "outcomes", "import", outcomes)
    assert "Traceback" not in said
    last = said.splitlines()[-1]
    assert last.startswith(f"Interrupted. All of outcomes.jsonl is kept ({QUERIES} outcomes).")
    assert f" of {QUERIES} new queries are encoded. Run it again to encode the rest." in last
    assert f"{QUERIES} outcomes" in toolcrib("outcomes", "forget", "--all").out


def test_an_import_of_tools_says_that_what_is_in_stays(
    own_folders: dict[str, str], tmp_path: Path, toolcrib: Toolcrib
) -> None:
    tools = tmp_path / "tools.jsonl"
    rows = [
        {"server": "s", "name": f"t{n}", "description": f"Tells of number {n}."}
        for n in range(QUERIES)
    ]
    tools.write_text("\n".join(map(json.dumps, rows)))
    said = interrupted(own_folders, "import", tools)
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("Interrupted. What was registered and embedded until")
    assert toolcrib("list", "--json").json[0]["name"] == "s"


@pytest.mark.parametrize("place", ["toolcrib_server.cli.app", "toolcrib_server.cli.reading"])
def test_a_command_that_has_not_begun_ends_without_a_traceback(place: str) -> None:
    script = (
        "import signal, sys\n"
        "class Ending:\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == {place!r}: signal.raise_signal(signal.SIGINT)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.meta_path.insert(0, Ending())\n"
        "from toolcrib_server.cli import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", script, "list"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert (ran.returncode, ran.stderr, ran.stdout) == (130, "Interrupted.\n", "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_command_with_a_closed_stream_does_its_work(
    own_folders: dict[str, str], closed: str
) -> None:
    given = {**os.environ, **own_folders}
    ran = subprocess.run(
        ["bash", "-c", f'"$0" list {closed}', TOOLCRIB],
        env=given,
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
