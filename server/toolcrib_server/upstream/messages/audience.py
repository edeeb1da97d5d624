"""Who hears what a server says on one connection about no request, and who answers it.

Changes of lists and resources go to whoever listens; everything else to the client whose connection
it is, if it is one client's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from toolcrib_registry.types import JsonObject

from .dialogue import Dialogue, Questions, Reply
from .hearing import ACKNOWLEDGED, Hearing
from .incoming import CHANGES
from .interaction import SHARED, Profile
from .subscriptions import Ask, Subscriptions


class Audience:
    """The hearers of one connection. Enter `open` while there is a link."""

    def __init__(self, hearing: Hearing) -> None:
        self.hearing = hearing
        self.questions = Questions()
        self.subscriptions: Subscriptions | None = None
        """Of a server of the handshake era."""
        self._owner = Dialogue(SHARED, self.questions)

    def open(self) -> AbstractAsyncContextManager[object]:
        """Begin to hand on; leaving drops what has not been answered."""
        return self._owner

    def belong_to(self, profile: Profile) -> None:
        """Hand what is about no request to this client from now on."""
        self._owner.hearer = profile

    def subscribe_by(self, ask: Ask) -> None:
        """Have listeners told of what the server says once to all, as before 2026-07-28."""
        self.subscriptions = Subscriptions(ask)

    @property
    def can_hear(self) -> bool:
        """Whether anybody hears messages that are about no request."""
        return self._owner.can_hear

    @property
    def can_ask(self) -> bool:
        """Whether anybody answers requests that belong to none of ours."""
        return self._owner.can_ask

    def hear(self, method: str, params: JsonObject) -> None:
        """Take a notification."""
        self.hearing.on_notification(method, params)
        if method in CHANGES:
            if self.subscriptions is not None:
                self.subscriptions.tell(method, params)
        elif method != ACKNOWLEDGED:
            self._owner.tell(method, params)

    def ask(
        self, message: Mapping[str, Any], reply: Reply, *, about: Sequence[Dialogue] = ()
    ) -> None:
        """Take a request, which may be about these of ours."""
        self._owner.ask(message, reply, about=about)

    def withdraw(self, asked: object) -> None:
        """Note that the server no longer wants this request of its own answered."""
        self.questions.withdraw(asked)
