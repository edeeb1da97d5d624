"""`toolcrib eval` as users run it, with the real encoder: the example, bad input, interruption."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, Toolcrib

PAGE = ROOT / "docs/evaluation.md"
COMMANDS = re.findall(r"^toolcrib (eval .*)$", PAGE.read_text(), re.MULTILINE)
EXAMPLE = ROOT / "examples/evaluation"
TOOLCRIB = [sys.executable, "-c", "from toolcrib_server.cli import main; main()"]
DEADLINE_S = 60


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand where the examples lie as the page says."""
    (tmp_path / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
    monkeypatch.chdir(tmp_path)


def test_every_command_of_the_page_runs(toolcrib: Toolcrib, tmp_path: Path) -> None:
    assert len(COMMANDS) >= 4
    for command in COMMANDS:
        ran = toolcrib(*shlex.split(command, comments=True))
        assert ran.code == 0, f"{command}: {ran.err}"
    assert (tmp_path / "report/report.html").is_file()
    assert not (tmp_path / "data").exists(), "judging needs no registry"


def test_the_example_is_judged_and_its_answers_are_found(toolcrib: Toolcrib) -> None:
    first = toolcrib("eval", "retrieval", EXAMPLE)
    assert first.code == 0, first.err
    assert "NDCG@10" in first.out
    again = toolcrib("eval", "retrieval", EXAMPLE, "--json")
    assert again.err == ""
    done: dict[str, Any] = json.loads(again.out)
    measures = done["sets"][0]["scores"]["shipped"]["measures"]
    assert measures["recall@10"]["mean"] == 1.0
    assert measures["ndcg@10"]["mean"] > 0.5
    assert done["encoder"].startswith("all-MiniLM-L6-v2@")
    assert done["command"].endswith("--json")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["/no/such/folder"], "/no/such/folder is no folder"),
        ([EXAMPLE, "--config", "shiped"], "Did you mean shipped?"),
        ([EXAMPLE, "--compare", "rrf", "rrf"], "two different configurations"),
        ([EXAMPLE, "-k", "5"], "k is 5; it must be from 10"),
        ([EXAMPLE, "--limit", "0"], "at least one query"),
        ([EXAMPLE, "--representation", "x"], "is no representation. There are default"),
        ([EXAMPLE, "--out", EXAMPLE / "qrels.tsv"], "cannot be written to"),
    ],
)
def test_what_is_wrong_is_said(toolcrib: Toolcrib, args: list[object], says: str) -> None:
    ran = toolcrib("eval", "retrieval", *args)
    assert ran.code == 2, ran.err
    assert says in ran.err
    assert ran.out == ""


@pytest.mark.parametrize(
    ("library", "name", "options"),
    [("ir_measures", "ir-measures", ""), ("matplotlib", "matplotlib", "'--out', 'x'")],
)
def test_a_missing_library_is_named_with_what_installs_it(
    own_folders: dict[str, str], tmp_path: Path, library: str, name: str, options: str
) -> None:
    code = (
        f"import sys; sys.modules['{library}'] = None\n"
        f"sys.argv = ['toolcrib', 'eval', 'retrieval', {str(EXAMPLE)!r}, {options}]\n"
        "from toolcrib_server.cli import main; main()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **own_folders},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ran.returncode == 2
    assert ran.stderr == (
        f"toolcrib: {name} is not installed. Install the extra: pip install 'toolcrib[eval]'\n"
    )


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """Have children heed SIGINT also where it is ignored, as by whatever runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_an_interruption_leaves_nothing_half_written(
    own_folders: dict[str, str], toolcrib: Toolcrib, tmp_path: Path
) -> None:
    folder = tmp_path / "large"
    folder.mkdir()
    words = ["convert", "list", "send", "read", "write", "find", "count", "sort", "open", "close"]
    rows = [
        {"id": f"t{n}", "server": "s", "name": f"tool{n}", "description": f"{w} number {n}"}
        for n, w in enumerate(words * 1000)
    ]
    (folder / "tools.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "queries.jsonl").write_text('{"id": "q", "text": "convert number 10"}\n')
    (folder / "qrels.tsv").write_text("q\tt10\t1\n")
    command = [*TOOLCRIB, "eval", "retrieval", str(folder), "--out", str(tmp_path / "out")]
    with subprocess.Popen(
        command, env={**os.environ, **own_folders}, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert re.match(r"large: encoding: \d+ of 10000$", line), line
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(DEADLINE_S) == 130, said
    assert "Interrupted." in said
    assert "Traceback" not in said
    assert list((tmp_path / "out").iterdir()) == []
    lines = (folder / "tools.jsonl").read_text().splitlines(keepends=True)
    (folder / "tools.jsonl").write_text("".join(lines[:400]))
    assert toolcrib("eval", "retrieval", folder).code == 0, "what was encoded is whole"
