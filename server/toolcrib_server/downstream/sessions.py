"""The sessions of an endpoint: who has which, how many there may be, and when one is forgotten."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from http import HTTPStatus

import anyio
from mcp_types.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST

from .exchange import Refusal
from .limits import Limits
from .session import Session

_LONGEST_NAP_S = 30.0


def find_hog(holders: Iterable[str], newcomer: str) -> str | None:
    """Name the principal that has most, if a newcomer has so few that one should pass to it."""
    each = Counter(holders)
    principal, number = max(each.items(), key=lambda item: item[1], default=(newcomer, 0))
    return principal if number > each[newcomer] + 1 else None


class Sessions:
    """The sessions of a face, those longest unused first."""

    def __init__(self, limits: Limits) -> None:
        self._limit = limits.max_sessions
        self._idle_s = limits.session_idle_s
        self._spare_s = limits.spare_after_s
        self._by_id: OrderedDict[str, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_id)

    async def add(self, session: Session) -> None:
        """Keep a session from now on.

        Raises:
            Refusal: There is no room.
        """
        if len(self._by_id) >= self._limit:
            await self._make_room(session.principal)
        self._by_id[session.id] = session

    async def _make_room(self, principal: str) -> None:
        for session in self._by_id.values():
            if session.is_idle(self._spare_s):
                return await self.end(session)
        # Nobody may keep the others out: of whoever has most, the one longest unused gives way.
        most = find_hog((each.principal for each in self._by_id.values()), principal)
        theirs = [each for each in self._by_id.values() if each.principal == most]
        if theirs:
            return await self.end(next((one for one in theirs if one.is_idle(0)), theirs[0]))
        text = f"{self._limit} sessions are open, and all are in use. Try again later."
        raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, INTERNAL_ERROR, text)

    def get(self, session_id: str | None, *, principal: str, place: str) -> Session:
        """Return the session that a request names.

        Raises:
            Refusal: It names none, or none that is its own, which is the same as none at all.
        """
        if session_id is None:
            text = "Send initialize first, and then the Mcp-Session-Id that it answers with."
            raise Refusal(HTTPStatus.BAD_REQUEST, INVALID_REQUEST, text)
        session = self._by_id.get(session_id)
        if session is None or session.principal != principal or session.place != place:
            text = "There is no such session, or not any more. Send initialize again."
            raise Refusal(HTTPStatus.NOT_FOUND, INVALID_REQUEST, text)
        self._by_id.move_to_end(session_id)
        return session

    async def end(self, session: Session) -> None:
        """Forget a session; what it was doing is cancelled."""
        if self._by_id.pop(session.id, None) is not None:
            await session.end()

    def hush(self) -> None:
        """End the streams that are open, as when the server shuts down."""
        for session in self._by_id.values():
            session.standing.end()

    async def sweep(self) -> None:
        """Forget sessions that have been idle for too long. Never returns."""
        while True:
            await anyio.sleep(min(self._idle_s / 4, _LONGEST_NAP_S))
            async with anyio.create_task_group() as tasks:
                for session in list(self._by_id.values()):
                    if session.is_idle(self._idle_s):
                        tasks.start_soon(self.end, session)

    async def end_all(self) -> None:
        """Forget all of them."""
        async with anyio.create_task_group() as tasks:
            for session in list(self._by_id.values()):
                tasks.start_soon(self.end, session)
