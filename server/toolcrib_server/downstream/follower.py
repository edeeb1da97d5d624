"""Brings a client of the handshake era the events of a stream, by a GET.

That is the session's standing stream, or one of a request that was torn off.
"""

from __future__ import annotations

from .event_stream import EventStream, Kept
from .response import KEEP_ALIVE, Response, event
from .session import Session


class Follower:
    """Brings a client the events of a stream, from one number on."""

    def __init__(
        self,
        session: Session,
        start: int,
        reader: object = None,
        *,
        stream: EventStream | None = None,
    ) -> None:
        self._session = session
        self._stream = stream or session.standing
        self._reader = reader
        self._at = start
        self._active = True

    async def run(self, answer: Response) -> None:
        """Bring them until the stream ends.

        Raises:
            ClientGone: The client does not read.
        """
        await answer.write(self._opening())
        while True:
            fresh = self._fresh()
            for each in fresh:
                event_id = self._stream.id_of(each.number)
                await answer.write(event(each.data, event_id=event_id))
                self._at = each.number
                self._stream.read = max(self._stream.read, each.number)
            if not fresh:
                if self._stream.has_ended:
                    return await answer.end()
                await self._stream.wait()

    def _opening(self) -> bytes:
        if not self._session.primes:
            return KEEP_ALIVE
        return event(b"", event_id=self._stream.id_of(self._at))

    def _fresh(self) -> list[Kept]:
        """Return what is new, unless a newer reader gets it."""
        was_active = self._active
        self._active = self._reader is None or self._session.reads(self._reader)
        if not self._active:
            return []
        if not was_active:
            self._at = max(self._at, self._stream.read)
        return self._stream.after(self._at)
