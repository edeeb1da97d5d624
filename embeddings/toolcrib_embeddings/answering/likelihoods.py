"""How likely it is that anything fits a question, each of its steps, and each candidate.

What fits one step of a task fits the task: it has the likelihood that the step gives it, if that is
more than the whole text gives. Knows scores of candidates, no entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.abstention.confirmation import Confirmation
from toolcrib_embeddings.abstention.judging import Judge, Measured, Verdict
from toolcrib_embeddings.hits import DENSE, LEXICAL
from toolcrib_embeddings.queries.remarks import asks_for_something
from toolcrib_embeddings.ranking.fusion import Evidence, Fused
from toolcrib_embeddings.vectors import FloatVector

from .question import Asked

BEST_OF_STEP: Final = 2
"""A candidate answers a step when it is among so many best for it."""
_LIKELY: Final = 0.5
"""From here on something fits a step. Where that is so for half of them, no search abstains."""


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """What an index says of its own answer to a question."""

    search: float
    """That anything fits: never less than that the likeliest candidate does."""
    abstained: bool
    steps: tuple[Verdict, ...]
    by_whole: FloatVector
    """Of each candidate, by the whole text."""
    by_steps: FloatVector
    """Of each candidate, by the steps that it answers; 0 for one that answers none."""

    @classmethod
    def judge(
        cls,
        asked: Asked,
        evidence: Evidence,
        fused: Fused,
        judge: Judge,
        confirmed: Confirmation | None,
    ) -> Self:
        """Judge a question. Steps by the registry's own scale: whole questions were confirmed."""
        lines = range(len(asked.texts))
        whole, *steps = (measure_line(asked, line, evidence, judge) for line in lines)
        verdict = judge.judge(whole, confirmed)
        by_whole = judge.hit_likelihoods(whole)
        by_steps = np.zeros_like(by_whole)
        fits: list[bool] = []
        for text, step, best in zip(asked.texts[1:], steps, best_of_steps(fused), strict=False):
            if asks_for_something(text):
                in_turn = _in_turn(judge, step, best)
                by_steps[best] = np.maximum(by_steps[best], in_turn)
                fits.append(bool(in_turn.max() > _LIKELY))
        # One of many fragments fits something by chance; half of them do not.
        abstained = verdict.abstained and 2 * sum(fits) < max(len(fits), 1)
        if abstained:
            by_steps[:] = 0  # where nothing fits the task, no step speaks for anything
        search = max(verdict.likelihood, float(by_steps.max(initial=0)))
        return cls(search, abstained, tuple(map(judge.judge, steps)), by_whole, by_steps)


def measure_line(asked: Asked, line: int, evidence: Evidence, judge: Judge) -> Measured:
    """Measure the search for one line of a question: the whole is 0, its steps follow."""
    return judge.measure(
        asked.texts[line],
        asked.vectors[line],
        dense=evidence.signals[DENSE][line],
        lexical=evidence.signals[LEXICAL][line],
    )


def best_of_steps(fused: Fused) -> NDArray[np.intp]:
    """Return the columns of the best candidates for each step, a line each, best first."""
    return np.argsort(-fused.steps, axis=1, kind="stable")[:, :BEST_OF_STEP]


def _in_turn(judge: Judge, step: Measured, best: NDArray[np.intp]) -> FloatVector:
    """Give the likelihood of each of the best for a step: a later one's, if no earlier one fits."""
    likely = judge.hit_likelihoods(step)[best]
    likely[1:] *= 1 - likely[:-1]
    return likely
