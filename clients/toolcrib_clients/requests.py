"""Every request of the REST contract as a value: what to send, and how to read the answer.

Knows no connection: the two clients send these, each in its own way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast
from urllib.parse import quote

from toolcrib_registry import wire

T = TypeVar("T")
Answer = TypeVar("Answer", bound=wire.WireOut)

JsonObject: TypeAlias = Mapping[str, Any]
"""A decoded JSON object."""
Detail: TypeAlias = Literal["name", "brief", "full"]
Rerank: TypeAlias = Literal["auto", "on", "off"]
Verdict: TypeAlias = Literal["worked", "failed", "chosen", "rejected"]
Objective: TypeAlias = Literal["relevance", "cost", "context", "latency"]
ServerLike: TypeAlias = wire.ServerIn | JsonObject
OutcomeLike: TypeAlias = wire.OutcomeIn | JsonObject
Source: TypeAlias = Literal["feedback", "verifier", "import", "aptitude"]
ModelLike: TypeAlias = wire.ModelIn | JsonObject
"""A model of the contract, or its fields as a dict in either spelling."""
ViewLike: TypeAlias = wire.ViewIn | JsonObject

_API = "/api/v1"
_CHAT = "/v1/chat/completions"
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
    weights: wire.WeightsIn | JsonObject | None = None,
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
        **({"weights": weights} if weights else {}),
    }
    return _post("/select", _body(wire.SelectQuery, body), wire.SelectResults)


def call(
    name: str, arguments: JsonObject | None, *, timeout_s: float | None
) -> Request[wire.CallOut]:
    """Call a tool. Unless given a deadline, the server's own for the tool applies."""
    body = {"name": name, "arguments": dict(arguments or {}), "timeout_s": timeout_s}
    request = _post("/call", _body(wire.CallIn, body), wire.CallOut)
    return replace(request, timeout_s=_LONG_S if timeout_s is None else timeout_s + _MARGIN_S)


def chat(
    messages: str | Sequence[JsonObject],
    *,
    model: str,
    constraints: wire.ConstraintsIn | JsonObject | None,
    objective: Objective | None,
    parameters: JsonObject | None,
    cascade: bool | JsonObject,
    cache: bool | str | None,
    timeout_s: float | None,
) -> Request[wire.ChatOut]:
    """Ask a model. Unless given a deadline, the server's own applies."""
    told = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
    own: dict[str, Any] = {"constraints": _body(wire.ConstraintsIn, constraints or {})}
    if objective is not None:
        own["objective"] = objective
    if timeout_s is not None:
        own["timeout_s"] = timeout_s
    if cascade is not False:
        own["cascade"] = cascade
    if cache is not None:
        own["cache"] = cache
    body = {**(parameters or {}), "model": model, "messages": told, "toolcrib": own}
    body.pop("stream", None)
    wait_s = _LONG_S if timeout_s is None else timeout_s
    return Request("POST", _CHAT, _read_chat, body=body, timeout_s=wait_s + _MARGIN_S)


def _read_chat(given: object) -> wire.ChatOut:
    answer = dict(cast("JsonObject", given)) if isinstance(given, Mapping) else {}
    own: JsonObject = answer.pop("toolcrib", {})
    choices: list[JsonObject] = answer.get("choices") or [{}]
    said: JsonObject = choices[0].get("message") or {}
    text: object = said.get("content")
    return wire.ChatOut.model_validate(
        {
            **own,
            "text": text if isinstance(text, str) else "",
            "message": said,
            "finish_reason": choices[0].get("finish_reason"),
            "usage": own,
            "answer": answer,
        }
    )


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


def approve_tool(name: str, *, revision: int | None = None) -> Request[wire.ToolOut]:
    """Trust a tool as it stands, or as it stood at a revision if it is still that one."""
    seen = _given({"revision": None if revision is None else str(revision)})
    path = f"{_API}/tools/{_part(name)}/approve"
    return Request("POST", path, _parser(wire.ToolOut), seen)


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


# --- views -------------------------------------------------------------------------------------


def list_views() -> Listing[wire.ViewOut]:
    """List views."""
    return _list("/views", wire.ViewOut)


def get_view(name: str) -> Request[wire.ViewOut]:
    """Read a view."""
    return _get(f"/views/{_part(name)}", wire.ViewOut)


def show_view(name: str) -> Request[wire.ViewShownOut]:
    """See what a client of a view is shown."""
    return _get(f"/views/{_part(name)}/shown", wire.ViewShownOut)


def add_view(view: ViewLike) -> Request[wire.ViewOut]:
    """Save a new view."""
    return _post("/views", _body(wire.ViewIn, view), wire.ViewOut)


def put_view(view: ViewLike, *, revision: int | None = None) -> Request[wire.ViewOut]:
    """Save a view, new or in the place of one."""
    body = _body(wire.ViewIn, view)
    request = _send("PUT", f"/views/{_part(body['name'])}", body, wire.ViewOut)
    seen = _given({"revision": None if revision is None else str(revision)})
    return replace(request, params=seen)


def remove_view(name: str) -> Request[None]:
    """Remove a view."""
    return _delete(f"/views/{_part(name)}")


# --- syncs, changes, health --------------------------------------------------------------------


def sync(servers: Sequence[str] | None) -> Request[wire.SyncOut]:
    """Sync servers and wait until it is done."""
    body = _body(wire.SyncIn, {"servers": None if servers is None else list(servers)})
    return replace(_post("/sync", body, wire.SyncOut), timeout_s=_LONG_S)


def sync_status() -> Request[wire.SyncStatusOut]:
    """Read how far registry and index are."""
    return _get("/sync", wire.SyncStatusOut)


def sync_servers() -> Request[wire.SyncServersOut]:
    """Read how each server's sync stands."""
    return _get("/sync/servers", wire.SyncServersOut)


def list_changes(
    *,
    since: int,
    limit: int,
    server: str | None,
    subject: str | None = None,
    diff: bool = False,
    last: bool = False,
) -> Request[wire.ChangesOut]:
    """Read a stretch of the change log."""
    params = {"since": str(since), "limit": str(limit), **_about(server, subject, diff=diff)}
    return _get("/changes", wire.ChangesOut, {**params, "last": "true" if last else None})


@dataclass(frozen=True, slots=True)
class Stream:
    """A request that is answered with events for as long as anybody listens."""

    path: str
    params: tuple[tuple[str, str], ...]


def stream_changes(
    *, since: int | None, server: str | None, subject: str | None, diff: bool
) -> Stream:
    """Follow the change log."""
    start = {"since": None if since is None else str(since)}
    params = _given({**start, **_about(server, subject, diff=diff)})
    return Stream(_API + "/changes/stream", params)


def list_revisions(name: str, *, limit: int, diff: bool) -> Request[wire.RevisionsOut]:
    """Read which revisions a tool has had."""
    params = {"limit": str(limit), "diff": "true" if diff else None}
    return _get(f"/tools/{_part(name)}/revisions", wire.RevisionsOut, params)


def get_revision(name: str, revision: int, *, diff: bool) -> Request[wire.RevisionOut]:
    """Read what a tool said at one of its revisions."""
    path = f"/tools/{_part(name)}/revisions/{revision}"
    return _get(path, wire.RevisionOut, {"diff": "true" if diff else None})


def _about(server: str | None, subject: str | None, *, diff: bool) -> dict[str, str | None]:
    return {"server": server, "subject": subject, "diff": "true" if diff else None}


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


def refuse_need(tool: str, needed: str) -> Request[wire.NeedSettledOut]:
    """Let a tool no longer bring another one along."""
    body = _body(wire.RefusedNeedIn, {"tool": tool, "needed": needed})
    return _post("/learning/refusals", body, wire.NeedSettledOut)


def allow_need(tool: str, needed: str) -> Request[wire.NeedSettledOut]:
    """Take a refusal back."""
    params = _given({"tool": tool, "needed": needed})
    return Request("DELETE", _API + "/learning/refusals", _parser(wire.NeedSettledOut), params)


# --- outcomes of models, domains ---------------------------------------------------------------


def add_outcomes(
    outcomes: Iterable[OutcomeLike], *, tenant: str | None, source: Source
) -> Request[wire.RecordedOut]:
    """Say how models did on queries."""
    body = {"outcomes": list(outcomes), "tenant": tenant, "source": source}
    return replace(
        _post("/outcomes", _body(wire.OutcomesIn, body), wire.RecordedOut), timeout_s=_LONG_S
    )


def list_outcomes(
    *, tenant: str | None, model: str | None, limit: int
) -> Request[wire.ModelOutcomesOut]:
    """List the latest outcomes."""
    params = {"tenant": tenant, "model": model, "limit": str(limit)}
    return _get("/outcomes", wire.ModelOutcomesOut, params)


def forget_outcomes(
    *,
    principal: str | None,
    tenant: str | None,
    model: str | None,
    before: datetime | None,
) -> Request[wire.ForgottenOut]:
    """Forget outcomes of models."""
    params = {
        "principal": principal,
        "tenant": tenant,
        "model": model,
        "before": None if before is None else before.isoformat(),
    }
    return Request("DELETE", _API + "/outcomes", _parser(wire.ForgottenOut), _given(params))


def routing() -> Request[wire.RoutingStateOut]:
    """Read how learning from outcomes of models stands."""
    return _get("/routing", wire.RoutingStateOut)


def list_domains() -> Request[wire.DomainsOut]:
    """List the domains."""
    return _get("/domains", wire.DomainsOut)


def put_domain(name: str, examples: Iterable[str]) -> Request[wire.DomainOut]:
    """Describe a domain."""
    body = _body(wire.DomainIn, {"examples": list(examples)})
    return _send("PUT", f"/domains/{_part(name)}", body, wire.DomainOut)


def remove_domain(name: str) -> Request[None]:
    """Forget a domain."""
    return _delete(f"/domains/{_part(name)}")


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
