"""How a verb is run: settings in, parts opened, and an error as a sentence with an exit code.

Knows no option and no verb, so that `toolcrib stdio` can start with this alone.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

import anyio
from pydantic import ValidationError

from toolcrib_registry.errors import (
    InvalidInput,
    NotFound,
    StoreError,
    ToolcribError,
    UpstreamError,
)
from toolcrib_server.runtime import Runtime, open_runtime
from toolcrib_server.settings import Settings

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


def told(work: Callable[[], object]) -> None:
    """Run a command; end the process with a sentence and an exit code if it fails."""
    try:
        work()
    except (ToolcribError, ExceptionGroup) as error:
        known = _cause(error)
        if known is None:
            raise
        sys.stderr.write(f"toolcrib: {known.detail}\n")
        sys.exit(exit_code(known))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def _cause(error: BaseException) -> ToolcribError | None:
    """Find our own error, which a task group may have wrapped."""
    if isinstance(error, ToolcribError):
        return error
    if isinstance(error, BaseExceptionGroup):
        inner = cast("BaseExceptionGroup[BaseException]", error).exceptions
        return next((cause for e in inner if (cause := _cause(e))), None)
    return None
