"""Passes requests on to the server that has what is asked for, and all that is said meanwhile.

What a result names that is the server's own (linked resources, a task) stays within reach.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final, cast

import anyio.to_thread

from toolcrib_registry.errors import ToolcribError, UpstreamProtocolError
from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryKind, JsonObject, OwnedEntry, ServerName
from toolcrib_server.downstream.service import Client, Request, RpcError, Service
from toolcrib_server.invocation.errands.errand import READ_RESOURCE, Asker
from toolcrib_server.invocation.invoker import Invoker
from toolcrib_server.invocation.results.shelf import PREFIX
from toolcrib_server.relay.errors import NOT_FOUND_BEFORE, to_rpc_error
from toolcrib_server.relay.inputs import Inputs
from toolcrib_server.relay.questions import can_be_asked
from toolcrib_server.relay.translation import complete, knows_output_schemas
from toolcrib_server.upstream.messages.interaction import Interaction

from .addresses import address
from .errors import INVALID_PARAMS
from .sources import Links, Sources, links_in, name_task

MISSING_REQUIRED_CLIENT_CAPABILITY: Final = -32021
TASK: Final = "task"
"""The type of a result that only names a task, which goes on."""

FindServer = Callable[[str], Awaitable[Service]]
"""Finds the service of one server; raises `NotFound`."""


class ToolRelay:
    """Calls tools, by their names in the registry."""

    def __init__(self, store: Store, invoker: Invoker, inputs: Inputs, links: Links) -> None:
        self._store = store
        self._invoker = invoker
        self._inputs = inputs
        self._links = links

    async def call(
        self,
        request: Request,
        tool: str,
        arguments: JsonObject,
        *,
        face: str,
        listed: bool = False,
    ) -> dict[str, Any]:
        """Call a tool on behalf of the client that sent ``request``, and ``listed`` it or not.

        Raises:
            ToolcribError: It cannot be called, or the call failed.
            RpcError: What the client brought back cannot be used, or it cannot be asked.
        """

        async def send(interaction: Interaction, extra: JsonObject) -> JsonObject:
            return await self._invoker.call(
                tool,
                arguments,
                Asker(
                    face=face,
                    principal=request.client.principal,
                    meta=request.params.get("_meta"),
                    interaction=interaction,
                    takes_input=True,
                ),
                extra=extra,
                listed=listed and knows_output_schemas(request.client),
            )

        try:
            result = await self._inputs.run(behalf_of(request), subject=f"tool:{tool}", send=send)
        except UpstreamProtocolError as error:
            if error.rpc_code != MISSING_REQUIRED_CLIENT_CAPABILITY:
                raise
            raise to_rpc_error(error, client=request.client) from error
        whole = complete(result, request.method, request.client)
        return await self._kept_in_reach(dict(whole), tool, request.client.principal)

    async def _kept_in_reach(
        self, result: dict[str, Any], tool: str, principal: str
    ) -> dict[str, Any]:
        uris = [uri for uri in links_in(result) if not uri.startswith(PREFIX)]
        is_task = result.get("resultType") == TASK
        if not uris and not is_task:
            return result
        server = await anyio.to_thread.run_sync(self._server_of, tool)
        if server is None:
            return result
        self._links.note(principal, server, uris)
        return {**result, "taskId": name_task(server, str(result["taskId"]))} if is_task else result

    def _server_of(self, tool: str) -> ServerName | None:
        entry = self._store.find_entry(EntryKind.TOOL, tool)
        return entry.server if isinstance(entry, OwnedEntry) else None


def speaker(client: Client) -> Client:
    """Say on whose behalf servers are spoken to.

    Since 2026-07-28 clients that declare nothing share the connections to servers. So do sessions
    of the handshake era that declare nothing: connections of their own would mean another process
    of each stdio server, for nobody who could be asked or told anything by it.
    """
    declares = can_be_asked(client.capabilities) or "extensions" in client.capabilities
    if client.session is None or declares or client.log_level is not None:
        return client
    return replace(client, session=None, notify=None, ask=None)


def behalf_of(request: Request) -> Request:
    """Return a request as servers are asked it; see `speaker`."""
    client = speaker(request.client)
    return request if client is request.client else replace(request, client=client, ask=None)


def _code_for(request: Request, error: RpcError) -> int:
    """Say that a resource is not there as the client's era does."""
    is_old = request.client.session is not None and request.method == READ_RESOURCE
    is_missing = error.code == INVALID_PARAMS and _names_uri(error.data)
    return NOT_FOUND_BEFORE if is_old and is_missing else error.code


def _names_uri(data: object) -> bool:
    return isinstance(data, dict) and "uri" in cast("JsonObject", data)


class EntryRelay:
    """Has prompts, resources, completions and tasks answered by the servers that have them."""

    def __init__(
        self, sources: Sources, links: Links, find_server: FindServer, invoker: Invoker
    ) -> None:
        self._sources = sources
        self._links = links
        self._find_server = find_server
        self._invoker = invoker

    async def handle(self, request: Request) -> JsonObject:
        """Answer a request as its server does.

        Raises:
            RpcError: The server's own error, or why there is no server to ask.
        """
        uri = request.params.get("uri")
        try:
            if request.method == READ_RESOURCE and isinstance(uri, str) and uri.startswith(PREFIX):
                return self._invoker.read_result(uri, principal=request.client.principal)
            return await self._relay(request)
        except ToolcribError as error:
            raise to_rpc_error(error, client=request.client, method=request.method) from error

    async def _relay(self, request: Request) -> JsonObject:
        source = await self._sources.find(request.method, request.params, request.client)
        service = await self._find_server(source.server)
        asked = replace(behalf_of(request), params=source.params)
        try:
            result = await service.handle(asked)
        except RpcError as error:
            error.code = _code_for(request, error)
            raise
        if "taskId" in source.params and "taskId" in result:
            return {**result, "taskId": request.params["taskId"]}
        self._links.note(request.client.principal, source.server, links_in(result))
        if request.method == READ_RESOURCE and source.params["uri"] != request.params["uri"]:
            return _addressed(result, source.server)
        return result


def _addressed(result: JsonObject, server: ServerName) -> JsonObject:
    """Name what was read as it was asked for: by an address."""
    contents = result.get("contents")
    if not isinstance(contents, list):
        return result
    read = cast("list[JsonObject]", contents)
    named = [{**each, "uri": address(server, str(each.get("uri")))} for each in read]
    return {**result, "contents": named}
