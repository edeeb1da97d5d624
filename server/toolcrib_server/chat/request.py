"""What every door asks for in a chat, in the words that are the same at all of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from toolcrib_registry.types import JsonObject
from toolcrib_server.answers.wish import CacheWish
from toolcrib_server.invocation.models.objectives import AUTO
from toolcrib_server.selection.constraint import Constraints
from toolcrib_server.selection.models import NO_LIMITS, Objective


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A chat: whom, what, within which limits. ``body`` is as the provider is to get it."""

    body: JsonObject
    face: str
    principal: str
    model: str = AUTO
    constraints: Constraints = NO_LIMITS
    objective: Objective | None = None
    timeout_s: float | None = None
    cascade: object = None
    """How to climb, as it was written; None or False: the choice is final."""
    cache: CacheWish = field(default_factory=CacheWish)
    """Whether an answer that was given before will do."""

    @property
    def climbs(self) -> bool:
        """Whether a cascade is asked for."""
        return self.cascade not in (None, False)
