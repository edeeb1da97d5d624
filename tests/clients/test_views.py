"""Views through both clients."""

from typing import Any

import pytest

from toolcrib_clients import AsyncToolcrib, Toolcrib
from toolcrib_registry.errors import EntryChanged, InvalidView, NotFound
from toolcrib_registry.types import EntryChanges, ServerName, Tool
from toolcrib_registry.wire import ViewIn

from .conftest import KEY

DESK: dict[str, Any] = {"name": "desk", "include": {"servers": ["live"]}, "context_tokens": 50_000}


@pytest.fixture(autouse=True)
def tools(deps) -> None:
    live = ServerName("live")
    one = Tool(name="live__one", server=live, local_name="one", definition={"name": "one"})
    deps.store.apply(EntryChanges(server=live, upserts=(one,)), actor="test")


def test_views_are_kept(url: str) -> None:
    with Toolcrib(url, api_key=KEY) as client:
        added = client.add_view(DESK)
        assert (added.name, added.context_tokens) == ("desk", 50_000)
        assert client.get_view("desk") == added
        assert [view.name for view in client.list_views()] == ["desk"]
        shown = client.show_view("desk")
        assert [tool.name for tool in shown.listed] == ["live__one"]
        put = client.put_view(ViewIn.parse({**DESK, "title": "T"}), revision=added.revision)
        assert put.title == "T"
        with pytest.raises(EntryChanged):
            client.put_view({**DESK, "title": "U"}, revision=added.revision)
        with pytest.raises(InvalidView) as raised:
            client.add_view({"name": "x", "include": {"servers": ["none"]}})
        assert raised.value.faults == ("No server is named 'none'.",)
        client.remove_view("desk")
        with pytest.raises(NotFound):
            client.get_view("desk")


@pytest.mark.anyio
async def test_views_are_kept_without_blocking(url: str) -> None:
    async with AsyncToolcrib(url, api_key=KEY) as client:
        added = await client.add_view(DESK)
        assert await client.get_view("desk") == added
        assert [view.name async for view in client.list_views()] == ["desk"]
        assert (await client.show_view("desk")).tools == 1
        assert (await client.put_view({**DESK, "title": "T"})).title == "T"
        await client.remove_view("desk")
        with pytest.raises(NotFound):
            await client.show_view("desk")
