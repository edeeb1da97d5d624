"""How many tokens an answer says that it took. Providers leave it out, or say what cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

_MOST_TOKENS = 100_000_000
"""More than any context: a figure beyond it is a mistake, and would spend a budget by itself."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens sent and received, as the provider counted them."""

    tokens_in: int
    tokens_out: int


def read_usage(answer: Mapping[str, Any]) -> Usage | None:
    """Read the usage of a decoded answer or chunk; None when it is missing or makes no sense."""
    raw = answer.get("usage")
    if not isinstance(raw, Mapping):
        return None
    usage = cast("Mapping[str, Any]", raw)
    sent = _count(usage.get("prompt_tokens"))
    received = _count(usage.get("completion_tokens", 0))
    return None if sent is None or received is None else Usage(sent, received)


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _MOST_TOKENS else None
