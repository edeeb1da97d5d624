"""Which offers a call goes through, in which order, and when it gives up.

Knows errors and waits; sends nothing, and knows nothing of how the offers were ranked.
"""

from __future__ import annotations

from collections.abc import Sequence

from toolcrib_registry.errors import (
    BudgetExceeded,
    ContextTooLong,
    NotCallable,
    RateLimited,
    RequestRefused,
    ToolcribError,
    UpstreamError,
    UpstreamUnavailable,
)
from toolcrib_server.invocation.figures.measured import offer_key
from toolcrib_server.invocation.traffic.breakers import Breakers

from .order import Failed, ModelOrder, Pick

_MOST_TRIES = 4
_PATIENCE_S = 5.0
"""How long a wait that a provider asks for is sat out, where nobody else can answer."""
_PAUSE_S = 0.25


def tries_of(order: ModelOrder, breakers: Breakers, failed: list[Failed]) -> list[Pick]:
    """Pick those that are not left alone for now; the others are added to ``failed``.

    Raises:
        UpstreamError: All are left alone; the error is that of the one that may be asked soonest.
    """
    rested: list[Pick] = []
    for pick in order.picks:
        key = offer_key(pick.candidate)
        if breakers.waits_s(key) > 0:
            failed.append(Failed(pick.candidate, breakers.refusal(key)))
        else:
            rested.append(pick)
    if not rested:
        soonest = min(failed, key=lambda f: getattr(f.error, "retry_after_s", None) or 0.0)
        raise soonest.error
    return rested[:_MOST_TRIES]


def next_may_answer(error: ToolcribError, pick: Pick, rest: Sequence[Pick]) -> bool:
    """Whether to go on: never past what is the request's own fault, as far as one can tell."""
    match error:
        case RequestRefused() if not isinstance(error, ContextTooLong):
            # Another provider of the same model would refuse it too.
            return any(p.candidate.model.name != pick.candidate.model.name for p in rest)
        case UpstreamError() | NotCallable() | BudgetExceeded():
            return bool(rest)
        case _:
            return False


def short_wait_s(error: ToolcribError) -> float | None:
    """Say how long to wait before another try does no harm and may help; None: it would not."""
    match error:
        case RateLimited(retry_after_s=wait_s) | UpstreamUnavailable(retry_after_s=wait_s):
            wait_s = _PAUSE_S if wait_s is None else wait_s
            return wait_s if wait_s <= _PATIENCE_S else None
        case _:
            return None
