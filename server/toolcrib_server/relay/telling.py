"""What one client is told of a server's changes: by the server, and by the registry beside it.

What an operator approves, disables or enables is in no server's power to tell of.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import cast

import anyio

from toolcrib_registry.errors import ToolcribError, UpstreamProtocolError
from toolcrib_registry.types import JsonObject
from toolcrib_server.downstream.service import Notify
from toolcrib_server.downstream.subscription import ACKNOWLEDGED
from toolcrib_server.upstream.connecting.era import Greeting
from toolcrib_server.upstream.messages.hearing import announced_changes
from toolcrib_server.upstream.messages.interaction import OnNotice

from .news import WORDS, Ear, News
from .translation import offered_lists

ListenToServer = Callable[[OnNotice], Awaitable[None]]
"""Hears of changes until the server ends that; raises `UpstreamError`."""


async def tell(
    news: News, greeting: Greeting, wanted: JsonObject, notify: Notify, listen: ListenToServer
) -> None:
    """Tell of what is ``wanted``, as long as the server does; without end if it need not be asked.

    Raises:
        ToolcribError: It tells of nothing, and has no lists; or it was lost.
    """
    offered, announced = offered_lists(greeting), announced_changes(greeting.capabilities)
    lists = {word: name for word, name in WORDS.items() if wanted.get(word) is True}
    ours = {word: name for word, name in lists.items() if name in offered}
    others = any(value for word, value in wanted.items() if word not in WORDS)
    # One that would tell of none of this need not be kept running for it.
    is_needed = others or not ours or bool(announced.intersection(lists.values()))
    failure: ToolcribError | None = None
    with news.listening() as ear:
        telling = _Telling(ear, ours, notify)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(telling.follow)
            try:
                await telling.hear_server(listen if is_needed else None)
            except ToolcribError as error:
                failure = error
            tasks.cancel_scope.cancel()
    if failure is not None:  # outside of the group, which would wrap it
        raise failure


class _Telling:
    """One client that is told."""

    def __init__(self, ear: Ear, ours: Mapping[str, str], notify: Notify) -> None:
        self._ear = ear
        self._ours = ours
        self._notify = notify
        self._agreed = anyio.Event()

    async def follow(self) -> None:
        await self._agreed.wait()
        await self._ear.follow(self._ours.values(), self._notify)

    async def hear_server(self, listen: ListenToServer | None) -> None:
        if listen is not None:
            try:
                await listen(self._hear)
            except UpstreamProtocolError:
                # It tells of nothing at all: the registry still does.
                if self._agreed.is_set() or not self._ours:
                    raise
            else:
                return
        await self._agree({})
        await anyio.sleep_forever()

    async def _hear(self, method: str, params: JsonObject) -> None:
        if method == ACKNOWLEDGED:
            agreed = params.get("notifications")
            await self._agree(cast("JsonObject", agreed) if isinstance(agreed, dict) else {})
        else:
            await self._notify(method, params)

    async def _agree(self, by_server: JsonObject) -> None:
        told = {name for word, name in WORDS.items() if by_server.get(word) is True}
        self._ear.told_by_server = told
        agreed = {**by_server, **dict.fromkeys(self._ours, True)}
        await self._notify(ACKNOWLEDGED, {"notifications": agreed})
        self._agreed.set()
