"""Where answers begin, told from questions of one tenant that are known to have had one.

Split conformal prediction (arXiv 2107.07511): of ``n`` questions that had an answer, one more like
them is weaker than the k-th weakest with probability k / (n + 1). Knows strengths and who said so,
no index. What a liar can do is bounded, see `Confirmation.bar`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

LEAST_CONFIRMED: Final = 50
"""Questions known to have an answer, below which a registry's own scale is the better guess."""
MOST_LOWERED: Final = 0.6
"""Log-odds by which confirmed questions lower the bar of the registry's own scale, at most."""
MOST_RAISED: Final = 1.0
"""The same, up. On the development sets the true bar lies 0.6 below to 0.9 above that scale's."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A question that had an answer."""

    strength: float
    """What its search said of itself; see `calibration.strength`."""
    voices: frozenset[str]
    """The principals who say that it had one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What confirmed questions say of the bar under which to abstain."""

    questions: int
    error_rate: float
    """The share of questions with an answer that the bar may abstain on."""
    low: float
    """The least bar, as a strength, whichever one principal is left out."""
    high: float
    """The greatest; the same where there is one principal alone."""

    def bar(self, own: float) -> float:
        """Move a registry's own bar as far as everyone but any one principal would move it.

        So a principal alone moves it no further than the others do, and all of them together no
        further than `MOST_LOWERED` and `MOST_RAISED`.
        """
        agreed = min(max(own, self.low), self.high)
        return min(max(agreed, own - MOST_LOWERED), own + MOST_RAISED)

    def dump(self) -> dict[str, float]:
        """Render it as JSON data."""
        return {
            "questions": self.questions,
            "errorRate": self.error_rate,
            "low": self.low,
            "high": self.high,
        }

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> Self:
        """Read what `dump` gave.

        Raises:
            ValueError: It is something else.
        """
        try:
            questions, rate = int(data["questions"]), float(data["errorRate"])
            low, high = float(data["low"]), float(data["high"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no confirmation: {error}") from error
        if not (low <= high and math.isfinite(low) and math.isfinite(high) and 0 <= rate <= 1):
            raise ValueError("a confirmation holds finite numbers, in order")
        return cls(questions=questions, error_rate=rate, low=low, high=high)


def confirm(answered: Sequence[Answered], *, error_rate: float) -> Confirmation | None:
    """Learn the bar from questions; None while they are too few.

    At least 50 must be left whichever one principal is left out, where there are several.
    """
    parts = _without_each(answered)
    if min(map(len, parts)) < LEAST_CONFIRMED:
        return None
    bars = [conformal_bar((one.strength for one in part), error_rate=error_rate) for part in parts]
    if not math.isfinite(min(bars)):
        return None
    return Confirmation(
        questions=len(answered), error_rate=error_rate, low=min(bars), high=max(bars)
    )


def count_independent(answered: Sequence[Answered]) -> int:
    """Count the questions that are left whichever one principal is left out: 50 are needed."""
    return min(map(len, _without_each(answered)))


def _without_each(answered: Sequence[Answered]) -> list[list[Answered]]:
    voices = sorted({who for one in answered for who in one.voices})
    if len(voices) <= 1:
        return [list(answered)]
    return [[one for one in answered if one.voices != frozenset({who})] for who in voices]


def conformal_bar(strengths: Iterable[float], *, error_rate: float) -> float:
    """Return the strength that at most ``error_rate`` of like questions stay under, on average.

    Where they are too few to tell so small a share, the bar is under them all.
    """
    ordered = sorted(strengths)
    place = math.floor(error_rate * (len(ordered) + 1) + 1e-9)
    return ordered[min(place, len(ordered)) - 1] if place else -math.inf
