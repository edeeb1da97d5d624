"""Judging: ``eval retrieval`` and ``eval routing``, on data whose answers are known."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.runtime import read_version
from toolcrib_server.runtime.encoder import open_encoder
from toolcrib_server.settings import Settings

from .options import AsJson
from .output import Progress, print_json, print_line, print_note, print_table, progress
from .running import interruptible, read_settings

if TYPE_CHECKING:
    # Slow to import, and other verbs have no use for it.
    from toolcrib_embeddings import Encoder
    from toolcrib_embeddings.documents.representation import Representation
    from toolcrib_server.evaluation.evaluate import Plan
    from toolcrib_server.evaluation.results import Evaluation
    from toolcrib_server.evaluation.routing.results import RoutingEvaluation
    from toolcrib_server.evaluation.tables import Table

_ROOM_FOR_ALL_COLUMNS = 124
_KEPT = "What was encoded is kept: run it again to go on."

app = typer.Typer(
    name="eval",
    help="Judge how well Toolcrib does its work, on data whose answers are known.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def retrieval(
    folders: Annotated[
        list[Path],
        typer.Argument(help="Folders of tools.jsonl, queries.jsonl and qrels.tsv, or of such."),
    ],
    config: Annotated[
        list[str] | None,
        typer.Option(help="A way of searching; may be repeated. An unknown name lists them."),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Hold configuration B against A, query by query."),
    ] = None,
    ablation: Annotated[
        bool, typer.Option("--ablation", help="As shipped, and with each stage off in turn.")
    ] = False,
    limit: Annotated[int | None, typer.Option(help="Ask a sample of so many a set.")] = None,
    seed: Annotated[int, typer.Option(help="Of the sample and of the resampling.")] = 7,
    k: Annotated[int, typer.Option("-k", help="Results asked for each query; 10 or more.")] = 10,
    representation: Annotated[
        str, typer.Option(help="How a tool becomes a vector. An unknown name lists them.")
    ] = "default",
    fold: Annotated[
        bool, typer.Option("--fold", help="Judge with near-duplicates folded away.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write results, rankings, plots and a report here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge search on your own queries: quality, time and memory.

    A folder holds tools.jsonl (as `toolcrib import` takes it), queries.jsonl (id, text) and
    qrels.tsv (query id, tool id, grade). Example: toolcrib eval retrieval mine --out report
    """
    from toolcrib_server.evaluation import evaluate, files, paper  # noqa: PLC0415  # slow

    plan = replace(
        _plan(folders, config or [], compare, ablation=ablation, fold=fold),
        limit=limit,
        seed=seed,
        k=k,
        representation=_find_representation(representation),
    )
    if out is not None:
        paper.check_available()
        files.make_folder(out)
    settings = read_settings()
    quiet = as_json and not sys.stderr.isatty()

    def show(label: str) -> AbstractContextManager[Progress]:
        return progress(label, quiet=quiet)

    with interruptible(lambda: _KEPT):
        evaluation = evaluate.evaluate(
            plan,
            lambda: _open_as_set(settings),
            cache=settings.cache_dir / "evaluation",
            show_progress=show,
            command=shlex.join(["toolcrib", *sys.argv[1:]]),
            version=read_version(),
        )
    written = files.write_evaluation(out, evaluation) if out is not None else ()
    _show(evaluation, written, as_json=as_json)


@app.command()
def routing(
    folders: Annotated[
        list[Path],
        typer.Argument(help="Folders of queries.jsonl, models.jsonl, outcomes.csv, or of such."),
    ],
    folds: Annotated[int, typer.Option(help="Judge each of so many parts in turn.")] = 5,
    hold_out: Annotated[
        float | None, typer.Option(help="Judge this share once instead, as 0.3.")
    ] = None,
    learn: Annotated[
        int | None,
        typer.Option(help="Learn from so many queries at most, as if no more were known."),
    ] = None,
    repeats: Annotated[
        int, typer.Option(help="Split anew so many times: a mean to trust, and its error.")
    ] = 1,
    seed: Annotated[int, typer.Option(help="Of the parts.")] = 7,
    out: Annotated[
        Path | None, typer.Option(help="Write results, plots and a report here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge the choice of models on your own outcomes: quality, cost, calibration, the guard.

    A folder holds queries.jsonl (id, text, group), models.jsonl (id and what is known) and
    outcomes.csv (query_id, model_id, score, cost, latency_ms). A guard set is a queries.jsonl
    with label and split. Example: toolcrib eval routing mine --out report
    """
    from toolcrib_server.evaluation import files, paper  # noqa: PLC0415  # slow
    from toolcrib_server.evaluation.routing import evaluate, report  # noqa: PLC0415  # slow

    if out is not None:
        paper.check_available()
        files.make_folder(out)
    settings = read_settings()
    quiet = as_json and not sys.stderr.isatty()
    plan = evaluate.Plan(
        paths=tuple(folders),
        folds=folds,
        hold_out=hold_out,
        learn=learn,
        repeats=repeats,
        seed=seed,
    )
    with interruptible(lambda: _KEPT):
        evaluation = evaluate.evaluate(
            plan,
            lambda: open_encoder(settings),
            cache=settings.cache_dir / "evaluation",
            show_progress=lambda label: progress(label, quiet=quiet),
            command=shlex.join(["toolcrib", *sys.argv[1:]]),
            version=read_version(),
        )
    written = report.write_routing(out, evaluation) if out is not None else ()
    _show_routing(evaluation, written, as_json=as_json)


def _open_as_set(settings: Settings) -> Encoder:
    """Open the encoder as the settings have it; what is judged is not to be something else."""
    encoder = open_encoder(settings)
    if encoder.token_fault:
        raise InvalidInput(encoder.token_fault)
    return encoder


def _show_routing(evaluation: RoutingEvaluation, written: Sequence[Path], *, as_json: bool) -> None:
    from toolcrib_server.evaluation.routing.results import render_results  # noqa: PLC0415  # slow
    from toolcrib_server.evaluation.routing.tables import all_tables  # noqa: PLC0415  # slow

    if as_json:
        print_json(render_results(evaluation))
        return
    for table in all_tables(evaluation):
        _print_one(table)
    print_line(f"Encoder {evaluation.encoder}; {evaluation.split}; {evaluation.seconds:.0f} s.")
    _say_written(written)


def _say_written(written: Sequence[Path]) -> None:
    if written:
        folder = next(path.parent for path in written if path.name == "report.html")
        print_line(f"Written to {folder}: {len(written)} files; open {folder / 'report.html'}")


def _plan(
    folders: Sequence[Path],
    names: Sequence[str],
    compare: tuple[str, str] | None,
    *,
    ablation: bool,
    fold: bool,
) -> Plan:
    from toolcrib_server.evaluation.configurations import (  # noqa: PLC0415  # slow
        SHIPPED,
        find_configuration,
        switches,
    )
    from toolcrib_server.evaluation.evaluate import Plan  # noqa: PLC0415  # slow

    if compare and compare[0] == compare[1]:
        raise InvalidInput("--compare needs two different configurations.")
    off = switches(fold=fold) if ablation else ()
    pairs = [(SHIPPED, name) for name in off]
    wanted = [*([SHIPPED, *off] if ablation else []), *names, *(compare or ())]
    if compare and compare not in pairs:
        pairs.append(compare)
    return Plan(
        paths=tuple(folders),
        configurations=tuple(
            find_configuration(name, fold=fold) for name in dict.fromkeys(wanted or [SHIPPED])
        ),
        comparisons=tuple(pairs),
        ablation=ablation,
        fold=fold,
    )


def _find_representation(name: str) -> Representation:
    from toolcrib_embeddings.documents.representation import NAMED  # noqa: PLC0415  # slow

    if name not in NAMED:
        raise InvalidInput(f"{name!r} is no representation. There are {', '.join(NAMED)}.")
    return NAMED[name]


def _show(evaluation: Evaluation, written: Sequence[Path], *, as_json: bool) -> None:
    from toolcrib_server.evaluation.results import render_results  # noqa: PLC0415  # slow
    from toolcrib_server.evaluation.tables import notices  # noqa: PLC0415

    if as_json:
        print_json(render_results(evaluation))
    else:
        _print_tables(evaluation)
    for each in evaluation.sets:
        for notice in notices(each):
            print_note(notice)
    if not as_json:
        _say_written(written)


def _print_tables(evaluation: Evaluation) -> None:
    from toolcrib_server.evaluation.tables import (  # noqa: PLC0415  # slow
        comparison_tables,
        latency_table,
        score_table,
        set_table,
    )

    columns = shutil.get_terminal_size().columns
    brief = sys.stdout.isatty() and columns < _ROOM_FOR_ALL_COLUMNS
    tables = [
        set_table(evaluation),
        latency_table(evaluation),
        score_table(evaluation, brief=brief),
        *comparison_tables(evaluation),
    ]
    for table in tables:
        _print_one(table)
    print_line(f"Encoder {evaluation.encoder}; toolcrib {evaluation.version}.")


def _print_one(table: Table) -> None:
    print_line(table.title)
    print_table(table.columns, table.rows, empty="")
    for note in table.notes:
        print_line(note)
    print_line("")
