"""Every request of the REST contract as a value: what to send, and how to read the answer.

Knows no connection: the two clients send these, each in its own way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, Literal, TypeAlias, TypeVar
from urllib.parse import quote

from toolcrib_registry import wire

T = TypeVar("T")
Answer = TypeVar("Answer", bound=wire.WireOut)

JsonObject: TypeAlias = Mapping[str, Any]
"""A decoded JSON object."""
Detail: TypeAlias = Literal["name", "brief", "full"]
Rerank: TypeAlias = Literal["auto", "on", "off"]
Verdict: TypeAlias = Literal["worked", "failed", "chosen", "rejected"]
Objective: TypeAlias = Literal["relevance", "cost", "context"]
ServerLike: TypeAlias = wire.ServerIn | JsonObject
ModelLike: TypeAlias = wire.ModelIn | JsonObject
"""A model of the contract, or its fields as a dict in either spelling."""

_API = "/api/v1"
_WHOLE_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """One request. ``parse`` turns the decoded answer into its result."""

    method: str
    path: str
    parse: Callable[[object], T]
    params: tuple[tuple[str, str], ...] = ()
    body: JsonObject | None = None
    timeout_s: float | None = None
    """A deadline of its own, where the client's would be too short."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A request whose answer comes in pages."""

    first: Request[wire.PageOut[T]]

    def after(self, cursor: str) -> Request[wire.PageOut[T]]:
        """Ask for the page after a cursor."""
        return replace(self.first, params=(*self.first.params, ("cursor", cursor)))


# --- search, selection, calls ------------------------------------------------------------------


def search(
    query: str | Sequence[str],
    *,
    k: int,
    kinds: Iterable[str] | None,
    servers: Iterable[str] | None,
    tags: Iterable[str] | None,
    read_only: bool,
    destructive: bool,
    detail: Detail,
    max_tokens: int | None,
    rerank: Rerank,
    split: bool,
    fold: bool,
    dependencies: bool,
    explain: bool,
    group_by: Literal["server"] | None,
) -> Request[wire.SearchResults]:
    """Find entries for a task."""
    body = {
        "query": query if isinstance(query, str) else list(query),
        "k": k,
        "kinds": None if kinds is None else list(kinds),
        "servers": None if servers is None else list(servers),
        "tags": None if tags is None else list(tags),
        "read_only": read_only,
        "destructive": destructive,
        "detail": detail,
        "max_tokens": max_tokens,
        "rerank": rerank,
        "split": split,
        "fold": fold,
        "dependencies": dependencies,
        "explain": explain,
        "group_by": group_by,
    }
    # What is as it is by default need not be known to an older server.
    fields = wire.SearchQuery.model_fields
    asked = {name: value for name, value in body.items() if value != fields[name].default}
    return _post("/search", _body(wire.SearchQuery, asked), wire.SearchResults)


def select(
    task: str,
    *,
    constraints: wire.ConstraintsIn | JsonObject | None,
    objective: Objective,
    k: int,
    max_exclusions: int,
) -> Request[wire.SelectResults]:
    """Choose a model for a task."""
    body = {
        "task": task,
        "constraints": constraints or {},
        "objective": objective,
        "k": k,
        "max_exclusions": max_exclusions,
    }
    return _post("/select", _body(wire.SelectQuery, body), wire.SelectResults)


def call(
    name: str, arguments: JsonObject | None, *, timeout_s: float | None
) -> Request[wire.CallOut]:
    """Call a tool. Unless given a deadline, the server's own for the tool applies."""
    body = {"name": name, "arguments": dict(arguments or {}), "timeout_s": timeout_s}
    request = _post("/call", _body(wire.CallIn, body), wire.CallOut)
    return replace(request, timeout_s=_LONG_S if timeout_s is None else timeout_s + _MARGIN_S)


_LONG_S = 600.0
_MARGIN_S = 10.0
"""Lets the server give up first, and say why."""


# --- servers -----------------------------------------------------------------------------------


def list_servers() -> Listing[wire.ServerOut]:
    """List servers."""
    return _list("/servers", wire.ServerOut)


def get_server(name: str) -> Request[wire.ServerOut]:
    """Read a server."""
    return _get(f"/servers/{_part(name)}", wire.ServerOut)


def add_server(server: ServerLike) -> Request[wire.ServerOut]:
    """Register a server."""
    return _post("/servers", _body(wire.ServerIn, server), wire.ServerOut)


def put_server(server: ServerLike) -> Request[wire.ServerOut]:
    """Replace a server's settings."""
    body = _body(wire.ServerIn, server)
    return _send("PUT", f"/servers/{_part(body['name'])}", body, wire.ServerOut)


def patch_server(name: str, changes: wire.ServerPatch | JsonObject) -> Request[wire.ServerOut]:
    """Change some of a server's settings."""
    body = _body(wire.ServerPatch, changes)
    return _send("PATCH", f"/servers/{_part(name)}", body, wire.ServerOut)


def remove_server(name: str) -> Request[None]:
    """Remove a server."""
    return _delete(f"/servers/{_part(name)}")


def switch_server(name: str, *, enabled: bool) -> Request[wire.ServerOut]:
    """Switch a server on or off."""
    return _post(f"/servers/{_part(name)}/{_switch(enabled=enabled)}", None, wire.ServerOut)


# --- entries and tools -------------------------------------------------------------------------


def list_entries(
    kind: str | None, *, server: str | None, text: str | None
) -> Listing[wire.EntryOut]:
    """List entries."""
    params = {"kind": kind, "server": server, "text": text}
    return _list("/entries", wire.EntryOut, params)


def get_entry(kind: str, name: str) -> Request[wire.EntryOut]:
    """Read an entry of any kind."""
    return _get(f"/entries/{_part(kind)}/{_path(name)}", wire.EntryOut)


def list_tools(*, server: str | None, text: str | None) -> Listing[wire.ToolOut]:
    """List tools."""
    return _list("/tools", wire.ToolOut, {"server": server, "text": text})


def get_tool(name: str) -> Request[wire.ToolOut]:
    """Read a tool."""
    return _get(f"/tools/{_part(name)}", wire.ToolOut)


def add_tool(tool: wire.ToolIn | JsonObject) -> Request[wire.ToolOut]:
    """Add a tool to a catalogue."""
    return _post("/tools", _body(wire.ToolIn, tool), wire.ToolOut)


def remove_tool(name: str) -> Request[None]:
    """Remove a tool from a catalogue."""
    return _delete(f"/tools/{_part(name)}")


def switch_tool(name: str, *, enabled: bool) -> Request[wire.ToolOut]:
    """Switch a tool on or off."""
    return _post(f"/tools/{_part(name)}/{_switch(enabled=enabled)}", None, wire.ToolOut)


# --- models ------------------------------------------------------------------------------------


def list_models(*, text: str | None) -> Listing[wire.ModelOut]:
    """List models."""
    return _list("/models", wire.ModelOut, {"text": text})


def get_model(name: str) -> Request[wire.ModelOut]:
    """Read a model."""
    return _get(f"/models/{_path(name)}", wire.ModelOut)


def add_model(model: ModelLike) -> Request[wire.ModelOut]:
    """Register a model."""
    return _post("/models", _body(wire.ModelIn, model), wire.ModelOut)


def put_model(model: ModelLike) -> Request[wire.ModelOut]:
    """Register or replace a model."""
    body = _body(wire.ModelIn, model)
    return _send("PUT", f"/models/{_path(body['name'])}", body, wire.ModelOut)


def remove_model(name: str) -> Request[None]:
    """Remove a model."""
    return _delete(f"/models/{_path(name)}")


def switch_model(name: str, *, enabled: bool) -> Request[wire.ModelOut]:
    """Switch a model on or off."""
    return _post(f"/models/{_path(name)}/{_switch(enabled=enabled)}", None, wire.ModelOut)


# --- syncs, changes, health --------------------------------------------------------------------


def sync(servers: Sequence[str] | None) -> Request[wire.SyncOut]:
    """Sync servers and wait until it is done."""
    body = _body(wire.SyncIn, {"servers": None if servers is None else list(servers)})
    return replace(_post("/sync", body, wire.SyncOut), timeout_s=_LONG_S)


def sync_status() -> Request[wire.SyncStatusOut]:
    """Read how far registry and index are."""
    return _get("/sync", wire.SyncStatusOut)


def list_changes(*, since: int, limit: int, server: str | None) -> Request[wire.ChangesOut]:
    """Read a stretch of the change log."""
    params = {"since": str(since), "limit": str(limit), "server": server}
    return _get("/changes", wire.ChangesOut, params)


def ready() -> Request[wire.ReadyOut]:
    """Ask whether it serves."""
    return Request("GET", "/readyz", _parser(wire.ReadyOut))


# --- learning from use -------------------------------------------------------------------------


def feedback(query: str, name: str, *, verdict: Verdict) -> Request[wire.FeedbackOut]:
    """Say what came of an entry for a query."""
    body = {"query": query, "name": name, "verdict": verdict}
    return _post("/feedback", _body(wire.FeedbackIn, body), wire.FeedbackOut)


def forget(
    *, principal: str | None, tenant: str | None, before: datetime | None
) -> Request[wire.ForgottenOut]:
    """Forget outcomes."""
    params = {
        "principal": principal,
        "tenant": tenant,
        "before": None if before is None else before.isoformat(),
    }
    return Request("DELETE", _API + "/feedback", _parser(wire.ForgottenOut), _given(params))


def learning() -> Request[wire.LearningOut]:
    """Read how learning stands."""
    return _get("/learning", wire.LearningOut)


# --- making ------------------------------------------------------------------------------------


def _get(
    path: str, result: type[Answer], params: Mapping[str, str | None] | None = None
) -> Request[Answer]:
    return Request("GET", _API + path, _parser(result), _given(params or {}))


def _list(
    path: str, item: type[Answer], params: Mapping[str, str | None] | None = None
) -> Listing[Answer]:
    return Listing(_get(path, wire.PageOut[item], {**(params or {}), "limit": str(_WHOLE_PAGE)}))


def _post(path: str, body: JsonObject | None, result: type[Answer]) -> Request[Answer]:
    return _send("POST", path, body, result)


def _send(method: str, path: str, body: JsonObject | None, result: type[Answer]) -> Request[Answer]:
    return Request(method, _API + path, _parser(result), body=body)


def _delete(path: str) -> Request[None]:
    return Request("DELETE", _API + path, lambda _: None)


def _parser(result: type[Answer]) -> Callable[[object], Answer]:
    return result.model_validate


def _given(params: Mapping[str, str | None]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in params.items() if value is not None)


def _body(kind: type[wire.WireIn], given: wire.WireIn | JsonObject) -> dict[str, Any]:
    """Check a body before it is sent, so that a mistake shows where it was made."""
    checked = given if isinstance(given, kind) else kind.parse(given)
    return checked.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _part(name: str) -> str:
    return quote(name, safe="")


def _path(name: str) -> str:
    return quote(name, safe="/")


def _switch(*, enabled: bool) -> str:
    return "enable" if enabled else "disable"
