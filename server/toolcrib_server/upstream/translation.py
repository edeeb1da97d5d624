"""What a link raised, in the words that callers know. Secrets are masked on the way."""

from __future__ import annotations

import json
from typing import Any

from toolcrib_registry.errors import (
    ResultTooLarge,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamUnavailable,
)

from .failures import BadAnswer, LinkFailure, Oversized, RpcFailure, Unanswered
from .secrets import Redactor


def translate(server: str, failure: LinkFailure, redact: Redactor) -> UpstreamError:
    """Turn what a link raised into what callers know."""
    reason = redact(failure.reason)
    match failure:
        case RpcFailure(code=code, data=data):
            return UpstreamProtocolError(
                server, reason, rpc_code=code, rpc_data=_redact_data(data, redact)
            )
        case Oversized(size=size, limit=limit):
            return ResultTooLarge(server, size=size, limit=limit)
        case BadAnswer():
            return UpstreamProtocolError(server, f"it {reason}")
        case Unanswered(retry_after_s=retry_after_s):
            return UpstreamUnavailable(server, f"it {reason}", retry_after_s=retry_after_s)
        case _:
            return UpstreamUnavailable(server, reason)


def _redact_data(data: Any, redact: Redactor) -> Any:
    return None if data is None else json.loads(redact(json.dumps(data)))
