"""What a service is for, described by examples: ``domains add|calibrate|list|remove``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import Domain
from toolcrib_server.routing.domains import CALIBRATION
from toolcrib_server.runtime import Runtime

from .batch import open_index
from .options import AsJson
from .output import clipped, counted, print_json, print_line, print_table, progress
from .running import run

_TEXT_KEYS = ("text", "query", "example")
_CALIBRATION_SHOWN = "(calibration)"

app = typer.Typer(
    name="domains",
    help="What `select` is for, by examples: outside of it the default model is kept.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Examples = Annotated[
    Path, typer.Option(help="Queries: a line each, or JSON lines with text.", show_default=False)
]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="The domain, as law or billing.")],
    examples: Examples,
    as_json: AsJson = False,
) -> None:
    """Describe a domain by examples of its queries, in place of those it had.

    A few dozen are well. Queries unlike those of every domain are answered by the default model.
    """
    _put(name, examples, as_json=as_json)


@app.command()
def calibrate(queries: Examples, as_json: AsJson = False) -> None:
    """Set the threshold by queries that belong to your domains and are no examples; 30 are well."""
    _put(CALIBRATION, queries, as_json=as_json)


@app.command("list")
def list_domains(as_json: AsJson = False) -> None:
    """List the domains."""

    async def work(runtime: Runtime) -> tuple[Domain, ...]:
        return await runtime.routing.list_domains()

    found = run(work)
    if as_json:
        print_json(found)
        return
    rows = [(_shown(one.name), len(one.examples), clipped(one.examples[0])) for one in found]
    print_table(("domain", "examples", "first"), rows, empty="No domain is described.")


@app.command()
def remove(
    name: Annotated[
        str, typer.Argument(help="A domain; (calibration) is the calibrating queries.")
    ],
    as_json: AsJson = False,
) -> None:
    """Forget a domain."""

    async def work(runtime: Runtime) -> None:
        await runtime.routing.remove_domain(CALIBRATION if name == _CALIBRATION_SHOWN else name)

    run(work)
    if as_json:
        print_json({"removed": name})
    else:
        print_line(f"Removed the domain {_shown(name)}.")


def _put(name: str, file: Path, *, as_json: bool) -> None:
    texts = _read_texts(file)

    async def work(runtime: Runtime) -> Domain:
        domain = await runtime.routing.put_domain(name, texts)
        with progress("Encoding examples", quiet=as_json) as bar:
            await open_index(runtime, quiet=True)
            await runtime.routing.learner.prepare(domain.examples, on_progress=bar)
        return domain

    domain = run(work, kept=lambda: "What was encoded is kept: run it again to go on.")
    if as_json:
        print_json({"name": domain.name, "examples": len(domain.examples)})
    else:
        print_line(f"{_shown(domain.name)}: {counted(len(domain.examples), 'example')}.")


def _read_texts(file: Path) -> list[str]:
    try:
        # Not `splitlines`: it also ends a line at U+0085 or U+2028, which a text may hold.
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file} cannot be read: it is not text in UTF-8.") from error
    numbered = enumerate(lines, start=1)
    return [_text(line, f"{file}: line {number}") for number, line in numbered if line.strip()]


def _text(line: str, where: str) -> str:
    if not line.lstrip().startswith("{"):
        return line
    try:
        row = cast("Mapping[str, Any]", json.loads(line))
    except ValueError as error:
        raise InvalidInput(f"{where} is not JSON ({error}).") from error
    found = next((row[key] for key in _TEXT_KEYS if isinstance(row.get(key), str)), None)
    if found is None:
        raise InvalidInput(f"{where} has no text: a JSON object needs one of {_TEXT_KEYS}.")
    return found


def _shown(name: str) -> str:
    return _CALIBRATION_SHOWN if name == CALIBRATION else name
