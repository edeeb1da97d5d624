"""The ``toolcrib`` command: its verbs, and how an error becomes a sentence and an exit code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import anyio
import typer
from pydantic import ValidationError

from toolcrib_registry.errors import (
    InvalidInput,
    NotFound,
    StoreError,
    ToolcribError,
    UpstreamError,
)
from toolcrib_server.runtime import Runtime, open_runtime, read_version
from toolcrib_server.settings import Settings

from .output import print_note

T = TypeVar("T")

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3
EXIT_UPSTREAM = 4
EXIT_TOOL_ERROR = 5
EXIT_STORE = 6
EXIT_INTERRUPTED = 130

EXIT_CODES = {
    0: "done",
    EXIT_FAILED: "nothing was found, a check failed, or any other error",
    EXIT_USAGE: "the command, a file or a setting is not valid",
    EXIT_NOT_FOUND: "no server or entry has that name",
    EXIT_UPSTREAM: "an upstream server could not be reached, or failed",
    EXIT_TOOL_ERROR: "the called tool says that it failed",
    EXIT_STORE: "the database failed",
    EXIT_INTERRUPTED: "interrupted",
}

app = typer.Typer(
    name="toolcrib",
    help="Find the right tool or model among thousands, and call it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def read_settings(**overrides: object) -> Settings:
    """Read the environment, then what was given on the command line.

    Raises:
        InvalidInput: A value does not fit; every one is named.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # pyright: ignore[reportArgumentType]  # validated right here
    except ValidationError as error:
        problems = "; ".join(
            f"TOOLCRIB_{'_'.join(str(p) for p in e['loc']).upper()}: {e['msg']}"
            for e in error.errors(include_input=False, include_url=False)
        )
        raise InvalidInput(f"The settings are not valid: {problems}") from None


def run(work: Callable[[Runtime], Awaitable[T]], **overrides: object) -> T:
    """Open everything, do one piece of work, close everything."""
    settings = read_settings(**overrides)
    logging.basicConfig(
        level=settings.log_level.upper(),
        stream=sys.stderr,
        format="%(levelname)s %(name)s: %(message)s",
    )

    async def inside() -> T:
        async with open_runtime(settings) as runtime:
            return await work(runtime)

    return anyio.run(inside, backend_options={"use_uvloop": sys.platform != "win32"})


def exit_code(error: ToolcribError) -> int:
    """Tell a script what kind of error it was."""
    match error:
        case NotFound():
            return EXIT_NOT_FOUND
        case InvalidInput():
            return EXIT_USAGE
        case UpstreamError():
            return EXIT_UPSTREAM
        case StoreError():
            return EXIT_STORE
        case _:
            return EXIT_FAILED


def main() -> None:
    """Run the command line."""
    # Importing them registers their verbs, in the order the help shows them.
    from . import ask, servers, serving  # noqa: F401, PLC0415

    try:
        app()
    except (ToolcribError, ExceptionGroup) as error:
        known = _cause(error)
        if known is None:
            raise
        print_note(f"toolcrib: {known.detail}")
        sys.exit(exit_code(known))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def _cause(error: BaseException) -> ToolcribError | None:
    """Find our own error, which a task group may have wrapped."""
    if isinstance(error, ToolcribError):
        return error
    if isinstance(error, BaseExceptionGroup):
        inner: BaseExceptionGroup[BaseException] = error
        return next((cause for e in inner.exceptions if (cause := _cause(e))), None)
    return None


def _show_version(value: bool) -> None:  # noqa: FBT001  # typer's callback
    if value:
        sys.stdout.write(f"toolcrib {read_version()}\n")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Hold the options of the command itself."""
