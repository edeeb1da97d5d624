"""Both clients say what came of a search, read how learning stands, and forget."""

from datetime import UTC, datetime

import httpx
import pytest

from toolcrib_clients import AsyncToolcrib, Toolcrib
from toolcrib_clients.requests import feedback, forget
from toolcrib_registry.errors import InvalidInput, NotFound
from toolcrib_server.rest.app import build_api

KEY = "admin-key-0123456789"


def test_the_blocking_client_tells_reads_and_forgets(url):
    with Toolcrib(url, api_key=KEY) as crib:
        crib.add_server({"name": "handbook", "transport": {"type": "catalog"}})
        tool = crib.add_tool({"server": "handbook", "name": "expenses"})
        said = crib.feedback("claim money back", tool.name)
        assert (said.verdict, said.name) == ("worked", tool.name)
        assert crib.feedback("claim money", tool.name, verdict="failed").verdict == "failed"
        with pytest.raises(NotFound):
            crib.feedback("x", "nobody")
        (tenant,) = crib.learning().tenants
        assert (tenant.tenant, tenant.outcomes, tenant.in_use) == ("boss", 2, None)
        other = crib.add_tool({"server": "handbook", "name": "login"})
        assert crib.refuse_need(tool.name, other.name).changed
        assert [one.needed for one in crib.learning().refused] == [other.name]
        assert crib.allow_need(tool.name, other.name).changed
        assert crib.forget(principal="somebody").forgotten == 0
        assert crib.forget(before=datetime(2020, 1, 1, tzinfo=UTC)).forgotten == 0
        assert crib.forget(tenant="boss").forgotten == 2


@pytest.mark.anyio
async def test_the_asynchronous_client_does_too(deps):
    transport = httpx.ASGITransport(build_api(deps))
    async with AsyncToolcrib("http://x", api_key=KEY, transport=transport) as crib:
        await crib.add_server({"name": "handbook", "transport": {"type": "catalog"}})
        tool = await crib.add_tool({"server": "handbook", "name": "expenses"})
        await crib.feedback("claim money back", tool.name, verdict="chosen")
        assert (await crib.learning()).tenants[0].outcomes == 1
        assert (await crib.forget()).forgotten == 1


def test_a_wrong_verdict_is_refused_before_it_is_sent():
    with pytest.raises(InvalidInput):
        feedback("q", "n", verdict="maybe")  # pyright: ignore[reportArgumentType]  # the point


def test_what_is_not_given_is_not_sent():
    assert forget(principal=None, tenant="t", before=None).params == (("tenant", "t"),)
