"""The command: ``python -m toolcrib_embeddings.training DIR… --out FILE``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from toolcrib_registry.errors import EncoderError

from .data import DataError
from .recipe import Recipe
from .run import Sources, run


def main(arguments: Sequence[str]) -> None:
    """Train as the arguments say; end the process with a sentence when that cannot be."""
    asked = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    recipe = replace(Recipe(), **{f.name: getattr(asked, f.name) for f in fields(Recipe)})
    sources = Sources(
        folders=tuple(asked.folders),
        held_out=tuple(asked.hold_out),
        catalogue=asked.catalogue,
        model=asked.model,
    )
    try:
        run(sources, recipe, out=asked.out, device=asked.device)
    except (DataError, EncoderError) as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"{asked.out} cannot be written: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m toolcrib_embeddings.training",
        description="Tune the bundled encoder to tools; writes a delta of its weights.",
    )
    parser.add_argument(
        "folders",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="folder of tools.jsonl, queries.jsonl, qrels.tsv",
    )
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument(
        "--hold-out",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="measure on this folder, and train nothing on it; may be repeated",
    )
    parser.add_argument(
        "--catalogue", type=Path, metavar="FILE", help="a tools.jsonl without queries"
    )
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help="sentence-transformers folder; else the bundled"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps (default: cpu)")
    for number in fields(Recipe):
        default: float = getattr(Recipe(), number.name)
        parser.add_argument(
            f"--{number.name.replace('_', '-')}",
            type=type(default),
            default=default,
            help=f"(default: {default})",
        )
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
