"""Servers: register, read, change, switch on and off, remove."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Response

from toolcrib_registry import wire
from toolcrib_registry.errors import InvalidInput, NotPermitted
from toolcrib_registry.types import HttpTransport, Server, ServerName, SseTransport, Transport
from toolcrib_server.guard import Principal
from toolcrib_server.rest.deps import Admin, Deps, Parts, User
from toolcrib_server.rest.mapping.servers import patched, server_from, server_out
from toolcrib_server.rest.masking import new_references
from toolcrib_server.upstream.config.endpoint import check_headers, check_url
from toolcrib_server.upstream.config.names import check_server_name
from toolcrib_server.upstream.config.place import Place

_REQUEST = "the request"
router = APIRouter(prefix="/servers", tags=["servers"])


@router.get("", summary="List servers, by name")
async def list_servers(
    parts: Parts,
    _: User,
    cursor: wire.Text | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> wire.PageOut[wire.ServerOut]:
    """One page of them; ask on with ``nextCursor`` until it is null."""
    page = await parts.in_thread(parts.store.list_servers, cursor=cursor, limit=limit)
    return wire.PageOut(items=[server_out(s) for s in page.items], next_cursor=page.next_cursor)


@router.post("", status_code=201, summary="Register a server")
async def add_server(
    parts: Parts, admin: Admin, given: wire.ServerIn, response: Response
) -> wire.ServerOut:
    """Its tools appear when its first sync is done; ``POST /sync`` waits for that.

    Servers that run a command are registered from the command line or the configuration file.
    """
    _check_kind(parts, given.transport)
    name = check_server_name(given.name, file=_REQUEST, key="name")
    server = server_from(given, name=name, stored=None, on_change=parts.on_change)
    _check_transport(parts, admin, server.transport, stored=None)
    added = await parts.registrar.add_server(server, actor=admin.actor)
    response.headers["Location"] = f"/api/v1/servers/{added.name}"
    return server_out(added)


@router.get("/{name}", summary="Read a server")
async def get_server(parts: Parts, _: User, name: wire.Name) -> wire.ServerOut:
    """How it is reached (without secrets) and how it fares."""
    return server_out(await _stored(parts, name))


@router.get("/{name}/stderr", summary="Read what a server said on its standard error")
async def get_stderr(
    parts: Parts,
    _: Admin,
    name: wire.Name,
    lines: Annotated[int, Query(ge=1, le=5000)] = 100,
) -> wire.StderrOut:
    """The last lines, of before restarts too; secrets are masked. A remote server has none."""
    server = await _stored(parts, name)
    return wire.StderrOut(
        lines=[*await parts.in_thread(parts.read_stderr, server.name, lines=lines)]
    )


@router.put("/{name}", summary="Replace a server's settings")
async def put_server(
    parts: Parts, admin: Admin, name: wire.Name, given: wire.ServerIn
) -> wire.ServerOut:
    """Values that come back masked, as they were shown, stay as they are."""
    if given.name != name:
        raise InvalidInput(f"The body names {given.name!r}, the path {name!r}: make them one.")
    _check_kind(parts, given.transport)
    stored = await _stored(parts, name)
    server = server_from(given, name=stored.name, stored=stored)
    _check_transport(parts, admin, server.transport, stored=stored.transport)
    return server_out(await parts.registrar.update_server(server, actor=admin.actor))


@router.patch("/{name}", summary="Change some of a server's settings")
async def patch_server(
    parts: Parts, admin: Admin, name: wire.Name, given: wire.ServerPatch
) -> wire.ServerOut:
    """What is left out stays."""
    if given.transport is not None:
        _check_kind(parts, given.transport)
    stored = await _stored(parts, name)
    server = patched(stored, given)
    _check_transport(parts, admin, server.transport, stored=stored.transport)
    return server_out(await parts.registrar.update_server(server, actor=admin.actor))


@router.delete("/{name}", status_code=204, summary="Remove a server and all it owns")
async def remove_server(parts: Parts, admin: Admin, name: wire.Name) -> None:
    """The change log keeps what was removed."""
    await parts.registrar.remove_server(ServerName(name), actor=admin.actor)


@router.post("/{name}/enable", summary="Switch a server on")
async def enable_server(parts: Parts, admin: Admin, name: wire.Name) -> wire.ServerOut:
    """Its tools can be found and called again."""
    server = replace(await _stored(parts, name), enabled=True)
    return server_out(await parts.registrar.update_server(server, actor=admin.actor))


@router.post("/{name}/disable", summary="Switch a server off")
async def disable_server(parts: Parts, admin: Admin, name: wire.Name) -> wire.ServerOut:
    """Its tools are kept, but neither found nor called."""
    server = replace(await _stored(parts, name), enabled=False)
    return server_out(await parts.registrar.update_server(server, actor=admin.actor))


async def _stored(parts: Deps, name: str) -> Server:
    return await parts.in_thread(parts.store.get_server, ServerName(name))


def _check_transport(
    parts: Deps, admin: Principal, transport: Transport, *, stored: Transport | None
) -> None:
    if isinstance(transport, HttpTransport | SseTransport):
        place = Place(_REQUEST, "transport")
        check_url(transport.url, place.at("url"))
        check_headers(transport.headers, place.at("headers"))
    trusted = admin.is_local or parts.allow_stdio
    added = [] if trusted else new_references(transport, stored)
    if added:
        raise NotPermitted(
            f"{' and '.join(added)}: a reference to this machine's environment or secrets cannot "
            "be registered over the network. Send the value itself, which is stored apart and "
            "never shown, or use 'toolcrib add' there."
        )


def _check_kind(parts: Deps, transport: wire.StdioIn | wire.HttpIn | wire.CatalogIn) -> None:
    if isinstance(transport, wire.StdioIn) and not parts.allow_stdio:
        raise NotPermitted(
            "A server that runs a command on this machine cannot be registered over the network. "
            "Use 'toolcrib add' there, or let the operator set "
            "TOOLCRIB_ALLOW_STDIO_REGISTRATION=true."
        )
