"""The asynchronous client is the blocking one's twin, and does what it does."""

import inspect

import httpx
import pytest

from toolcrib_clients import AsyncToolcrib, Toolcrib
from toolcrib_registry.errors import NotFound, UpstreamUnavailable
from toolcrib_server.rest.app import build_api

KEY = "admin-key-0123456789"


def public(kind: type) -> dict[str, inspect.Signature]:
    methods = inspect.getmembers(kind, inspect.isfunction)
    return {
        name.replace("aclose", "close"): inspect.signature(method)
        for name, method in methods
        if not name.startswith("_")
    }


def test_the_twins_have_the_same_methods_with_the_same_parameters():
    blocking, asynchronous = public(Toolcrib), public(AsyncToolcrib)
    assert blocking.keys() == asynchronous.keys()
    assert len(blocking) > 30
    for name, signature in blocking.items():
        assert signature.parameters == asynchronous[name].parameters, name
        returned = asynchronous[name].return_annotation.replace("Async", "")
        assert returned == signature.return_annotation, name


@pytest.fixture
async def crib(deps):
    transport = httpx.ASGITransport(build_api(deps))
    async with AsyncToolcrib("http://x", api_key=KEY, transport=transport) as crib:
        yield crib


@pytest.mark.anyio
async def test_it_registers_searches_selects_calls_and_pages(crib):
    await crib.add_server({"name": "handbook", "transport": {"type": "catalog"}})
    tool = await crib.add_tool({"server": "handbook", "name": "expenses"})
    assert [hit.name for hit in (await crib.search("expenses", k=1)).hits] == [tool.name]
    assert (await crib.call(tool.name, {"a": 1})).structured_content == {"a": 1}
    await crib.add_model({"name": "acme/m"})
    assert [c.model for c in (await crib.select("anything")).choices] == ["acme/m"]
    assert [server.name async for server in crib.list_servers()] == ["handbook", "live"]
    assert [c.revision async for c in crib.list_changes()] == [1, 2, 3, 4]
    await crib.remove_model("acme/m")
    with pytest.raises(NotFound):
        await crib.get_model("acme/m")


@pytest.mark.anyio
async def test_nobody_there_is_said():
    async with AsyncToolcrib("http://127.0.0.1:9", timeout_s=5) as crib:
        with pytest.raises(UpstreamUnavailable):
            await crib.ready()
