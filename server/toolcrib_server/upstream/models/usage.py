"""How many tokens an answer says that it took. Providers leave it out, or say what cannot be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

_MOST_TOKENS = 100_000_000
"""More than any context: a figure beyond it is a mistake, and would spend a budget by itself."""
_MOST_USD = 100.0
"""More than any call: it would spend a budget by itself too."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens sent and received, as the provider counted them."""

    tokens_in: int
    tokens_out: int
    cost_usd: float | None = None
    """What the provider says that the call cost (``usage.cost``); few do."""


def read_usage(answer: Mapping[str, Any]) -> Usage | None:
    """Read the usage of a decoded answer or chunk; None when it is missing or makes no sense."""
    raw = answer.get("usage")
    if not isinstance(raw, Mapping):
        return None
    usage = cast("Mapping[str, Any]", raw)
    sent = _count(usage.get("prompt_tokens"))
    received = _count(usage.get("completion_tokens", 0))
    if sent is None or received is None:
        return None
    return Usage(sent, received, _cost(usage.get("cost")))


def _cost(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) if 0 <= value <= _MOST_USD else None


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _MOST_TOKENS else None
