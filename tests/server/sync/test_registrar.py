"""What a change of a server's settings closes, and what leaves its connections alone."""

from dataclasses import replace

import pytest

from toolcrib_registry.types import Server, ServerName, StdioTransport
from toolcrib_server.sync.registrar import Registrar
from toolcrib_server.upstream.config.secrets import SecretStore

pytestmark = pytest.mark.anyio

KEY = "sk-0123456789abcdef0123456789abcdef"


async def test_only_what_differs_closes_connections(house, tmp_path):
    dropped = []

    async def drop(name):
        dropped.append(name)

    registrar = Registrar(house.store, SecretStore(tmp_path / "s.json"), house.indexer, drop=drop)
    transport = StdioTransport("clock", env={"API_KEY": KEY})
    server = Server(name=ServerName("clock"), transport=transport)
    await registrar.add_server(server, actor="test")
    await registrar.update_server(server, actor="test")
    assert dropped == []
    other = replace(transport, env={"API_KEY": KEY[::-1]})
    await registrar.update_server(replace(server, transport=other), actor="test")
    assert dropped == ["clock"]
    await registrar.update_server(replace(server, transport=other, enabled=False), actor="test")
    assert dropped == ["clock", "clock"]
