"""What is learned from, and whom it may influence. Values alone."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

EVERYONE: Final = "everyone"
"""The one tenant, where outcomes are shared."""


class LearningMode(StrEnum):
    """How far learning goes."""

    OFF = "off"
    """Nothing is recorded or used."""
    FEEDBACK = "feedback"
    """What somebody says on purpose is recorded, and used once replay shows gain."""
    RECORD = "record"
    """Calls that follow a search are recorded too; nothing is used."""
    ON = "on"
    """Both are recorded, and used once replay shows gain."""

    @property
    def takes_feedback(self) -> bool:
        """Whether feedback is recorded."""
        return self is not LearningMode.OFF

    @property
    def watches_calls(self) -> bool:
        """Whether calls are tied to the searches before them."""
        return self in {LearningMode.RECORD, LearningMode.ON}

    @property
    def uses(self) -> bool:
        """Whether searches use what was learned."""
        return self in {LearningMode.FEEDBACK, LearningMode.ON}


class Sharing(StrEnum):
    """Whose outcomes influence whose searches."""

    PRINCIPAL = "principal"
    """Each principal's its own, and nobody else's."""
    EVERYONE = "everyone"
    """All outcomes, everybody's."""

    def tenant_of(self, principal: str) -> str:
        """Name the tenant of a principal."""
        return EVERYONE if self is Sharing.EVERYONE else principal
