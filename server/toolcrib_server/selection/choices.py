"""What a selection of models answers: ranked choices, what was excluded, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from toolcrib_registry.types import Revision

from .candidate import Candidate
from .constraint import Constraints, Exclusion

if TYPE_CHECKING:
    # Numpy is slow to import, and a command that chooses no model has no use for it.
    from .forecast import Expected
    from .routing.choice import Expectation
    from .routing.router import Routing

NO_LIMITS: Final = Constraints()


class Objective(StrEnum):
    """What decides among the candidates that meet every limit."""

    RELEVANCE = "relevance"
    """The most relevant model; the cheaper of equals."""
    COST = "cost"
    """The cheapest; the more relevant of equals. An unknown price comes last."""
    CONTEXT = "context"
    """The longest context; the more relevant of equals. An unknown length comes last."""
    LATENCY = "latency"
    """The one expected to answer first; the more relevant of equals. What is unknown comes last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A model that meets every limit, at its best offer. ``alternatives`` are its other offers."""

    candidate: Candidate
    reasons: tuple[str, ...]
    alternatives: tuple[Candidate, ...] = ()
    expected: Expectation | None = None
    """What past outcomes let one expect of it for this task; None while there are none."""
    forecast: Expected | None = None
    """What a call of it is expected to cost and take, by its prices and by calls that were
    measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The ranked choices, best first, and all that was excluded, with the reasons."""

    choices: tuple[Choice, ...]
    exclusions: Sequence[Exclusion]
    """Each is worked out when it is looked at."""
    considered: int
    """How many candidates there were."""
    passed: int
    """How many of them met every limit."""
    excluded_by: Mapping[str, int]
    """How many candidates each field excludes, most first. A candidate may fail several."""
    notes: tuple[str, ...] = ()
    revision: Revision = Revision(0)
    routing: Routing | None = None
    """What past outcomes say among the models that passed; None while there are none."""
