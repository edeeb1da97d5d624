"""What every measurement does with its options, its figures and Ctrl-C."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "_command.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_command", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


command = load()


def test_figures_are_written_where_json_says(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    args = command.parser("What it measures.").parse_args(["--json", str(file)])
    command.write({"p50_ms": 1.5}, args.json)
    assert json.loads(file.read_text()) == {"p50_ms": 1.5}


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(SystemExit):
        command.parser(None).parse_args(["--json", str(missing / "figures.json")])
    assert f"there is no folder {missing}" in capsys.readouterr().err


def test_a_folder_of_data_that_is_not_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.parser(None, data=True).parse_args(["--data", str(tmp_path / "missing")])
    assert "there is no folder" in capsys.readouterr().err


def test_an_interruption_ends_a_measurement_with_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def measure() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        command.run(measure)
    assert ended.value.code == 130
    assert capsys.readouterr().err.strip() == "Interrupted: nothing more is measured."
