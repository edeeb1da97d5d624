"""From which score on an answer is accepted: learned from answers that were checked, then rated.

A check's score is no probability. Where enough answers were rated after they had been checked, the
threshold is the least score whose accepted answers were right as often as is wanted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from toolcrib_registry.types import ModelOutcome, RatingSource

DEFAULT_ACCEPT: Final = 0.6
"""Two of three answers that agree, or a grade of six."""
WANTED_RIGHT: Final = 0.8
"""The share of accepted answers that shall be right."""
ENOUGH: Final = 30
_RIGHT: Final = 0.5
"""A rating from here on says that the answer was right."""
_Z: Final = 1.2816
"""One-sided 90 %."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """The least score that is accepted, and where it comes from."""

    score: float
    reason: str


def learn_threshold(pairs: Sequence[tuple[float, bool]]) -> Threshold:
    """Learn from (score, was it right?) of checked answers.

    Of the scores that occur, the least is taken at which the share of right answers among those
    accepted is at least `WANTED_RIGHT` by the lower end of its 90 % Wilson interval. Where none
    is, only a full score is accepted.
    """
    if len(pairs) < ENOUGH:
        return Threshold(
            DEFAULT_ACCEPT, f"the default: {len(pairs)} of {ENOUGH} ratings of checked answers"
        )
    for score in sorted({score for score, _ in pairs}):
        accepted = [right for given, right in pairs if given >= score]
        if lower_bound(sum(accepted), len(accepted)) >= WANTED_RIGHT:
            share = sum(accepted) / len(accepted)
            return Threshold(score, f"{share:.0%} of {len(accepted)} such answers were right")
    return Threshold(1.0, f"of {len(pairs)} rated answers too few were right at any lower score")


def lower_bound(right: int, total: int) -> float:
    """Return the lower end of the Wilson score interval of a share (Wilson, 1927)."""
    if not total:
        return 0.0
    share, z2 = right / total, _Z * _Z
    middle = share + z2 / (2 * total)
    spread = _Z * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    return (middle - spread) / (1 + z2 / total)


def pairs_of(outcomes: Iterable[ModelOutcome]) -> list[tuple[float, bool]]:
    """Match checks with ratings of the same model's answer to the same query; last ones count."""
    checked: dict[tuple[str, str], float] = {}
    rated: dict[tuple[str, str], bool] = {}
    for outcome in outcomes:
        if outcome.score is None:
            continue
        about = (outcome.query, outcome.model)
        if outcome.source is RatingSource.VERIFIER:
            checked[about] = outcome.score
        else:
            rated[about] = outcome.score >= _RIGHT
    return [(score, rated[about]) for about, score in checked.items() if about in rated]
