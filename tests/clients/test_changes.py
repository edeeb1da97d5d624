"""Both clients read changes with their differences, past revisions, and the stream."""

import threading
from dataclasses import replace

import anyio
import pytest

from toolcrib_clients import AsyncToolcrib, Toolcrib
from toolcrib_registry.errors import NotFound, ToolcribError
from toolcrib_registry.types import (
    CatalogTransport,
    EntryChanges,
    Model,
    Server,
    ServerName,
    Tool,
)
from toolcrib_server.rest.deps import Deps

from .conftest import KEY

TOOL = Tool(
    name="shop__saw",
    description="cut wood",
    server=ServerName("shop"),
    local_name="saw",
    definition={"name": "saw", "description": "cut wood"},
)


def fill(deps: Deps) -> None:
    """Revisions: 1 live, 2 shop, 3 saw, 4 saw reworded."""
    server = Server(name=ServerName("shop"), transport=CatalogTransport("t"))
    deps.store.add_server(server, actor="test")
    new = replace(TOOL, definition={"name": "saw", "description": "cut hard wood"})
    for tool in (TOOL, new):
        deps.store.apply(EntryChanges(server=server.name, upserts=(tool,)), actor="test")


def test_changes_and_revisions_are_read(deps: Deps, url: str):
    fill(deps)
    with Toolcrib(url, api_key=KEY) as crib:
        (change,) = crib.list_changes(since=3, diff=True)
        assert change.diff is not None
        assert change.diff[0].text == "description: cut {+hard+} wood"
        assert [c.revision for c in crib.last_changes(2)] == [3, 4]
        subject = "tool:shop__saw"
        assert [c.revision for c in crib.list_changes(subject=subject)] == [3, 4]
        assert [r.revision for r in crib.list_revisions("shop__saw").items] == [3, 4]
        past = crib.get_revision("shop__saw", 3)
        assert past.definition == {"name": "saw", "description": "cut wood"}
        with pytest.raises(NotFound, match="it has 3, 4"):
            crib.get_revision("shop__saw", 9)
        (state,) = crib.sync_servers().items
        assert (state.server, state.status) == ("live", "new")


def test_a_stream_is_read_until_the_reader_stops(deps: Deps, url: str):
    fill(deps)
    with Toolcrib(url, api_key=KEY) as crib:
        stream = crib.stream_changes(since=2, diff=True)
        assert [next(stream).revision, next(stream).revision] == [3, 4]
        later = threading.Timer(0.1, deps.store.add_model, [Model(name="m")], {"actor": "t"})
        later.start()
        assert next(stream).subject == "model:m"
        later.join()
        stream.close()


@pytest.mark.anyio
async def test_the_asynchronous_twin_does_the_same(deps: Deps, url: str):
    fill(deps)
    async with AsyncToolcrib(url, api_key=KEY) as crib:
        assert [c.revision for c in await crib.last_changes(1, diff=True)] == [4]
        assert [r.revision for r in (await crib.list_revisions("shop__saw")).items] == [3, 4]
        assert (await crib.get_revision("shop__saw", 4)).action == "updated"
        assert (await crib.sync_servers()).items[0].server == "live"
        with anyio.fail_after(30):
            async for change in crib.stream_changes(since=3):
                assert change.revision == 4
                break


def test_a_stream_that_nobody_may_read_is_refused(deps: Deps, url: str):
    with Toolcrib(url) as crib, pytest.raises(ToolcribError):
        next(crib.stream_changes())
