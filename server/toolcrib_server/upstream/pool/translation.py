"""What a link raised, in the words that callers know. Secrets are masked on the way."""

from __future__ import annotations

import json
from typing import Any

from toolcrib_registry.errors import (
    AnswerCut,
    Fault,
    Peer,
    ResultTooLarge,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from toolcrib_server.upstream.config.secrets import Redactor
from toolcrib_server.upstream.failures import (
    BadAnswer,
    LinkFailure,
    LinkLost,
    Oversized,
    RpcFailure,
    Unanswered,
)


def translate(server: str, failure: LinkFailure, redact: Redactor) -> UpstreamError:
    """Turn what a link raised into what callers know."""
    reason = redact(failure.reason)
    match failure:
        case RpcFailure(code=code, data=data):
            return UpstreamProtocolError(
                server,
                reason,
                rpc_code=code,
                rpc_message=reason,
                rpc_data=_redact_data(data, redact),
            )
        case Oversized(size=size, limit=limit):
            return ResultTooLarge(server, size=size, limit=limit)
        case BadAnswer():
            return UpstreamProtocolError(server, f"it {reason}")
        case Unanswered(retry_after_s=retry_after_s):
            return UpstreamUnavailable(server, f"it {reason}", retry_after_s=retry_after_s)
        case _:
            return _lost(UpstreamUnavailable(server, reason), failure)


def reason_of(error: UpstreamError) -> str:
    """Say what completes the sentence 'the server cannot be reached: …'; no full stop."""
    if isinstance(error, UpstreamTimeout):
        return f"it did not answer {error.what} within {error.timeout_s:g} s"
    reason = getattr(error, "reason", None)
    if not isinstance(reason, str):
        called = error.peer.called(error.server)
        return error.detail.replace(f"{called} ", "it ", 1).rstrip(".")
    if isinstance(error, AnswerCut):
        return f"its answer broke off: it {reason}"
    # Of a provider it says what it did, of a server what that said.
    did = isinstance(error, UpstreamProtocolError) and error.peer is Peer.PROVIDER
    return (f"it {reason}" if did else reason).rstrip(".")


def _lost(error: UpstreamUnavailable, failure: LinkFailure) -> UpstreamUnavailable:
    error.fault = Fault.CONNECTION
    error.is_unsent = isinstance(failure, LinkLost) and not failure.delivered
    return error


def _redact_data(data: Any, redact: Redactor) -> Any:
    return None if data is None else json.loads(redact(json.dumps(data)))
