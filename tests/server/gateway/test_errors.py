"""What a model is told of an error: what went wrong, and what it can do instead."""

from __future__ import annotations

import pytest

from toolcrib_registry.errors import Peer, ServerBusy, UpstreamTimeout, UpstreamUnavailable
from toolcrib_server.gateway.errors import error_result


@pytest.mark.parametrize(("peer", "instead"), [(Peer.SERVER, "tool"), (Peer.PROVIDER, "model")])
def test_who_is_away_is_replaced_by_its_like(peer: Peer, instead: str) -> None:
    for error in (
        UpstreamUnavailable("acme", "connection refused", peer=peer),
        UpstreamTimeout("acme", "with the first token", 5, peer=peer),
    ):
        said = error_result(error)["content"][0]["text"]
        assert said.startswith(f"{peer.capitalize()} 'acme' ")
        assert f"use another {instead}" in said.lower()


def test_a_server_that_is_busy_is_let_be() -> None:
    said = error_result(ServerBusy("shop", "it has 9 calls", retry_after_s=2))["content"][0]["text"]
    assert said.endswith("Use another tool for now, or try later.")
