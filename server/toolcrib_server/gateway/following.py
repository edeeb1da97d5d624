"""Listening to the whole registry: its lists, and single resources and tasks of any server.

The client hears one voice: one acknowledgement of what all agreed to, then whatever anybody says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final, cast

import anyio

from toolcrib_registry.errors import ToolcribError
from toolcrib_registry.types import JsonObject, ServerName
from toolcrib_server.downstream.service import Client, Notify, RpcError
from toolcrib_server.downstream.subscription import ACKNOWLEDGED
from toolcrib_server.relay.news import WORDS, News
from toolcrib_server.upstream.messages.incoming import RESOURCE_UPDATED

from .errors import INVALID_PARAMS
from .relaying import FindServer, speaker
from .sources import Sources, name_task, split_task

URIS: Final = "resourceSubscriptions"
TASKS: Final = "taskIds"
_TASK_NOTICE: Final = "notifications/tasks"
_AGREE_S: Final = 15.0
"""A server that has not agreed by then is not listened to."""
_MOST: Final = 1_000

_Part = dict[str, list[str]]
_Names = dict[str, list[str]]
"""What the client calls each URI of a server's, which may be an address, or both."""


class Following:
    """Listens on behalf of clients."""

    def __init__(self, news: News, sources: Sources, find_server: FindServer) -> None:
        self._news = news
        self._sources = sources
        self._find_server = find_server

    async def listen(self, client: Client, wanted: JsonObject, notify: Notify) -> None:
        """Tell of changes until cancelled, or until there is nobody left to tell of any.

        Raises:
            RpcError: More is wanted than can be listened to.
        """
        lists = {word: name for word, name in WORDS.items() if wanted.get(word) is True}
        parts, names = await self._parts(wanted, client)
        voices = [_Voice(server, part, names[server], notify) for server, part in parts.items()]
        with self._news.listening() as ear:
            async with anyio.create_task_group() as tasks:
                for voice in voices:
                    tasks.start_soon(voice.follow, self._find_server, speaker(client))
                await _agree(voices)
                agreed: dict[str, Any] = dict.fromkeys(lists, True) | _agreed_by(voices)
                await notify(ACKNOWLEDGED, {"notifications": agreed})
                for voice in voices:
                    voice.may_speak.set()
                if lists:
                    await ear.follow(lists.values(), notify)

    async def _parts(
        self, wanted: JsonObject, client: Client
    ) -> tuple[Mapping[ServerName, _Part], Mapping[ServerName, _Names]]:
        """Say which server is to be listened to for what, and how the client calls that."""
        parts: dict[ServerName, _Part] = defaultdict(lambda: defaultdict(list))
        names: dict[ServerName, _Names] = defaultdict(lambda: defaultdict(list))
        for called in _texts(wanted, URIS):
            try:
                server, uri = await self._sources.locate(called, {}, client)
            except RpcError:
                continue  # what nobody has is not agreed to
            names[server][uri].append(called)
            parts[server][URIS] = list(names[server])
        for named in _texts(wanted, TASKS):
            if found := split_task(named):
                parts[found[0]][TASKS].append(found[1])
        return parts, names


class _Voice:
    """One server, on behalf of one client."""

    def __init__(self, server: ServerName, part: _Part, names: _Names, notify: Notify) -> None:
        self._server = server
        self._part = part
        self._names = names
        self._notify = notify
        self.agreed: JsonObject = {}
        self.settled = anyio.Event()
        self.may_speak = anyio.Event()
        self.scope = anyio.CancelScope()

    async def follow(self, find_server: FindServer, client: Client) -> None:
        with self.scope:
            try:
                service = await find_server(self._server)
                await service.listen(client, self._part, self._hear)
            except (RpcError, ToolcribError):
                pass  # it is not agreed to, or ends
        self.settled.set()

    async def _hear(self, method: str, params: JsonObject) -> None:
        if method == ACKNOWLEDGED:
            self.agreed = cast("JsonObject", params.get("notifications") or {})
            self.settled.set()
            return
        await self.may_speak.wait()
        if method == _TASK_NOTICE:
            params = {**params, "taskId": name_task(self._server, str(params.get("taskId")))}
        if method == RESOURCE_UPDATED:
            for called in self._called(str(params.get("uri"))):
                await self._notify(method, {**params, "uri": called})
        else:
            await self._notify(method, params)

    def _called(self, uri: str) -> list[str]:
        """Say how the client calls a URI, which may be a part of one that it named."""
        if uri in self._names:
            return self._names[uri]
        holding = ((whole, c) for whole, c in self._names.items() if uri.startswith(whole))
        parts = [each + uri.removeprefix(whole) for whole, called in holding for each in called]
        return list(dict.fromkeys(parts)) or [uri]

    @property
    def agreement(self) -> _Part:
        """What is agreed, in the client's words."""
        tasks = [name_task(self._server, str(task)) for task in self.agreed.get(TASKS) or ()]
        uris = [called for uri in self.agreed.get(URIS) or () for called in self._called(str(uri))]
        return {URIS: uris, TASKS: tasks}


async def _agree(voices: list[_Voice]) -> None:
    with anyio.move_on_after(_AGREE_S):
        for voice in voices:
            await voice.settled.wait()
    for voice in voices:
        if not voice.settled.is_set():
            voice.scope.cancel()


def _agreed_by(voices: list[_Voice]) -> _Part:
    together: _Part = {}
    for voice in voices:
        for word, agreed in voice.agreement.items():
            if agreed:
                together.setdefault(word, []).extend(agreed)
    return together


def _texts(wanted: JsonObject, key: str) -> list[str]:
    listed = wanted.get(key)
    known = cast("list[object]", listed) if isinstance(listed, list) else []
    texts = list(dict.fromkeys(each for each in known if isinstance(each, str)))
    if len(texts) > _MOST:
        raise RpcError(INVALID_PARAMS, f"'{key}' may name at most {_MOST}.")
    return texts
