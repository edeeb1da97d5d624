"""What models are shown on the way to an answer, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence

from toolcrib_registry.types import JsonObject
from toolcrib_server.answers.cache import AnswerCache
from toolcrib_server.answers.examples import Example, dress
from toolcrib_server.answers.lookup import Lookup
from toolcrib_server.cascade.climbing import Step
from toolcrib_server.invocation.models.order import Pick


class Taught:
    """Shows each model of a cascade its examples, and remembers which."""

    def __init__(self, answers: AnswerCache, looked: Lookup) -> None:
        self._answers = answers
        self._looked = looked
        self.shown: dict[str, tuple[Example, ...]] = {}

    def dress(self, picks: Sequence[Pick], body: JsonObject) -> JsonObject:
        """Put what helps before the question."""
        examples = examples_of(self._answers, self._looked, picks)
        self.shown[picks[0].candidate.model.name] = examples
        return dress(body, examples)

    def note(self, step: Step) -> None:
        """Pass on what the checks said of an answer that examples were shown for."""
        if step.answered is not None:
            shown = self.shown.get(step.model, ())
            self._answers.teaching.credit(self._looked.question, shown, good=step.accepted)


def examples_of(
    answers: AnswerCache | None, looked: Lookup, picks: Sequence[Pick]
) -> tuple[Example, ...]:
    """Choose what those are shown who may answer; nothing where there is no cache."""
    if answers is None:
        return ()
    readers = [pick.candidate for pick in picks]
    return answers.teaching.examples_for(looked.question, looked.vector, readers)
