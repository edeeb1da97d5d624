"""One upstream server as it is, for clients of either era: nothing is renamed, added or lost.

Asks the server live, each client's requests on that client's behalf. What the registry withholds
is neither listed nor answered. Knows no transport.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol, cast

from mcp_types import METHOD_NOT_FOUND

from toolcrib_registry.errors import InvalidArguments, ToolcribError
from toolcrib_registry.types import EntryKind, JsonObject, Server, ServerName
from toolcrib_server.downstream.asking import MAY_ASK
from toolcrib_server.downstream.service import Client, Notify, Request, RpcError
from toolcrib_server.invocation.errands.errand import Asker
from toolcrib_server.upstream.connecting.era import Greeting
from toolcrib_server.upstream.messages.interaction import SHARED, Interaction, OnNotice, Profile

from .errors import find_error_result, to_rpc_error
from .inputs import Inputs
from .news import News
from .profiles import profile_of
from .sight import SHELVES, Sight, Sights
from .subject import find_subject
from .telling import tell
from .translation import complete, greet, knows_output_schemas

FACE = "servers"
"""Under which calls are recorded."""
_RETRY = frozenset({"inputResponses", "requestState"})
_HANDSHAKE_ONLY = frozenset(
    {
        "initialize",
        "logging/setLevel",
        "ping",
        "resources/subscribe",
        "resources/unsubscribe",
        "tasks/list",
        "tasks/result",
    }
)
"""Methods that ended with the handshake. A server of that era would still answer them."""
_MOST_SCHEMAS = 2_000
_SAFE = frozenset({*SHELVES, "resources/read", "prompts/get", "completion/complete", "tasks/get"})
"""Asking these twice does no harm."""


class Forwarding(Protocol):
    """The call path; see `toolcrib_server.invocation.invoker.Invoker`."""

    async def call_local(
        self,
        server_name: ServerName,
        local_name: str,
        arguments: JsonObject,
        asker: Asker,
        *,
        extra: JsonObject | None = None,
        listed: bool = True,
    ) -> dict[str, Any]:
        """Call a tool by the name its server gives it."""
        ...

    async def request(
        self,
        server_name: ServerName,
        method: str,
        params: JsonObject,
        asker: Asker,
        *,
        safe: bool = False,
    ) -> dict[str, Any]:
        """Send any other request."""
        ...


class Reach(Protocol):
    """The servers themselves; see `toolcrib_server.upstream.pool.pool.ConnectionPool`."""

    async def greet(self, server: Server, *, profile: Profile) -> Greeting:
        """Say what a server said of itself; its connection is opened if need be."""
        ...

    async def notify(
        self, server: Server, method: str, params: JsonObject, *, profile: Profile
    ) -> None:
        """Send a notification, where there is a connection that it may interest."""
        ...

    async def listen(
        self, server: Server, wanted: JsonObject, on_notice: OnNotice, *, profile: Profile
    ) -> None:
        """Hear of changes until the server ends that."""
        ...

    async def aclose_profile(self, key: str) -> None:
        """Close the connections that are kept for one client."""
        ...


class PassThrough:
    """A `Service`: one upstream server."""

    def __init__(
        self,
        name: ServerName,
        *,
        sights: Sights,
        forwarding: Forwarding,
        reach: Reach,
        inputs: Inputs,
        news: News,
    ) -> None:
        self.name = name
        self._news = news
        self._sights = sights
        self._forwarding = forwarding
        self._reach = reach
        self._inputs = inputs
        self._schemas: dict[str, JsonObject] = {}
        """Of tools that were listed and mirror arguments in headers."""

    async def discover(self, client: Client) -> JsonObject:
        """Say what the server says of itself.

        Raises:
            RpcError: It cannot be reached, or may not.
        """
        try:
            sight = await self._sights.see(self.name, client.principal)
            # It offers the same to all: no connection is opened for who only looks.
            profile = SHARED if client.session is None else profile_of(client)
            greeting = await self._reach.greet(sight.server, profile=profile)
        except ToolcribError as error:
            raise to_rpc_error(error, client=client) from error
        return greet(greeting, client)

    async def handle(self, request: Request) -> JsonObject:
        """Answer a request as the server does.

        Raises:
            RpcError: The server's own error, or why it cannot be asked.
        """
        try:
            return await self._answer(request)
        except ToolcribError as error:
            result = find_error_result(error) if request.method == "tools/call" else None
            if result is None:
                raise to_rpc_error(error, client=request.client, method=request.method) from error
            return result

    async def listen(self, client: Client, wanted: JsonObject, notify: Notify) -> None:
        """Tell of changes, those in the registry too; a connection that is lost is opened again.

        Raises:
            RpcError: It cannot be reached, or may not, or there is nothing to tell of.
        """
        profile = profile_of(client)
        try:
            sight = await self._sights.see(self.name, client.principal)
            greeting = await self._reach.greet(sight.server, profile=profile)
            visible = await self._visible(sight, client.principal, wanted)
            listen = partial(self._reach.listen, sight.server, visible, profile=profile)
            await tell(self._news, greeting, visible, notify, listen)
        except ToolcribError as error:
            raise to_rpc_error(error, client=client) from error

    async def note(self, client: Client, method: str, params: JsonObject) -> None:
        """Hand on a notification of the client's."""
        try:
            sight = await self._sights.see(self.name, client.principal)
            await self._reach.notify(sight.server, method, params, profile=profile_of(client))
        except ToolcribError:
            return  # nobody waits for an answer to a notification

    async def leave(self, client: Client) -> None:
        """Close what was opened for a session."""
        if client.session is not None:
            await self._reach.aclose_profile(profile_of(client).key)

    def input_schema(self, tool: str) -> Mapping[str, Any] | None:
        """Return the input schema of a tool that mirrors arguments in headers, if it was listed."""
        return self._schemas.get(tool)

    # --- requests ------------------------------------------------------------------------------

    async def _answer(self, request: Request) -> JsonObject:
        method, client = request.method, request.client
        if client.session is None and method in _HANDSHAKE_ONLY:
            raise RpcError(METHOD_NOT_FOUND, f"Method not found: {method}")
        sight = await self._sights.see(self.name, client.principal)
        subject = find_subject(request)
        if subject is not None:
            await self._sights.check(sight, client.principal, *subject)
        send = partial(self._send, request)
        result = await self._inputs.run(request, subject=f"server:{self.name}", send=send)
        if method in SHELVES:
            result = await self._sift(sight, request, result)
        return complete(result, method, client)

    async def _send(
        self, request: Request, interaction: Interaction, extra: JsonObject
    ) -> JsonObject:
        method, sent = request.method, request.params
        left_out = {"_meta", *_RETRY} if method in MAY_ASK else {"_meta"}
        params = {**{k: v for k, v in sent.items() if k not in left_out}, **extra}
        meta = sent.get("_meta")
        if method != "tools/call":
            return await self._forwarding.request(
                self.name,
                method,
                params,
                Asker(
                    face=FACE,
                    principal=request.client.principal,
                    meta=meta,
                    interaction=interaction,
                    takes_input=method in MAY_ASK,
                ),
                safe=method in _SAFE,
            )
        name, arguments = params.pop("name"), params.pop("arguments", None)
        try:
            return await self._forwarding.call_local(
                self.name,
                name,
                {} if arguments is None else arguments,
                Asker(
                    face=FACE,
                    principal=request.client.principal,
                    meta=meta,
                    interaction=interaction,
                    takes_input=True,
                ),
                extra=params,
                listed=knows_output_schemas(request.client),
            )
        except InvalidArguments as error:
            # Under the name that the client knows it by.
            raise InvalidArguments(name, error.problems) from error

    async def _sift(self, sight: Sight, request: Request, result: JsonObject) -> JsonObject:
        shelf = SHELVES[request.method]
        listed = result.get(shelf.key)
        if not isinstance(listed, list):
            return result
        objects = cast("list[Any]", listed)
        kept = await self._sights.sift(sight, request.client.principal, shelf, objects)
        if shelf.kind is EntryKind.TOOL:
            self._note_schemas(kept)
        return {**result, shelf.key: kept}

    def _note_schemas(self, tools: list[Any]) -> None:
        for tool in tools:
            schema = tool.get("inputSchema")
            self._schemas.pop(tool["name"], None)
            if isinstance(schema, dict) and "x-mcp-header" in str(cast("JsonObject", schema)):
                self._schemas[tool["name"]] = cast("JsonObject", schema)
        while len(self._schemas) > _MOST_SCHEMAS:  # a server may list other tools each time
            del self._schemas[next(iter(self._schemas))]

    async def _visible(self, sight: Sight, principal: str, wanted: JsonObject) -> JsonObject:
        """Leave out the resources that may not be read."""
        uris = wanted.get("resourceSubscriptions")
        if not isinstance(uris, list):
            return wanted
        seen: list[Any] = []
        for uri in cast("list[Any]", uris):
            try:
                await self._sights.check(sight, principal, EntryKind.RESOURCE, str(uri))
            except ToolcribError:
                continue
            seen.append(uri)
        return {**wanted, "resourceSubscriptions": seen}
