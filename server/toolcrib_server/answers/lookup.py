"""What came of looking for an answer, what the operator decided, and what the cache did so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from toolcrib_server.learning.mode import Sharing

from .question import Question
from .shelf import Kept
from .wish import CacheMode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAST_SIMILARITY: Final = 0.90
"""By `benchmarks/cache.py`: the words decide, and more likeness than this only loses hits."""


class CacheOutcome(StrEnum):
    """What came of looking."""

    EXACT = "exact"
    NEAR = "near"
    MISS = "miss"
    SKIPPED = "skipped"
    """The request is not for a cache, or declines it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """What the operator decides."""

    mode: CacheMode = CacheMode.OFF
    ttl_s: float = 3_600.0
    room_bytes: int = 64 * 1024 * 1024
    least_similarity: float = LEAST_SIMILARITY
    sharing: Sharing = Sharing.PRINCIPAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """What came of looking: an answer that is given again, or why there is none."""

    outcome: CacheOutcome
    reason: str | None = None
    kept: Kept | None = None
    similarity: float | None = None
    age_s: float | None = None
    question: Question | None = None
    """What a new answer is kept under; None: it is not kept."""
    vector: NDArray[np.float32] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerTotals:
    """What the cache did since the process started, and what it holds."""

    mode: CacheMode = CacheMode.OFF
    outcomes: Mapping[CacheOutcome, int] = field(default_factory=dict[CacheOutcome, int])
    refusals: Mapping[str, int] = field(default_factory=dict[str, int])
    """Near questions that were found to ask something else, by what differs."""
    saved_usd: float = 0.0
    examples: int = 0
    """Worked examples that were shown to smaller models."""
    answers: int = 0
    bytes: int = 0
