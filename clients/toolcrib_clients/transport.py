"""Where a server is and how it is spoken to: addresses, keys, deadlines, answers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeVar

import httpx

from toolcrib_registry.errors import ToolcribError

from .events import ChangeEvents
from .problems import error_from
from .requests import Request

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8321"
DEFAULT_TIMEOUT_S = 60.0
_NOT_READY = 503
QUIET_S = 45.0
"""A stream sends a sign of life three times as often."""
CUT_OFF = (httpx.ReadError, httpx.RemoteProtocolError, httpx.ReadTimeout)
"""How a stream ends that its sender did not end."""


def base_url_of(given: str | None) -> str:
    """Return the address: the given one, ``TOOLCRIB_URL``, or this machine's default."""
    return (given or os.environ.get("TOOLCRIB_URL") or DEFAULT_URL).rstrip("/")


def headers_of(api_key: str | None) -> Mapping[str, str]:
    """Return the headers of every request; the key is the given one or ``TOOLCRIB_API_KEY``."""
    key = api_key or os.environ.get("TOOLCRIB_API_KEY")
    headers = {"Accept": "application/json"}
    return {**headers, "Authorization": f"Bearer {key}"} if key else headers


def streaming(events: ChangeEvents) -> dict[str, Any]:
    """Return what a stream is asked with: where it goes on, and how long it may be quiet."""
    headers = {"Accept": "text/event-stream"}
    if events.last_id is not None:
        headers["Last-Event-ID"] = events.last_id
    return {"headers": headers, "timeout": httpx.Timeout(DEFAULT_TIMEOUT_S, read=QUIET_S)}


def read(request: Request[T], response: httpx.Response) -> T:
    """Read an answer.

    Raises:
        ToolcribError: The answer is a problem, or is not what was asked for.
    """
    # "Not ready" is an answer to the question whether it is, not a failure of it.
    is_answer = response.is_success or (
        request.path == "/readyz" and response.status_code == _NOT_READY
    )
    if not is_answer:
        raise error_from(response)
    try:
        return request.parse(response.json() if response.content else None)
    except ValueError as error:
        raise ToolcribError(
            f"{request.method} {request.path} answered something else than was asked for."
        ) from error
