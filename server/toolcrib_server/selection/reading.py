"""How a query was read before it is searched for, and by whom. Says nothing of how that is done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class SplitBy(StrEnum):
    """Who found the steps of a task."""

    ASKER = "asker"
    """The query came as a list of steps."""
    RULES = "rules"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Read:
    """What a model made of a query."""

    model: str
    english: str | None = None
    """The whole of it, where it was in another language."""
    steps: tuple[str, ...] = ()
    """In English; one or none where it is no task of several."""


class Reader(Protocol):
    """Reads queries that rules do not do justice to."""

    async def read(self, query: str) -> Read | None:
        """Say how it is read; None: by rules. Never fails, and waits within bounds of its own."""
        ...
