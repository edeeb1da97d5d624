"""Which answers serve as examples for whom, and what came of showing them.

Stage one is likeness of the questions, stage two what is known of the answers: checks that accepted
them, ratings, and how those fared that they were shown for. All within one tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from toolcrib_server.selection.candidate import Candidate

from .examples import LEAST_LIKENESS, Example, choose
from .question import Question
from .shelf import AnswerShelf

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_LOOKED_AT: Final = 32
_RIGHT: Final = 0.5
"""A rating from here on says that an answer was right, as in a cascade."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """How an answer of a model to a question was, from 0 to 1."""

    query: str
    model: str
    score: float


class Teaching:
    """Chooses examples, and hears how they did. Belongs to the event loop, like the shelf."""

    def __init__(self, shelf: AnswerShelf, *, now: Callable[[], float]) -> None:
        self._shelf = shelf
        self._now = now
        self.shown = 0
        """How many examples were given along so far."""

    def examples_for(
        self,
        question: Question | None,
        vector: NDArray[np.float32] | None,
        readers: Sequence[Candidate],
    ) -> tuple[Example, ...]:
        """Choose what to show a model for a question; mostly nothing.

        ``readers`` are who is asked first, then whoever answers if that fails.
        """
        if question is None or question.family is None or vector is None:
            return ()
        alike = self._shelf.near(
            question.tenant,
            question.family,
            vector,
            least=LEAST_LIKENESS,
            most=_MOST_LOOKED_AT,
            now=self._now(),
        )
        chosen = choose(alike, readers, question.text or "")
        for example in chosen:
            self._shelf.touch(question.tenant, example.kept)
        self.shown += len(chosen)
        return chosen

    def credit(self, question: Question | None, examples: Sequence[Example], *, good: bool) -> None:
        """Say whether an answer was good that examples were shown for."""
        if question is not None:
            keys = [example.kept.key for example in examples]
            self._shelf.credit(question.tenant, keys, good=good)

    def rate(self, tenant: str, ratings: Iterable[Rating]) -> int:
        """Take note of ratings of kept answers, and of what these were shown; returns how many."""
        known = {(kept.text, kept.model): kept for kept in self._shelf.list_kept(tenant)}
        noted = 0
        for rating in ratings:
            kept = known.get((rating.query, rating.model))
            if kept is None:
                continue
            noted += 1
            good = rating.score >= _RIGHT
            self._shelf.credit(tenant, (kept.key, *kept.taught_by), good=good)
        return noted
