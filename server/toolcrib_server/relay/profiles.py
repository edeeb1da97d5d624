"""Which client shares upstream connections with which, and what is declared to servers for it."""

from __future__ import annotations

from toolcrib_registry.types import JsonObject, hash_content
from toolcrib_server.downstream.service import Ask, Client, RpcError
from toolcrib_server.upstream.messages.interaction import OnAsk, Profile, Refused


def profile_of(client: Client, *, lane: int = 0) -> Profile:
    """Say on whose behalf a server is spoken to when this client asks.

    Every conversation of the handshake era has connections of its own. Since 2026-07-28 there are
    none: clients share who are the same principal and declare the same. ``lane`` is which of
    several connections such a client uses, where it needs more than one at once.
    """
    return Profile(
        key=_key(client, lane),
        owner=client.principal,
        capabilities=client.capabilities,
        info=client.info or None,
        log_level=client.log_level,
        handshake=client.session is not None,
        on_notice=client.notify,
        on_ask=None if client.ask is None else asking(client.ask),
    )


def asking(ask: Ask) -> OnAsk:
    """Let an upstream ask what a client is asked; a client's refusal is one of the question."""

    async def put(method: str, params: JsonObject) -> JsonObject:
        try:
            return await ask(method, params)
        except RpcError as error:
            raise Refused(error.code, error.message, error.data) from None

    return put


def _key(client: Client, lane: int) -> str:
    if client.session is not None:
        return f"session:{client.session}"
    if not client.capabilities and client.log_level is None:
        return ""
    told = [client.principal, client.capabilities, client.log_level]
    return f"client:{hash_content(told)[:32]}" + (f"#{lane}" if lane else "")
