"""What a provider's refusal means: each kind of fault as an error of its own.

Reads statuses and error bodies of OpenAI's shape and its many dialects; sends nothing.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, cast

from toolcrib_registry.errors import (
    AnswerCut,
    ContextTooLong,
    CredentialsRefused,
    Peer,
    RateLimited,
    RequestRefused,
    ResultTooLarge,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamUnavailable,
)
from toolcrib_server.upstream.failures import LinkFailure, LinkLost, Oversized
from toolcrib_server.upstream.network.endpoint_client import Reply

from .target import Target

MAX_ERROR_BYTES = 64 * 1024
_IT = Peer.PROVIDER
_LONGEST_SHOWN = 500
_LONGEST_WAIT_S = 86_400.0
_OVERLOADED = 529
_UNAVAILABLE = frozenset({502, 503, 504, _OVERLOADED})
_TOO_LONG = re.compile(
    r"context[ _-]?(?:length|window|size)|maximum (?:context|input)|prompt is too long"
    r"|too many (?:input )?tokens|reduce the length|n_ctx",
    re.IGNORECASE,
)


def error_of_reply(target: Target, reply: Reply, body: bytes) -> UpstreamError:
    """Say what a reply that is no success means."""
    if reply.location is not None:
        return UpstreamProtocolError(
            target.provider,
            f"redirects to {target.redact(reply.location)}, which is not followed; register that "
            "URL if it is the provider's.",
            peer=_IT,
        )
    wait_s = _retry_after_s(reply.headers)
    return _error(target, reply.status, _decoded(body), retry_after_s=wait_s)


def error_in_answer(target: Target, answer: Mapping[str, Any]) -> UpstreamError | None:
    """Find the error in an answer whose status said that all was well."""
    error = answer.get("error")
    if not error:
        return None
    code = cast("Mapping[str, Any]", error).get("code") if isinstance(error, Mapping) else None
    is_status = isinstance(code, int) and 400 <= code < 600  # noqa: PLR2004  # HTTP's errors
    status = cast("int", code) if is_status else HTTPStatus.INTERNAL_SERVER_ERROR
    return _error(target, status, answer, retry_after_s=None)


def error_of_link(target: Target, failure: LinkFailure, *, begun: bool) -> UpstreamError:
    """Say what a failure of the connection means; ``begun``: part of the answer had come."""
    reason = target.redact(failure.reason)
    match failure:
        case Oversized(size=size, limit=limit):
            return ResultTooLarge(target.provider, size=size, limit=limit, peer=_IT)
        case LinkLost():
            return UpstreamUnavailable(target.provider, reason, peer=_IT)
        case _ if begun:
            return AnswerCut(target.provider, reason)
        case _:
            return UpstreamUnavailable(target.provider, f"it {reason}", peer=_IT)


def _error(
    target: Target, status: int, answer: object, *, retry_after_s: float | None
) -> UpstreamError:
    provider, (said, code, param) = target.provider, _said(target, answer)
    it = _IT.called(provider)
    told = f"HTTP {status}" + (f": {said}" if said else "")
    match status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            detail = f"{it} refuses the registered key ({told}). Check the offer's api_key."
            return CredentialsRefused(provider, detail)
        case HTTPStatus.TOO_MANY_REQUESTS:
            return RateLimited(provider, said, retry_after_s=retry_after_s)
        case HTTPStatus.NOT_FOUND:
            detail = (
                f"{it} answered {told}. Does it know the model {target.model!r}, and is "
                f"{target.redact(target.url)} the base of its API?"
            )
            return UpstreamError(provider, detail, peer=_IT)
        case HTTPStatus.REQUEST_TIMEOUT:
            return UpstreamUnavailable(provider, f"it answered {told}", peer=_IT)
        case _ if status in _UNAVAILABLE:
            return UpstreamUnavailable(
                provider, f"it answered {told}", retry_after_s=retry_after_s, peer=_IT
            )
        case _ if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return UpstreamError(provider, f"{it} failed: {told}.", peer=_IT)
        case _ if code == "context_length_exceeded" or _TOO_LONG.search(said):
            return ContextTooLong(
                provider, f"The request is too long for the model at {provider!r} ({told})."
            )
        case _:
            return RequestRefused(provider, f"{it} refuses the request ({told}).", param=param)


def _decoded(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")


def _said(target: Target, answer: object) -> tuple[str, str | None, str | None]:
    """Find the message, code and parameter in an error body of any dialect."""
    code = param = None
    if isinstance(answer, Mapping):
        whole = cast("Mapping[str, Any]", answer)
        inner = whole.get("error", whole)
        if isinstance(inner, Mapping):
            error = cast("Mapping[str, Any]", inner)
            code, param = _text(error.get("code")), _text(error.get("param"))
            inner = error.get("message") or error.get("detail") or error.get("type") or ""
        answer = inner
    text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    shown = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return target.redact(shown)[:_LONGEST_SHOWN].rstrip("."), code, param


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read how long to wait: milliseconds as OpenAI says it, seconds or a date as HTTP has it."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            wait_s = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        if math.isfinite(wait_s) and wait_s >= 0:
            return min(wait_s, _LONGEST_WAIT_S)
    try:
        until = parsedate_to_datetime(headers.get("retry-after", ""))
    except (ValueError, OverflowError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max((until - datetime.now(UTC)).total_seconds(), 0.0), _LONGEST_WAIT_S)
