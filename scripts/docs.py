"""Writes the reference pages that can be derived from the code: commands, settings, errors, API.

``python scripts/docs.py`` writes them; ``--check`` fails when one is not up to date.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from typer import Typer
from typer.testing import CliRunner

from toolcrib_registry.errors import ToolcribError
from toolcrib_server.cli.app import app
from toolcrib_server.cli.running import EXIT_CODES
from toolcrib_server.rest.app import build_api
from toolcrib_server.rest.problems import status_of
from toolcrib_server.rest.testing import open_deps
from toolcrib_server.settings import Settings

DOCS = Path(__file__).parent.parent / "docs"
MADE = "<!-- Written by scripts/docs.py; edit the code instead. -->\n"


def pages() -> Mapping[Path, str]:
    """Render every page."""
    return {
        DOCS / "cli.md": "\n".join(cli_page()),
        DOCS / "settings.md": "\n".join(settings_page()),
        DOCS / "errors.md": "\n".join(errors_page()),
        DOCS / "openapi.json": openapi_page(),
    }


def cli_page() -> Iterator[str]:
    """Render the commands, each with its help as the terminal shows it."""
    yield MADE + "# Commands\n"
    yield "Every command of `toolcrib`, with its help as the terminal shows it.\n"
    yield "Answers go to standard output, everything else to standard error. Exit codes:\n"
    yield "| code | meaning |\n|---|---|"
    for code, meaning in EXIT_CODES.items():
        yield f"| {code} | {meaning} |"
    for names in _commands():
        # A verb of a group stands under it.
        yield f"\n{'#' * (1 + len(names))} {' '.join(names)}\n\n```text\n{_help(names)}\n```"
    yield ""


def _commands() -> Iterator[tuple[str, ...]]:
    yield from ((name,) for name in _names(app))
    for group in app.registered_groups:
        inner = group.typer_instance
        if inner is not None:
            name = inner.info.name or ""
            yield (name,)
            yield from ((name, verb) for verb in _names(inner))


def _names(group: Typer) -> Iterator[str]:
    for registered in group.registered_commands:
        yield registered.name or getattr(registered.callback, "__name__", "")


def _help(names: tuple[str, ...]) -> str:
    # The width is the page's, not that of whoever runs this.
    options = [*names, "--help"]
    shown = CliRunner().invoke(app, options, prog_name="toolcrib", env={"COLUMNS": "96"})
    return shown.output.strip()


def settings_page() -> Iterator[str]:
    """Render the settings."""
    yield MADE + "# Settings\n"
    yield "What can be set, and what it is unless set. Read from the environment, once, at start.\n"
    yield "| variable | default | meaning |\n|---|---|---|"
    for name, field in Settings.model_fields.items():
        default = "per user" if field.default_factory else _shown(field.default)
        yield f"| `TOOLCRIB_{name.upper()}` | {default} | {field.description} |"
    yield ""


def _shown(value: object) -> str:
    return "none" if value in (None, ()) else f"`{value}`"


def errors_page() -> Iterator[str]:
    """Render the errors: code, HTTP status, title."""
    yield MADE + "# Errors\n"
    yield "Every error that Toolcrib answers with, by its stable code. REST answers with"
    yield "`application/problem+json` (RFC 9457) and this `code`. MCP results have it in `_meta`,"
    yield "under `toolcrib/code`. The Python client raises the class.\n"
    yield "| code | HTTP | class | title |\n|---|---|---|---|"
    for kind in sorted(_tree(ToolcribError), key=lambda kind: kind.code):
        yield f"| `{kind.code}` | {status_of(kind)} | `{kind.__name__}` | {kind.title} |"
    yield ""


def openapi_page() -> str:
    """Render the contract of the REST face."""
    with tempfile.TemporaryDirectory() as folder, open_deps(Path(folder)) as deps:
        return json.dumps(build_api(deps).openapi(), indent=1, sort_keys=True) + "\n"


def _tree(kind: type[ToolcribError]) -> Iterator[type[ToolcribError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)


def main() -> int:
    """Write the pages, or say which are out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = [p for p, text in pages().items() if not p.exists() or p.read_text() != text]
    if check:
        for path in stale:
            sys.stderr.write(f"{path.name} is out of date; run `make docs`\n")
        return bool(stale)
    for path, text in pages().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
