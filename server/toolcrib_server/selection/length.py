"""How large a call is expected to be: what is sent, and what bounds the answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from .constraint import Constraints

TYPICAL_TOKENS_IN: Final = 750
"""Sent by a call of which nobody says how large it is: three times what it receives."""
_BYTES_PER_TOKEN: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """A call's length in tokens. ``tokens_out`` is exact; without it, what is learned counts."""

    tokens_in: int
    tokens_out: int | None = None
    most_out: int | None = None
    """What the caller allows for one answer."""
    answers: int = 1

    @classmethod
    def of(cls, task: str, constraints: Constraints) -> Length:
        """Read it from the limits, else from the task: at least a typical call.

        What is said of a task is often shorter than what will be asked for it.
        """
        sent, received = constraints.tokens_in, constraints.tokens_out
        if sent is not None or received is not None:
            return cls(tokens_in=sent or 0, tokens_out=received or 0)
        return cls(tokens_in=max(count_tokens(task), TYPICAL_TOKENS_IN))


def count_tokens(text: str) -> int:
    """Estimate the tokens of a text before anybody counts them."""
    return math.ceil(len(text.encode("utf-8", "replace")) / _BYTES_PER_TOKEN)
