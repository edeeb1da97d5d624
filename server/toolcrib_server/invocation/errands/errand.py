"""One request on its way to a server: who asks what, and what has come of it so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from toolcrib_registry.types import EntryId, JsonObject
from toolcrib_server.upstream.messages.interaction import ALONE, Interaction

from .book import Target
from .deadline import Deadline

CALL = "tools/call"
READ_RESOURCE = "resources/read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks, and how they can be answered."""

    face: str
    """Which door they came through."""
    principal: str
    timeout_s: float | None = None
    """How long they wait, where that is less than the server's own deadline."""
    meta: JsonObject | None = None
    """What they sent along of their trace, in ``_meta``."""
    interaction: Interaction = ALONE
    takes_input: bool = False
    """What a server wants from a person goes to them as an ``input_required`` result."""


class Send(Protocol):
    """Sends the request over a link; its `UpstreamError` is raised as it comes."""

    async def __call__(
        self, *, timeout_s: float, meta: JsonObject | None, interaction: Interaction
    ) -> dict[str, Any]:
        """Send it, and return the result object as the server sent it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What is asked, and by whom."""

    asker: Asker
    target: Target
    method: str
    subject: EntryId
    """What the audit says that it was about."""
    given: JsonObject
    """The arguments of a tool, or the parameters of any other request."""
    send: Send
    deadline: Deadline
    is_plain: bool = True
    """It is not the continuation of an earlier one, and starts no task."""
    is_safe: bool = False
    """Sending it twice is as sending it once."""
    is_whole: bool = False
    """Its result is for a program, which wants all of it at once."""
    is_listed: bool = False
    """Whoever asks lists the tool itself, and holds its result to the output schema."""

    @property
    def called(self) -> str:
        """What it is called by: its public name, or the method."""
        return self.target.entry.name if self.target.entry is not None else self.method


@dataclass(slots=True)
class Account:
    """What has come of an errand so far."""

    attempts: int = 0
    queued_s: float = 0.0
    held_s: float = 0.0
    """Spent waiting for a server to come back, before anything was sent."""
    heard: bool = False
    """The client was told or asked something while it ran: it cannot be repeated unnoticed."""
    from_cache: bool = False
    bytes: int | None = None
    """Of the text and structured content of the result."""
    marks: list[str] = field(default_factory=list[str])
    """What is to be known of the result: ``cut``, ``misfit``."""
    outcome: str = "cancelled"
