"""Servers to wire models, and back; no secret goes out."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from toolcrib_registry import wire
from toolcrib_registry.types import (
    CatalogTransport,
    ChangePolicy,
    HttpTransport,
    Server,
    ServerName,
    SseTransport,
    StdioTransport,
    Transport,
)
from toolcrib_server.relay.servers import endpoint_of
from toolcrib_server.rest.masking import masked, unmasked


def server_from(
    given: wire.ServerIn,
    *,
    name: ServerName,
    stored: Server | None,
    on_change: ChangePolicy = ChangePolicy.MARK,
) -> Server:
    """Build the server that a body describes; masked values are those of ``stored``.

    Unless the body names a policy, it is that of ``stored``, or ``on_change``.
    """
    transport = transport_from(given.transport)
    return Server(
        name=name,
        transport=unmasked(transport, stored.transport if stored else transport),
        enabled=given.enabled,
        tags=tuple(given.tags),
        origin=stored.origin if stored else "api",
        start_timeout_s=given.start_timeout_s,
        call_timeout_s=given.call_timeout_s,
        on_change=given.on_change or (stored.on_change if stored else on_change),
    )


def patched(stored: Server, given: wire.ServerPatch) -> Server:
    """Apply a patch to a server."""
    changes: dict[str, Any] = {
        name: value
        for name in ("enabled", "tags", "start_timeout_s", "call_timeout_s", "on_change")
        if (value := getattr(given, name)) is not None
    }
    if "tags" in changes:
        changes["tags"] = tuple(changes["tags"])
    if given.transport is not None:
        changes["transport"] = unmasked(transport_from(given.transport), stored.transport)
    return replace(stored, **changes)


def transport_from(given: wire.StdioIn | wire.HttpIn | wire.CatalogIn) -> Transport:
    """Build a transport."""
    match given:
        case wire.StdioIn():
            return StdioTransport(given.command, tuple(given.args), given.env, given.cwd)
        case wire.HttpIn(type="http"):
            return HttpTransport(given.url, given.headers)
        case wire.HttpIn():
            return SseTransport(given.url, given.headers)
        case wire.CatalogIn():
            return CatalogTransport(given.source)


def server_out(server: Server) -> wire.ServerOut:
    """Show a server, without what is secret."""
    health: dict[str, Any] = {f.name: getattr(server.health, f.name) for f in fields(server.health)}
    health["malformed"] = [
        wire.MalformedOut(kind=q.kind, name=q.name, reason=q.reason) for q in health["malformed"]
    ]
    return wire.ServerOut(
        name=server.name,
        transport=transport_out(server.transport),
        enabled=server.enabled,
        callable=server.callable,
        tags=list(server.tags),
        origin=server.origin,
        start_timeout_s=server.start_timeout_s,
        call_timeout_s=server.call_timeout_s,
        on_change=server.on_change,
        health=wire.HealthOfServerOut(**health),
        added_at=server.added_at,
        endpoint=endpoint_of(server),
    )


def transport_out(transport: Transport) -> wire.TransportOut:
    """Show how a server is reached, without what is secret."""
    match masked(transport):
        case StdioTransport(command=command, args=args, env=env, cwd=cwd):
            return wire.TransportOut(
                type="stdio", command=command, args=list(args), env=dict(env), cwd=cwd
            )
        case HttpTransport(url=url, headers=headers):
            return wire.TransportOut(type="http", url=url, headers=dict(headers))
        case SseTransport(url=url, headers=headers):
            return wire.TransportOut(type="sse", url=url, headers=dict(headers))
        case CatalogTransport(source=source):
            return wire.TransportOut(type="catalog", source=source)
