"""The handshake era over HTTP: sessions, requests with streams of their own, and the GET stream.

A client that loses a connection has cancelled nothing: it comes back and takes up the stream where
it was torn off.
"""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import Any

import anyio
import anyio.abc
from mcp_types.jsonrpc import INVALID_REQUEST

from toolcrib_registry.types import JsonObject

from .event_stream import read_event_id
from .follower import Follower
from .limits import Limits
from .messages import Call, Note, Reply, failure, id_of, response, sort
from .outlet import Outlet
from .response import ClientGone, Response
from .service import RpcError
from .session import STANDING, Session
from .sessions import Sessions
from .visit import Visit
from .watchman import Watchman, watch

MAX_BATCH = 100
_BATCHING = frozenset({"2025-03-26"})
"""Versions that allow several messages in one body."""


class HandshakeFace:
    """Serves clients of the handshake era."""

    def __init__(
        self,
        sessions: Sessions,
        tasks: anyio.abc.TaskGroup,
        watchman: Watchman,
        *,
        limits: Limits,
    ) -> None:
        self._sessions = sessions
        self._tasks = tasks
        self._watchman = watchman
        self._limits = limits

    def session_of(self, visit: Visit) -> Session:
        """Return the session that a request names, with its service as it is now.

        Raises:
            Refusal: It names none that is its own.
        """
        session_id = visit.headers.get(b"mcp-session-id")
        session = self._sessions.get(session_id, principal=visit.principal, place=visit.place)
        session.conversation.service = visit.service
        return session

    async def post(self, visit: Visit, message: Call | Note | Reply) -> None:
        """Take in one message.

        Raises:
            RpcError: It is refused.
        """
        if isinstance(message, Call) and message.method == "initialize":
            return await self._initialize(visit, message)
        session = self.session_of(visit)
        with session.in_use():
            if isinstance(message, Call):
                return await self._answer(session, visit, message)
            await _take(session, message)
        return await visit.respond().reply(HTTPStatus.ACCEPTED)

    async def post_batch(self, visit: Visit, decoded: list[Any]) -> None:
        """Take in several messages at once.

        Raises:
            RpcError: There are no batches in this session's version, or too much is in it.
        """
        session = self.session_of(visit)
        if session.version not in _BATCHING:
            raise RpcError(INVALID_REQUEST, "A body is one message: there are no batches here.")
        if not decoded or len(decoded) > MAX_BATCH:
            raise RpcError(INVALID_REQUEST, f"A batch is 1 to {MAX_BATCH} messages.")
        outlet = Outlet(session, visit.respond())
        replies: list[JsonObject] = []
        with session.in_use():
            async with anyio.create_task_group() as tasks:
                for each in decoded:
                    tasks.start_soon(_take_one, session, each, outlet, replies)
            await outlet.finish(replies)

    async def get(self, visit: Visit) -> None:
        """Open the stream of what belongs to no request, or take up one that was torn off.

        Raises:
            RpcError: It is refused.
        """
        session = self.session_of(visit)
        name, number = _resumed(visit) or (STANDING, session.standing.read)
        stream = session.find_stream(name)
        answer = visit.respond()
        with session.in_use():
            if stream is None or stream is session.standing:
                start = session.standing.read if stream is None else number
                with session.reading() as reader:
                    session.conversation.follow()
                    await self._carry(visit, answer, Follower(session, start, reader))
            else:
                await self._carry(visit, answer, Follower(session, number, stream=stream))

    async def delete(self, visit: Visit) -> None:
        """End a session.

        Raises:
            Refusal: There is none.
        """
        await self._sessions.end(self.session_of(visit))
        await visit.respond().reply(HTTPStatus.NO_CONTENT)

    async def _initialize(self, visit: Visit, call: Call) -> None:
        session = Session(
            visit.service,
            call.params,
            principal=visit.principal,
            place=visit.place,
            tasks=self._tasks,
            limits=self._limits,
        )
        await self._sessions.add(session)
        try:
            with session.in_use():
                result = await session.conversation.greet()
        except BaseException:
            await self._sessions.end(session)
            raise
        answer = visit.respond(headers=[(b"mcp-session-id", session.id.encode("ascii"))])
        await answer.finish(response(call.id, result))

    async def _answer(self, session: Session, visit: Visit, call: Call) -> None:
        answer = visit.respond()
        outlet = Outlet(session, answer)
        with self._watchman.attend(visit.receive, answer):
            await outlet.finish(await session.answer(call, outlet.say))

    async def _carry(self, visit: Visit, answer: Response, follower: Follower) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch, visit, answer, tasks.cancel_scope)
            with contextlib.suppress(ClientGone):
                await follower.run(answer)
            tasks.cancel_scope.cancel()

    async def _watch(self, visit: Visit, answer: Response, scope: anyio.CancelScope) -> None:
        with contextlib.suppress(ClientGone):
            await watch(visit.receive, answer, keep_alive_s=self._limits.keep_alive_s)
        scope.cancel()


def _resumed(visit: Visit) -> tuple[str, int] | None:
    last = visit.headers.get(b"last-event-id")
    return None if last is None else read_event_id(last)


async def _take(session: Session, message: Note | Reply) -> None:
    if isinstance(message, Note):
        await session.note(message)
    else:
        session.conversation.take(message)


async def _take_one(
    session: Session, decoded: object, outlet: Outlet, replies: list[JsonObject]
) -> None:
    try:
        message = sort(decoded)
        if not isinstance(message, Call):
            await _take(session, message)
        elif message.method == "initialize":
            raise RpcError(INVALID_REQUEST, "initialize may not be part of a batch.")
        else:
            replies.append(await session.answer(message, outlet.say))
    except RpcError as error:
        replies.append(failure(id_of(decoded), error))
