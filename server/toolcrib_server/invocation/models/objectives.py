"""What a caller may write in the place of a model's name: ``auto``, and what it is to go by."""

from __future__ import annotations

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.selection.models import Objective

AUTO = "auto"
_ALIASES = {
    "best": Objective.RELEVANCE,
    "cheapest": Objective.COST,
    "longest": Objective.CONTEXT,
    "fastest": Objective.LATENCY,
}


def is_auto(asked: str) -> bool:
    """Whether the choice is left to us."""
    return asked == AUTO or asked.startswith(f"{AUTO}:")


def objective_of(asked: str, given: Objective | None) -> Objective:
    """Read the objective of ``auto:OBJECTIVE``, unless one was given besides.

    Raises:
        InvalidInput: There is no such objective, or two that differ.
    """
    word = asked.partition(":")[2]
    if not word:
        return given or Objective.RELEVANCE
    named = read_objective(word)
    if given is not None and given is not named:
        raise InvalidInput(
            f"The model says {asked!r}, the objective {given.value!r}: make them one."
        )
    return named


def read_objective(word: str) -> Objective:
    """Read an objective by its name or a common word for it.

    Raises:
        InvalidInput: There is no such objective.
    """
    try:
        return _ALIASES.get(word) or Objective(word)
    except ValueError:
        known = ", ".join([*(o.value for o in Objective), *_ALIASES])
        raise InvalidInput(f"There is no objective {word[:40]!r}. Use one of {known}.") from None
