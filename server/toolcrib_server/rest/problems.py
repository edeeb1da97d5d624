"""Errors as RFC 9457 problems: the only place where the HTTP face says what went wrong."""

from __future__ import annotations

import dataclasses
import logging
import math
import uuid
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toolcrib_registry import errors
from toolcrib_registry.complaints import complaints
from toolcrib_registry.errors import ArgumentProblem, InvalidArguments, ToolcribError
from toolcrib_registry.wire import FieldProblemOut, ProblemOut

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_STATUS: dict[type[ToolcribError], int] = {
    errors.InvalidInput: 400,
    errors.NotAuthenticated: 401,
    errors.NotPermitted: 403,
    errors.NotFound: 404,
    errors.TooManyReaders: 503,
    errors.AlreadyExists: 409,
    errors.EntryChanged: 409,
    errors.NotCallable: 409,
    errors.LeaseLost: 409,
    errors.UpstreamUnavailable: 503,
    errors.UpstreamTimeout: 504,
    errors.ServerBusy: 503,
    errors.RateLimited: 429,
    errors.TooManyCalls: 429,
    errors.RequestRefused: 400,
    errors.UpstreamError: 502,
    errors.BudgetExceeded: 429,
    errors.StoreFull: 507,
    errors.StoreError: 503,
    errors.EncoderError: 503,
    ToolcribError: 500,
}
_UPSTREAM_RETRY_S = 5
_STORE_RETRY_S = 1
_MAX_FIELD_PROBLEMS = 20


def add_handlers(app: FastAPI) -> None:
    """Have every error of an app answered as a problem."""
    app.add_exception_handler(ToolcribError, _on_toolcrib_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)


class LastResort:
    """Answers what nobody expected with a 500 that bears an id, and logs it under that id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            return
        except Exception:
            instance = f"urn:uuid:{uuid.uuid4()}"
            logger.exception("%s %s failed (%s)", scope.get("method"), scope.get("path"), instance)
            if scope["type"] != "http" or started:
                raise
            detail = f"An internal error happened. The log has it under {instance}."
            problem = _problem(500, ToolcribError.code, ToolcribError.title, detail)
            response = _response(problem.model_copy(update={"instance": instance}))
            await response(scope, receive, send)


def status_of(kind: type[ToolcribError]) -> int:
    """Return the HTTP status of a kind of error."""
    return next(_STATUS[base] for base in kind.__mro__ if base in _STATUS)


def problem_of(error: ToolcribError) -> ProblemOut:
    """Render an error of the tree."""
    problem = _problem(status_of(type(error)), error.code, error.title, error.detail)
    return problem.model_copy(update={"data": _data(error), "errors": _field_problems(error)})


def problem_response(error: ToolcribError) -> Response:
    """Render an error of the tree as a response, with what its status calls for in headers."""
    return _response(problem_of(error), headers=_headers(error))


async def _on_toolcrib_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ToolcribError)
    response = problem_response(error)
    if response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return response


async def _on_validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [
        FieldProblemOut(path=one.path, problem=one.problem, expected=one.expected)
        for one in complaints(error.errors(), below=1)[:_MAX_FIELD_PROBLEMS]
    ]
    said = "; ".join(
        f"{f.path or 'the body'}: {f.problem}" + (f" (expected {f.expected})" if f.expected else "")
        for f in found
    )
    kind = errors.InvalidInput
    problem = _problem(400, kind.code, kind.title, f"The request does not fit: {said}")
    return _response(problem.model_copy(update={"errors": found}))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    title = HTTPStatus(error.status_code).phrase
    detail = {
        404: f"There is nothing at {request.url.path}. See /openapi.json for what there is.",
        405: f"{request.method} is not allowed at {request.url.path}.",
    }.get(error.status_code, "The request could not be read. A JSON object in UTF-8 is expected.")
    code = title.lower().replace(" ", "-")
    return _response(_problem(error.status_code, code, title, detail), headers=error.headers)


def _problem(status: int, code: str, title: str, detail: str) -> ProblemOut:
    return ProblemOut(
        type=f"urn:toolcrib:problem:{code}", title=title, status=status, code=code, detail=detail
    )


def _response(problem: ProblemOut, *, headers: Mapping[str, str] | None = None) -> Response:
    body = problem.model_dump_json(exclude_defaults=True)
    return Response(body, problem.status, headers, MEDIA_TYPE)


def _headers(error: ToolcribError) -> dict[str, str]:
    match error:
        case (
            errors.UpstreamUnavailable(retry_after_s=wait)
            | errors.RateLimited(retry_after_s=wait)
            | errors.BudgetExceeded(retry_after_s=wait)
            | errors.ServerBusy(retry_after_s=wait)
            | errors.TooManyCalls(retry_after_s=wait)
        ):
            return {"Retry-After": str(max(1, math.ceil(wait or _UPSTREAM_RETRY_S)))}
        case errors.StoreBusy() | errors.TooManyReaders():
            return {"Retry-After": str(_STORE_RETRY_S)}
        case errors.NotAuthenticated():
            return {"WWW-Authenticate": "Bearer"}
        case _:
            return {}


def _data(error: ToolcribError) -> dict[str, Any]:
    return {
        name: list(cast("Sequence[Any]", value)) if isinstance(value, tuple) else value
        for name, value in vars(error).items()
        if name not in {"detail", "problems"}
    }


def _field_problems(error: ToolcribError) -> list[FieldProblemOut]:
    problems: Sequence[ArgumentProblem] = (
        error.problems if isinstance(error, InvalidArguments) else ()
    )
    return [FieldProblemOut(**dataclasses.asdict(problem)) for problem in problems]
