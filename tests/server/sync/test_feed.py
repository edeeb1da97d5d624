"""New changes reach whoever waits for them, whoever committed them."""

from pathlib import Path

import anyio
import pytest

from toolcrib_migrations import open_store
from toolcrib_registry.types import Model, Revision, ServerName
from toolcrib_server.sync.feed import Feed, Wanted

from .conftest import House

pytestmark = pytest.mark.anyio


def add(house: House, *names: str) -> None:
    for name in names:
        house.store.add_model(Model(name=name), actor="test")


async def revisions(feed: Feed, count: int) -> list[int]:
    seen: list[int] = []
    with anyio.fail_after(30):
        async for batch in feed.follow(interval_s=0.01):
            seen += [change.revision for change in batch]
            if len(seen) >= count:
                return seen
    return seen


async def test_what_is_there_already_comes_first(house: House):
    add(house, "a", "b", "c")
    assert await revisions(Feed(house.store, since=Revision(1)), 2) == [2, 3]


async def test_what_another_process_commits_arrives(house: House, tmp_path: Path):
    feed = Feed(house.store, since=house.store.head())
    other = open_store(f"sqlite:///{tmp_path / 'toolcrib.db'}")
    seen: list[list[int]] = []
    async with anyio.create_task_group() as tasks:

        async def read() -> None:
            seen.append(await revisions(feed, 1))

        tasks.start_soon(read)
        await anyio.to_thread.run_sync(lambda: other.add_model(Model(name="x"), actor="o"))
    assert seen == [[1]]
    other.close()


async def test_only_what_is_wanted_is_given_and_the_rest_is_not_read_twice(house: House):
    add(house, "a", "b", "c")
    feed = Feed(house.store, since=Revision(0), wanted=Wanted(subject="model:b"))
    assert [change.subject for change in await feed.read()] == ["model:b"]
    assert feed.since == 3
    of_server = Feed(house.store, since=Revision(0), wanted=Wanted(server=ServerName("s")))
    assert await of_server.read() == ()
    assert of_server.since == 3


async def test_a_reader_ahead_of_the_log_goes_on_from_its_end(house: House):
    add(house, "a")
    feed = Feed(house.store, since=Revision(99))
    assert await feed.read() == ()
    add(house, "b")
    assert [change.subject for change in await feed.read()] == ["model:b"]


async def test_a_long_log_comes_in_stretches(house: House):
    house.store.put_models([Model(name=f"m{n}") for n in range(450)], actor="test")
    assert await revisions(Feed(house.store, since=Revision(0)), 450) == list(range(1, 451))
