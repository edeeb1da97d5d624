"""What passes between a server and the client while a call runs: watched, and handed on."""

from __future__ import annotations

from dataclasses import replace

from toolcrib_registry.types import JsonObject
from toolcrib_server.invocation.errands.errand import Account
from toolcrib_server.upstream.messages.interaction import Interaction

from .lanes import Place


def watched(interaction: Interaction, account: Account, place: Place) -> Interaction:
    """Note that something passed, and let others have the place while a person is asked."""
    on_notice, on_ask = interaction.on_notice, interaction.on_ask

    async def notice(method: str, params: JsonObject) -> None:
        assert on_notice is not None
        account.heard = True
        await on_notice(method, params)

    async def ask(method: str, params: JsonObject) -> JsonObject:
        assert on_ask is not None
        account.heard = True
        place.lend()
        try:
            return await on_ask(method, params)
        finally:
            place.take_back()

    if on_notice is None and on_ask is None:
        return interaction
    return replace(
        interaction,
        on_notice=notice if on_notice else None,
        on_ask=ask if on_ask else None,
    )
