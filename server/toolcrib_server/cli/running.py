"""How a verb is run: settings in, parts opened, and an error as a sentence with an exit code.

Knows no option and no verb, so that `toolcrib stdio` can start with this alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import NoReturn, TypeVar, cast

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

from .output import print_note

T = TypeVar("T")

ACTOR = "cli"
"""Who changes things here, as the change log has it."""

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
            f"{_said_by(e['loc'], given)}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors(include_input=False, include_url=False)
        )
        raise InvalidInput(f"The settings are not valid: {problems}") from None


def _said_by(place: Sequence[int | str], given: Mapping[str, object]) -> str:
    """Name the option or the variable that a value is from."""
    if place and place[0] in given:
        return f"--{str(place[0]).replace('_', '-')}"
    return f"TOOLCRIB_{'_'.join(map(str, place)).upper()}"


class Interrupted(Exception):
    """Somebody ended a command; says what stays of it. Typer says nothing of KeyboardInterrupt."""


@contextmanager
def interruptible(kept: Callable[[], str] | None = None) -> Generator[None]:
    """Have whoever ends what is done inside told what of it is ``kept``, asked only then."""
    try:
        yield
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise Interrupted(kept() if kept else "What was done before is kept.") from None


def run(
    work: Callable[[Runtime], Awaitable[T]],
    *,
    kept: Callable[[], str] | None = None,
    **overrides: object,
) -> T:
    """Open everything, do one piece of work, close everything.

    ``kept`` says in a sentence what stays of the work when it is interrupted, and how to go on.
    """
    settings = read_settings(**overrides)
    logging.basicConfig(
        level=settings.log_level.upper(),
        stream=sys.stderr,
        format="%(levelname)s %(name)s: %(message)s",
    )
    # It logs a refused login with its whole stack; whoever asked is told in a sentence.
    logging.getLogger("mcp.client.auth").setLevel(logging.CRITICAL)

    async def inside() -> T:
        _cancel_on_term()
        async with open_runtime(settings) as runtime:
            return await work(runtime)

    with interruptible(kept):
        return anyio.run(inside, backend_options={"use_uvloop": sys.platform != "win32"})


def run_until_interrupted(
    work: Callable[[Runtime], Awaitable[T]], *, host: str | None = None, port: int | None = None
) -> None:
    """Do work that has no end of its own: an interruption is its ordinary end."""
    with contextlib.suppress(Interrupted):
        run(work, host=host, port=port)


def _cancel_on_term() -> None:
    """Have SIGTERM close what is open, as Ctrl-C does. `serve` and `stdio` do so their own way."""
    task = asyncio.current_task()
    if task and sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


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
        sys.stdout.flush()
    except (ToolcribError, ExceptionGroup) as error:
        known = _cause(error)
        if known is None:
            raise
        # What a server answered may be part of it.
        print_note(f"toolcrib: {known.detail}")
        if isinstance(known, NotFound) and known.what == "tool":
            sys.stderr.write("Find a tool's name with `toolcrib search`.\n")
        sys.exit(exit_code(known))
    except OSError as error:
        if error.filename is not None:
            raise
        _give_up_output(error)
    except Interrupted as error:
        print_note(f"Interrupted. {error}")
        sys.exit(EXIT_INTERRUPTED)
    except SystemExit as end:
        # Before anything was opened; what makes a verb of a function is silent on it.
        if end.code == EXIT_INTERRUPTED:
            print_note("Interrupted.")
        raise
    except (KeyboardInterrupt, asyncio.CancelledError):
        print_note("Interrupted.")
        sys.exit(EXIT_INTERRUPTED)


def _give_up_output(error: OSError) -> NoReturn:
    """End, when whoever read the answer has left, or there is no room for it."""
    # What is still buffered would fail once more when the interpreter ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if not isinstance(error, BrokenPipeError):
        sys.stderr.write(f"toolcrib: the answer could not be written: {error.strerror}\n")
    sys.exit(EXIT_FAILED)


def _cause(error: BaseException) -> ToolcribError | None:
    """Find our own error, which a task group may have wrapped."""
    if isinstance(error, ToolcribError):
        return error
    if isinstance(error, BaseExceptionGroup):
        inner = cast("BaseExceptionGroup[BaseException]", error).exceptions
        return next((cause for e in inner if (cause := _cause(e))), None)
    return None
