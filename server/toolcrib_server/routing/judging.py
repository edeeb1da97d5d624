"""Whether a policy may be used: replayed on queries whose outcomes it had not seen.

Each half of the past is routed by what the other half teaches of margin, default and best single
model. Where that loses more than its standard error, predictions do not decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from toolcrib_server.selection.routing.arrays import Booleans, Floats, folds
from toolcrib_server.selection.routing.margin import learn_margin

FEWEST_JUDGED: Final = 30
"""Held-out queries on which both choices' outcomes are known; fewer decide nothing."""
_SEED: Final = 11


class Standing(StrEnum):
    """What is made of a policy."""

    USED = "used"
    UNJUDGED = "unjudged"
    """Too little is known to judge it: the default is kept, expectations are shown."""
    REFUSED = "refused"
    """It lost in replay: the default is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """How a policy fared on queries that it had not seen, against the best single model."""

    standing: Standing
    judged: int
    score: float
    """What its choices scored."""
    best_single: str | None
    best_single_score: float
    error: float
    """The standard error of the difference."""

    @property
    def reason(self) -> str:
        """Say it in a sentence."""
        if self.standing is Standing.UNJUDGED:
            return (
                f"{self.judged} held-out queries could judge it, {FEWEST_JUDGED} are needed: the "
                "default is kept"
            )
        gain = self.score - self.best_single_score
        verdict = "it is used" if self.standing is Standing.USED else "the default is kept"
        return (
            f"on {self.judged} held-out queries it scores {self.score:.3f}, the best single model "
            f"{self.best_single} {self.best_single_score:.3f} ({gain:+.3f} ± {self.error:.3f}): "
            f"{verdict}"
        )


def judge(
    models: tuple[str, ...], predicted: Floats, scores: Floats, *, default: str | None = None
) -> Judgement:
    """Judge by predictions of past queries, each made without its own outcomes."""
    measured: Booleans = np.array(~np.isnan(scores).all(axis=0), dtype=np.bool_)
    if len(scores) < 2 or not measured.any():  # noqa: PLR2004  # there are no halves
        return _judgement(models, np.zeros(0), np.zeros(0), None)
    parts = folds(len(scores), parts=2, seed=_SEED)
    held = models.index(default) if default in models else None
    pairs = [_replay(predicted, scores, measured, parts == part, held) for part in (0, 1)]
    chosen, single = (np.concatenate(values) for values in zip(*pairs, strict=True))
    return _judgement(models, chosen, single, _best(scores, measured))


def _replay(
    predicted: Floats, scores: Floats, measured: Booleans, inside: Booleans, default: int | None
) -> tuple[Floats, Floats]:
    """Route one half of the past: what was chosen scored, and what the best single model did."""
    best = _best(scores[~inside], measured)
    held = default if default is not None and measured[default] else best
    margin = learn_margin(predicted[~inside], scores[~inside], default=held, allowed=measured)
    rivals = np.where(measured, predicted[inside], -np.inf)
    first = rivals.argmax(axis=1)
    rows = np.arange(len(first))
    gain = rivals[rows, first] - rivals[rows, held]
    needed = np.inf if margin.least is None else margin.least
    chosen = np.where(gain > needed, first, held)
    return scores[inside][rows, chosen], scores[inside][rows, best]


def _judgement(
    models: tuple[str, ...], chosen: Floats, single: Floats, best: int | None
) -> Judgement:
    known = ~np.isnan(chosen) & ~np.isnan(single)
    count = int(known.sum())
    if count < FEWEST_JUDGED:
        return Judgement(
            standing=Standing.UNJUDGED,
            judged=count,
            score=0.0,
            best_single=None if best is None else models[best],
            best_single_score=0.0,
            error=0.0,
        )
    gains = chosen[known] - single[known]
    error = float(gains.std() / np.sqrt(count))
    return Judgement(
        standing=Standing.USED if gains.mean() >= -error else Standing.REFUSED,
        judged=count,
        score=float(chosen[known].mean()),
        best_single=None if best is None else models[best],
        best_single_score=float(single[known].mean()),
        error=error,
    )


def _best(scores: Floats, measured: Booleans) -> int:
    """Name the model with the best mean, drawn to the middle where it was seldom measured."""
    known = ~np.isnan(scores)
    sums = np.where(known, scores, 0.0).sum(axis=0)
    middle = sums.sum() / max(int(known.sum()), 1)
    means = (sums + middle) / (known.sum(axis=0) + 1)
    return int(np.where(measured, means, -np.inf).argmax())
