"""News that could not be read is told later, and not lost."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from toolcrib_migrations import open_store
from toolcrib_registry.errors import StoreError
from toolcrib_registry.store import Store
from toolcrib_registry.types import CatalogTransport, Change, Server, ServerName
from toolcrib_server.relay.news import LISTS, Newsroom

pytestmark = pytest.mark.anyio


class FailingOnce(Store):
    """A store whose connection is lost once, as a database over the network may be."""

    has_failed = False

    def list_changes(self, **wanted: Any) -> Sequence[Change]:  # pyright: ignore[reportIncompatibleMethodOverride]
        if not self.has_failed:
            self.has_failed = True
            raise StoreError("The connection was lost.")
        return super().list_changes(**wanted)


async def test_changes_that_could_not_be_read_are_told_of_the_next_time(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'toolcrib.db'}"
    open_store(url).close()
    store = FailingOnce(url)
    name, told = ServerName("files"), set[str]()
    newsroom = Newsroom(store)
    await newsroom.publish(store.head())

    async def note(method: str, _: Any) -> None:
        told.add(method.split("/")[1])
        if told >= LISTS:
            tasks.cancel_scope.cancel()

    with newsroom.of(name).listening() as ear:
        store.add_server(Server(name=name, transport=CatalogTransport("x")), actor="test")
        with pytest.raises(StoreError):
            await newsroom.publish(store.head())
        await newsroom.publish(store.head())
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ear.follow, LISTS, note)
    assert told >= LISTS
    store.close()
