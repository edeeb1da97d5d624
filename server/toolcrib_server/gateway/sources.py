"""Which server has what a client asks for: a prompt, a resource, a task.

A prompt is asked for as ``server__prompt``. A resource keeps the URI its server gave it: whose it
is follows from who lists it, who gave it out, or whose template it fits. Where several could be
meant, an address says which one is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import anyio.to_thread

from toolcrib_registry.errors import ToolcribError
from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryKind, JsonObject, OwnedEntry, ServerName
from toolcrib_server.downstream.service import Client, RpcError
from toolcrib_server.relay.errors import NOT_FOUND_BEFORE, to_rpc_error
from toolcrib_server.relay.subject import required_text

from .addresses import address, split_address
from .errors import INVALID_PARAMS
from .holdings import Shelf
from .lists import SERVER_KEY

_MOST_LINKS: Final = 10_000
_MOST_NAMED: Final = 3
_TASK_SEPARATOR: Final = ":"
"""Not a character of servers' names."""


@dataclass(frozen=True, slots=True)
class Source:
    """A server, and what it is asked instead."""

    server: ServerName
    params: JsonObject


class Links:
    """Remembers of which server a link to a resource came: it need not be listed anywhere."""

    def __init__(self, most: int = _MOST_LINKS) -> None:
        self._most = most
        self._servers: OrderedDict[tuple[str, str], ServerName] = OrderedDict()

    def note(self, principal: str, server: ServerName, uris: Iterable[str]) -> None:
        """Note what a server gave out, to whom."""
        for uri in uris:
            self._servers[principal, uri] = server
            self._servers.move_to_end((principal, uri))
        while len(self._servers) > self._most:
            self._servers.popitem(last=False)

    def find(self, principal: str, uri: str) -> ServerName | None:
        """Return the server that gave it out, if that is still known."""
        return self._servers.get((principal, uri))


class Sources:
    """Finds the server that a request is for."""

    def __init__(self, store: Store, shelf: Shelf, links: Links) -> None:
        self._store = store
        self._shelf = shelf
        self._links = links

    async def find(self, method: str, params: JsonObject, client: Client) -> Source:
        """Return who is to answer a request, and what it is to be asked.

        Raises:
            RpcError: Nobody has it, or several do.
        """
        match method:
            case "prompts/get":
                return await self._prompt(params, client)
            case "resources/read":
                server, uri = await self.locate(required_text(params, "uri"), params, client)
                return Source(server, {**_plain(params), "uri": uri})
            case "completion/complete":
                return await self._reference(params, client)
            case _:
                return _task(params)

    async def locate(self, uri: str, params: JsonObject, client: Client) -> tuple[ServerName, str]:
        """Say from which server a resource is read, and the URI that it has there.

        Raises:
            RpcError: As `who_has`.
        """
        meant = split_address(uri)
        if meant is None:
            return await self.who_has(uri, params, client), uri
        server, own = meant
        return await self.who_has(own, {"_meta": {SERVER_KEY: server}}, client), own

    async def who_has(self, uri: str, params: JsonObject, client: Client) -> ServerName:
        """Name the server that a resource is read from.

        Raises:
            RpcError: Nobody has it, or several do and the client does not say which it means.
        """
        holdings = await self._shelf.look()
        listing = holdings.owners.get(uri, ())
        if meant := _meant(params):
            return meant
        if not listing and (given := self._links.find(client.principal, uri)):
            return given
        found = listing or await anyio.to_thread.run_sync(holdings.who_may_have, uri)
        if len(found) > 1:
            raise _ambiguous(uri, found)
        # A server that withholds it is asked all the same: it says why it does.
        server = found[0] if found else holdings.withheld.get(uri)
        if server is None:
            code = INVALID_PARAMS if client.session is None else NOT_FOUND_BEFORE
            raise RpcError(code, "Resource not found", {"uri": uri})
        return server

    async def _prompt(self, params: JsonObject, client: Client) -> Source:
        prompt = await self._get_prompt(required_text(params, "name"), client)
        return Source(prompt.server, {**params, "name": prompt.local_name})

    async def _get_prompt(self, name: str, client: Client) -> OwnedEntry:
        try:
            found = await anyio.to_thread.run_sync(self._store.get_entry, EntryKind.PROMPT, name)
        except ToolcribError as error:
            raise to_rpc_error(error, client=client) from error
        assert isinstance(found, OwnedEntry)
        return found

    async def _reference(self, params: JsonObject, client: Client) -> Source:
        ref = _object(params.get("ref"))
        match ref.get("type"):
            case "ref/prompt":
                prompt = await self._get_prompt(required_text(ref, "name"), client)
                known = {**ref, "name": prompt.local_name}
                return Source(prompt.server, {**params, "ref": known})
            case "ref/resource":
                server, uri = await self.locate(required_text(ref, "uri"), params, client)
                return Source(server, {**_plain(params), "ref": {**ref, "uri": uri}})
            case _:
                raise RpcError(INVALID_PARAMS, "'ref' must be a ref/prompt or a ref/resource.")


def links_in(result: JsonObject) -> Iterator[str]:
    """Give the URIs of the resources that a result of a tool or prompt links to, or holds."""
    messages = [_object(each).get("content") for each in _list(result.get("messages"))]
    for block in [*_list(result.get("content")), *messages]:
        known = _object(block)
        held = _object(known.get("resource")) if known.get("type") == "resource" else known
        uri = held.get("uri")
        if known.get("type") in {"resource", "resource_link"} and isinstance(uri, str):
            yield uri


def name_task(server: ServerName, task_id: str) -> str:
    """Name a task outside its own server."""
    return f"{server}{_TASK_SEPARATOR}{task_id}"


def split_task(named: str) -> tuple[ServerName, str] | None:
    """Take the name of a task apart: its server, and its id there; None if it is no such name."""
    server, separator, task_id = named.partition(_TASK_SEPARATOR)
    return (ServerName(server), task_id) if separator else None


def _task(params: JsonObject) -> Source:
    found = split_task(required_text(params, "taskId"))
    if found is None:
        raise RpcError(INVALID_PARAMS, "There is no such task: the taskId was not given out here.")
    server, task_id = found
    return Source(server, {**params, "taskId": task_id})


def _meant(params: JsonObject) -> ServerName | None:
    said = _object(params.get("_meta")).get(SERVER_KEY)
    return ServerName(said) if isinstance(said, str) and said else None


def _plain(params: JsonObject) -> JsonObject:
    """Leave out what was said to us alone."""
    meta = _object(params.get("_meta"))
    if SERVER_KEY not in meta:
        return params
    return {**params, "_meta": {key: value for key, value in meta.items() if key != SERVER_KEY}}


def _ambiguous(uri: str, servers: Sequence[ServerName]) -> RpcError:
    uris = [address(server, uri) for server in servers]
    more = f" ({len(uris) - _MOST_NAMED} more are in data.uris)" if len(uris) > _MOST_NAMED else ""
    return RpcError(
        INVALID_PARAMS,
        f"{uri} is offered by the servers {', '.join(servers)}: ask for "
        f"{' or '.join(uris[:_MOST_NAMED])}{more}, or name the server in "
        f"params._meta[{SERVER_KEY!r}].",
        {"uri": uri, "servers": list(servers), "uris": uris},
    )


def _object(value: object) -> JsonObject:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
