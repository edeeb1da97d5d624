"""Writes an evaluation into a folder, every file whole or not at all, the results last."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from toolcrib_registry.errors import InvalidInput

from .judgements import one_word
from .measures import MEASURES
from .paper import THEMES
from .plots import draw_all
from .report import render_report
from .results import Evaluation, SetResult, render_results
from .trial import Answered, Trial

RESULTS: Final = "results.json"
PER_QUERY: Final = "per_query.csv"
REPORT: Final = "report.html"
_TAG: Final = "toolcrib"
_PARTED: Final = " | "


def make_folder(folder: Path) -> None:
    """Make the folder, and see that it can be written to, before any long work.

    Raises:
        InvalidInput: It cannot be made, or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InvalidInput(f"{folder} cannot be written to: {error.strerror}.") from error


def write_evaluation(folder: Path, evaluation: Evaluation) -> tuple[Path, ...]:
    """Write figures, rankings, plots and a report; return what was written.

    Files of an earlier evaluation with the same names are replaced; others stay.

    Raises:
        InvalidInput: The folder cannot be written to.
    """
    make_folder(folder)
    return write_files(folder, dict(_contents(evaluation)))


def write_files(folder: Path, contents: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write files by name into a folder that is there, each whole or not at all.

    Raises:
        InvalidInput: The folder cannot be written to.
    """
    written: list[Path] = []
    try:
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder) as place:
            for number, (name, content) in enumerate(contents.items()):
                part = Path(place) / str(number)
                part.write_bytes(content)
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                part.replace(target)
                written.append(target)
    except OSError as error:
        raise InvalidInput(f"{folder} cannot be written to: {error.strerror}.") from error
    return tuple(written)


def _contents(evaluation: Evaluation) -> Iterator[tuple[str, bytes]]:
    plots = {theme: draw_all(evaluation, theme) for theme in THEMES}
    for result in evaluation.sets:
        yield f"qrels/{result.name}.txt", result.judgements.encode()
        for trial in result.trials:
            yield f"runs/{trial.configuration.name}/{result.name}.trec", _run(trial).encode()
    yield PER_QUERY, _per_query(evaluation).encode()
    for name, plot in plots[THEMES[0]].items():
        yield f"{name}.png", plot.png
    yield REPORT, render_report(evaluation, plots).encode()
    rendered = json.dumps(render_results(evaluation), indent=1, ensure_ascii=False)
    yield RESULTS, (rendered + "\n").encode()


def _run(trial: Trial) -> str:
    return "".join(line for answer in trial.answers for line in _run_lines(answer))


def _run_lines(answer: Answered) -> Iterator[str]:
    count = len(answer.found)
    for place, tool in enumerate(answer.found):
        # The score is the rank turned round: the order is what is judged, and no tie is left.
        yield f"{one_word(answer.query)} Q0 {one_word(tool)} {place + 1} {count - place} {_TAG}\n"


def _per_query(evaluation: Evaluation) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    times = ("search_ms", "encode_ms")
    writer.writerow(("set", "configuration", "query", "text", *MEASURES, *times, "found", "missed"))
    for result in evaluation.sets:
        for trial in result.trials:
            writer.writerows(_query_rows(result, trial))
    return out.getvalue()


def _query_rows(result: SetResult, trial: Trial) -> Iterator[tuple[object, ...]]:
    name = trial.configuration.name
    rows = zip(trial.answers, result.values[name], result.missed[name], strict=True)
    for answer, values, missed in rows:
        yield (
            result.name,
            name,
            answer.query,
            " ".join(result.queries[answer.query].split()),
            *(f"{value:.4f}" for value in values),
            f"{answer.search_ms:.3f}",
            "" if answer.encode_ms is None else f"{answer.encode_ms:.3f}",
            _PARTED.join(answer.found),
            _PARTED.join(missed),
        )
