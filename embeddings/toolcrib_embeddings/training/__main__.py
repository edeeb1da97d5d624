"""The commands: ``python -m toolcrib_embeddings.training [late] DIR… --out FILE``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from toolcrib_registry.errors import EncoderError

from .data import DataError
from .late import LateSources
from .late import run as run_late
from .recipe import LateRecipe, Recipe
from .run import Sources, run

_LATE: Final = "late"
_PROG: Final = "python -m toolcrib_embeddings.training"


def main(arguments: Sequence[str]) -> None:
    """Train as the arguments say; end the process with a sentence when that cannot be."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if arguments[:1] == [_LATE]:
        _train_head(arguments[1:])
    else:
        _train_encoder(arguments)


def _train_encoder(arguments: Sequence[str]) -> None:
    parser = _parser(
        _PROG,
        "Tune the bundled encoder to tools; writes a delta of its weights. "
        f"'{_LATE}' as the first argument makes the head of the second stage instead.",
        Recipe(),
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help=_FOLDERS)
    parser.add_argument("--catalogue", type=Path, metavar="FILE", help=_CATALOGUE)
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help="sentence-transformers folder; else the bundled"
    )
    asked = parser.parse_args(arguments)
    sources = Sources(
        folders=tuple(asked.folders),
        held_out=tuple(asked.hold_out),
        catalogue=asked.catalogue,
        model=asked.model,
    )
    recipe = Recipe(**_numbers(asked, Recipe()))
    _run(lambda: run(sources, recipe, out=asked.out, device=asked.device), asked.out)


def _train_head(arguments: Sequence[str]) -> None:
    parser = _parser(
        f"{_PROG} {_LATE}",
        "Make the head of the second stage: what late interaction keeps of each token.",
        LateRecipe(),
    )
    parser.add_argument("folders", nargs="*", type=Path, metavar="DIR", help=_FOLDERS)
    parser.add_argument("--catalogue", type=Path, metavar="FILE", help=_CATALOGUE, required=True)
    parser.add_argument(
        "--model", type=Path, metavar="MODEL", help="as TOOLCRIB_ENCODER; else the shipped encoder"
    )
    asked = parser.parse_args(arguments)
    sources = LateSources(
        folders=tuple(asked.folders),
        catalogue=asked.catalogue,
        held_out=tuple(asked.hold_out),
        model=asked.model,
    )
    recipe = LateRecipe(**_numbers(asked, LateRecipe()))
    _run(lambda: run_late(sources, recipe, out=asked.out, device=asked.device), asked.out)


_FOLDERS: Final = "folder of tools.jsonl, queries.jsonl, qrels.tsv"
_CATALOGUE: Final = "a tools.jsonl without queries"


def _run(job: Callable[[], object], out: Path) -> None:
    try:
        job()
    except (DataError, EncoderError) as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"{out} cannot be written: {error}")


def _parser(prog: str, description: str, recipe: Recipe | LateRecipe) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument(
        "--hold-out",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="measure on this folder, and train nothing on it; may be repeated",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps (default: cpu)")
    for number in fields(recipe):
        default: float = getattr(recipe, number.name)
        parser.add_argument(
            f"--{number.name.replace('_', '-')}",
            type=type(default),
            default=default,
            help=f"(default: {default})",
        )
    return parser


def _numbers(asked: argparse.Namespace, recipe: Recipe | LateRecipe) -> dict[str, Any]:
    return {number.name: getattr(asked, number.name) for number in fields(recipe)}


if __name__ == "__main__":
    main(sys.argv[1:])
