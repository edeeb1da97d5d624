"""What a check says of an answer, and what checks together say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from toolcrib_server.invocation.figures.measured import Measured


class CheckKind(StrEnum):
    """How an answer is checked, from the cheapest to the dearest."""

    JSON_SCHEMA = "json-schema"
    PATTERN = "pattern"
    COMMAND = "command"
    """A program that the operator named in the settings."""
    SELF_CONSISTENCY = "self-consistency"
    """The same model is asked again: how many of its answers agree?"""
    JUDGE = "judge"
    """Another model grades the answer."""

    @property
    def is_certain(self) -> bool:
        """Whether what it says is yes or no, and never an estimate."""
        return self in {CheckKind.JSON_SCHEMA, CheckKind.PATTERN, CheckKind.COMMAND}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one check says. ``score`` is 0 or 1 of a certain check, else from 0 to 1."""

    kind: CheckKind
    score: float
    detail: str
    made: bool = True
    """False: the check itself failed, which rejects the answer and says nothing of it."""
    spent: tuple[Measured, ...] = field(default=(), repr=False)
    """The calls of models that the check itself made."""


def score_of(verdicts: Sequence[Verdict]) -> float:
    """Return the worst score: an answer is no better than its worst side. Without any, 0."""
    return min((verdict.score for verdict in verdicts), default=0.0)
