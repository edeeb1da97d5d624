"""Turns an answered problem back into the error it was made from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import httpx

from toolcrib_registry.errors import (
    ArgumentProblem,
    InvalidArguments,
    ToolcribError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from toolcrib_registry.wire import ProblemOut

_SERVER = "toolcrib"


def error_from(response: httpx.Response) -> ToolcribError:
    """Build the error that a response reports; a `ToolcribError` when its code is not known."""
    try:
        problem = ProblemOut.model_validate_json(response.content)
    except ValueError:
        return ToolcribError(
            f"{response.request.url} answered {response.status_code} without saying why. "
            "Is this a Toolcrib server?"
        )
    kind = next((k for k in _kinds(ToolcribError) if k.code == problem.code), ToolcribError)
    # Built without its constructor: the sentence is there already, made where the error was.
    error = kind.__new__(kind, problem.detail)
    Exception.__init__(error, problem.detail)
    vars(error).update(_data(problem), detail=problem.detail)
    if isinstance(error, InvalidArguments):
        error.problems = tuple(
            ArgumentProblem(p.path, p.problem, p.expected) for p in problem.errors
        )
    return error


def unreachable(error: httpx.TransportError, *, url: str, timeout_s: float) -> ToolcribError:
    """Build the error for a server that could not be asked."""
    if isinstance(error, httpx.TimeoutException):
        return UpstreamTimeout(_SERVER, f"at {url}", timeout_s)
    reason = f"{error or type(error).__name__} (at {url}; is 'toolcrib serve' running there?)"
    return UpstreamUnavailable(_SERVER, reason)


def _data(problem: ProblemOut) -> dict[str, Any]:
    return {
        name: tuple(cast("list[Any]", value)) if isinstance(value, list) else value
        for name, value in problem.data.items()
    }


def _kinds(root: type[ToolcribError]) -> Iterator[type[ToolcribError]]:
    yield root
    for kind in root.__subclasses__():
        yield from _kinds(kind)
