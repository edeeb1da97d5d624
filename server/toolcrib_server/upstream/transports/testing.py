"""A link without a server, for tests of what stands above links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from toolcrib_server.upstream.failures import LinkLost
from toolcrib_server.upstream.messages.dialogue import Dialogue

from .link import LinkState, OnUp
from .loss import Loss


class ScriptedLink:
    """Answers each request with the next of its answers: a result, a failure, or silence (None)."""

    def __init__(self, *answers: dict[str, Any] | Exception | None) -> None:
        self._answers = list(answers)
        self._loss = Loss()
        self.sent: list[tuple[str, Mapping[str, Any] | None, Mapping[str, str]]] = []
        """Each (method, params, headers)."""

    is_one_channel = True

    @property
    def is_lost(self) -> bool:
        """Whether it was given up."""
        return self._loss.failure is not None

    async def wait_lost(self) -> str:
        """Wait until it is given up; return the reason."""
        return await self._loss.wait()

    def lose(self, reason: str) -> None:
        """Give it up."""
        self._loss.note(LinkLost(reason))

    def describe(self) -> LinkState:
        """Say that there is nothing to see."""
        return LinkState()

    async def wait_ready(self) -> None:
        """Return at once."""

    async def follow(self, *, headers: Mapping[str, str], on_up: OnUp) -> None:
        """Return at once: nothing is said unasked."""

    async def request(
        self,
        call_id: int,  # answers come in order
        method: str,
        params: Mapping[str, Any],
        *,
        headers: Mapping[str, str],
        dialogue: Dialogue | None = None,  # nothing is said
    ) -> dict[str, Any]:
        """Note the request and give the next answer."""
        self.sent.append((method, params, headers))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            await anyio.sleep_forever()
            raise AssertionError("it sleeps for ever")
        return answer

    async def notify(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str],
    ) -> None:
        """Note the notification."""
        self.sent.append((method, params, headers))
