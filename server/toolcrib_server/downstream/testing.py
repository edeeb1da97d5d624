"""A service whose tools show all that a face has to carry, and which notes what it was told.

Part of the product: whoever writes a face holds it against this.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp_types.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND

from toolcrib_registry.types import JsonObject

from .service import Client, Notify, Request, RpcError
from .subscription import ACKNOWLEDGED

FORM: JsonObject = {
    "mode": "form",
    "message": "Who are you?",
    "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}},
}
SAMPLING: JsonObject = {
    "messages": [{"role": "user", "content": {"type": "text", "text": "Hello?"}}],
    "maxTokens": 10,
}
MIRRORED: JsonObject = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "size": {"type": "integer", "x-mcp-header": "Size"},
    },
}
_ANY: JsonObject = {"type": "object"}


@dataclass
class Workshop:
    """A small server's worth of behaviour. Everything it was told can be read from it."""

    schemas: dict[str, JsonObject] = field(default_factory=lambda: {"mirrored": MIRRORED})
    capabilities: JsonObject = field(
        default_factory=lambda: {
            "tools": {"listChanged": True},
            "resources": {"subscribe": True, "listChanged": True},
            "prompts": {},
            "logging": {},
        }
    )
    requests: list[Request] = field(default_factory=list[Request])
    notes: list[tuple[str, JsonObject]] = field(default_factory=list[tuple[str, JsonObject]])
    left: list[Client] = field(default_factory=list[Client])
    wanted: list[JsonObject] = field(default_factory=list[JsonObject])
    """What listeners wanted, in the order they came."""
    cancelled: int = 0
    """How many requests were cancelled while they ran."""
    told: int = 0
    """How much of its flood it has got rid of."""
    running: anyio.Event = field(default_factory=anyio.Event)
    """A request has begun that waits for ``release``."""
    release: anyio.Event = field(default_factory=anyio.Event)
    changed: anyio.Event = field(default_factory=anyio.Event)
    """Something of all this has changed; renewed each time."""
    _listeners: list[tuple[JsonObject, Notify, anyio.Event]] = field(
        default_factory=list[tuple[JsonObject, Notify, anyio.Event]]
    )

    @property
    def listening(self) -> int:
        """How many listen now."""
        return len(self._listeners)

    def _stir(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()

    async def wait(self, condition: Callable[[], object], *, timeout_s: float = 30) -> None:
        """Wait until something is so, of what is noted here.

        Raises:
            TimeoutError: It has not become so.
        """
        with anyio.fail_after(timeout_s):
            while not condition():
                await self.changed.wait()

    # --- the service ---------------------------------------------------------------------------

    async def discover(self, client: Client) -> JsonObject:
        """Say what there is."""
        del client
        info = {"name": "workshop", "version": "1.2.3"}
        return {
            "capabilities": self.capabilities,
            "serverInfo": info,
            "instructions": "Try the tools.",
        }

    async def handle(self, request: Request) -> JsonObject:
        """Answer a request.

        Raises:
            RpcError: The answer is an error.
        """
        self.requests.append(request)
        self._stir()
        match request.method:
            case "tools/list":
                return {
                    "tools": [_tool(name, self.schemas.get(name, _ANY)) for name in self._tools]
                }
            case "tools/call":
                return await self._call(request)
            case "resources/list":
                return {"resources": [{"uri": "tool://hammer", "name": "hammer"}], "ttlMs": -5}
            case "resources/read" if request.params.get("uri") == "tool://hammer":
                content = {"uri": request.params["uri"], "text": "a hammer"}
                return {"contents": [content], "ttlMs": 1000, "cacheScope": "public"}
            case "resources/read":
                raise RpcError(-32002, "Resource not found", {"uri": request.params.get("uri")})
            case "vendor/unknown":
                return {"resultType": "task", "task": {"taskId": "t"}, "x": request.params}
            case method:
                raise RpcError(METHOD_NOT_FOUND, f"Method not found: {method}")

    async def listen(self, client: Client, wanted: JsonObject, notify: Notify) -> None:
        """Tell of changes until `end_listening`."""
        del client
        over = anyio.Event()
        uris: list[str] = wanted.get("resourceSubscriptions", [])
        if "tool://broken" in uris:
            raise RpcError(INVALID_PARAMS, "tool://broken cannot be watched")
        known = [uri for uri in uris if uri.startswith("tool://")]
        agreed: JsonObject = {**wanted, "resourceSubscriptions": known} if uris else dict(wanted)
        entry = (agreed, notify, over)
        self._listeners.append(entry)
        self.wanted.append(wanted)
        self._stir()
        try:
            await notify(ACKNOWLEDGED, {"notifications": agreed})
            await over.wait()
        finally:
            self._listeners.remove(entry)
            self._stir()

    async def tell(self, method: str, params: JsonObject) -> None:
        """Tell all that listen."""
        for _, notify, _ in list(self._listeners):
            await notify(method, params)

    def end_listening(self) -> None:
        """Have nothing more to tell."""
        for _, _, over in self._listeners:
            over.set()

    async def note(self, client: Client, method: str, params: JsonObject) -> None:
        """Take in a notification."""
        del client
        self.notes.append((method, params))
        self._stir()

    async def leave(self, client: Client) -> None:
        """Note that a client has left."""
        self.left.append(client)
        self._stir()

    def input_schema(self, tool: str) -> Mapping[str, Any] | None:
        """Return a tool's schema."""
        return self.schemas.get(tool, _ANY) if tool in self._tools else None

    # --- the tools -----------------------------------------------------------------------------

    @property
    def _tools(self) -> dict[str, Callable[[Request, JsonObject], Awaitable[JsonObject]]]:
        return {
            "ask": _ask,
            "ask_now": _ask_now,
            "ask_outside": _ask_outside,
            "ask_twice": _ask_twice,
            "count": _count,
            "crash": _crash,
            "echo": _echo,
            "flood": self._flood,
            "insist": _insist,
            "log": _log,
            "mirrored": _echo,
            "wait": self._wait,
        }

    async def _call(self, request: Request) -> JsonObject:
        name = request.params.get("name")
        tool = self._tools.get(name) if isinstance(name, str) else None
        if tool is None:
            raise RpcError(INVALID_PARAMS, f"Unknown tool: {name!r}")
        return await tool(request, request.params.get("arguments") or {})

    async def _flood(self, request: Request, arguments: JsonObject) -> JsonObject:
        try:
            for step in range(int(arguments["upto"])):
                said = {"progress": step, "message": "x" * int(arguments["chars"])}
                await request.notify("notifications/progress", said)
                self.told = step
                self._stir()
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            self._stir()
            raise
        return text("all of it")

    async def _wait(self, request: Request, _: JsonObject) -> JsonObject:
        self.running.set()
        try:
            await self.release.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            self._stir()
            raise
        await request.notify("notifications/message", {"level": "info", "data": "released"})
        return text("released")


def text(said: str) -> JsonObject:
    """Make the result of a tool that says something."""
    return {"content": [{"type": "text", "text": said}]}


def _tool(name: str, schema: JsonObject) -> JsonObject:
    return {"name": name, "description": f"Shows {name}.", "inputSchema": schema}


async def _echo(_: Request, arguments: JsonObject) -> JsonObject:
    return {**text(str(arguments.get("text"))), "structuredContent": arguments, "x-kept": [1, None]}


async def _count(request: Request, arguments: JsonObject) -> JsonObject:
    upto = int(arguments.get("upto", 3))
    for step in range(1, upto + 1):
        await request.notify("notifications/progress", {"progress": step, "total": upto})
    return text(f"counted to {upto}, {'heard' if request.wants_progress else 'unheard'}")


async def _log(request: Request, _: JsonObject) -> JsonObject:
    for level in ("debug", "warning", "emergency"):
        await request.notify("notifications/message", {"level": level, "data": level})
    return text("logged")


async def _crash(_: Request, __: JsonObject) -> JsonObject:
    raise RuntimeError("the secret reason")


async def _ask(request: Request, arguments: JsonObject) -> JsonObject:
    answers = request.params.get("inputResponses")
    if answers is None:
        method = arguments.get("method", "elicitation/create")
        asked = {"method": method, "params": arguments.get("params", FORM)}
        return {
            "resultType": "input_required",
            "inputRequests": {"who": asked},
            "requestState": "state-1",
        }
    if request.params.get("requestState") != "state-1":
        raise RpcError(INTERNAL_ERROR, "the state was not brought back")
    return text(f"answered {answers['who']}")


async def _ask_twice(request: Request, _: JsonObject) -> JsonObject:
    answers: JsonObject = request.params.get("inputResponses", {})
    if "first" in answers:
        return text(f"both: {answers['first']['action']}, {answers['second']['role']}")
    asked = {
        "first": {"method": "elicitation/create", "params": FORM},
        "second": {"method": "sampling/createMessage", "params": SAMPLING},
    }
    return {"resultType": "input_required", "inputRequests": asked}


async def _insist(_: Request, __: JsonObject) -> JsonObject:
    asked = {"who": {"method": "elicitation/create", "params": FORM}}
    return {"resultType": "input_required", "inputRequests": asked, "requestState": "again"}


async def _ask_now(request: Request, arguments: JsonObject) -> JsonObject:
    if request.ask is None:
        return text("nobody can be asked")
    method = arguments.get("method", "elicitation/create")
    return text(f"answered {await request.ask(method, arguments.get('params', FORM))}")


async def _ask_outside(request: Request, _: JsonObject) -> JsonObject:
    if request.client.ask is None:
        return text("nobody can be asked")
    return text(f"answered {await request.client.ask('roots/list', {})}")
