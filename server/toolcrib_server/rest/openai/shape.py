"""Errors as OpenAI's clients know them, from the problems that the rest of the face answers with.

The body is both: ``error`` as OpenAI has it, beside the fields of the problem.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toolcrib_server.rest.problems import MEDIA_TYPE

PREFIX = "/v1/"
MAX_BODY_BYTES = 32 * 1024 * 1024
"""Images come inside of the body."""
_NOT_SENT_AGAIN = (b"x-should-retry", b"false")
"""What OpenAI's clients read: 409 and 5xx are otherwise sent twice more."""
_CONFLICT = 409
_STATUS = {_CONFLICT: 400}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    421: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
}
_CODES = {
    "context-too-long": "context_length_exceeded",
    "rate-limited": "rate_limit_exceeded",
    "budget-exceeded": "insufficient_quota",
    "not-authenticated": "invalid_api_key",
}
_SURE_TO_FAIL = frozenset({"budget-exceeded", "credentials-refused", "not-callable"})


class OpenAIShape:
    """Turns problems into OpenAI's errors on the paths of its API, and touches nothing else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or not scope.get("path", "").startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Translating(send))


class _Translating:
    """A `Send` that holds a problem back until it is whole."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_problem(message):
            self._start = message
            return
        if self._start is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if not message.get("more_body"):
            for part in _translated(self._start, bytes(self._body)):
                await self._send(part)


def error_of(problem: Mapping[str, Any]) -> dict[str, Any]:
    """Say a problem in OpenAI's words."""
    code, status = str(problem.get("code", "")), int(problem.get("status", 500))
    data: Mapping[str, Any] = problem.get("data") or {}
    if code == "not-found" and data.get("what") == "model":
        code = "model_not_found"
    return {
        "message": problem.get("detail") or problem.get("title"),
        "type": _TYPES.get(_STATUS.get(status, status), "server_error"),
        "param": data.get("param"),
        "code": _CODES.get(code, code.replace("-", "_")),
    }


def _translated(start: Message, body: bytes) -> tuple[Message, Message]:
    problem: dict[str, Any] = json.loads(body)
    content = json.dumps({"error": error_of(problem), **problem}).encode()
    status = int(start["status"])
    kept = [
        (name, value)
        for name, value in start["headers"]
        if name.lower() not in {b"content-type", b"content-length"}
    ]
    kept += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    if status == _CONFLICT or problem.get("code") in _SURE_TO_FAIL:
        kept.append(_NOT_SENT_AGAIN)
    whole = {"type": "http.response.body", "body": content}
    return {**start, "status": _STATUS.get(status, status), "headers": kept}, whole


def _is_problem(message: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(MEDIA_TYPE.encode())
        for name, value in message["headers"]
    )
