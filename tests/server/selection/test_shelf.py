"""Entries are read once, and again after they changed."""

import threading
from dataclasses import replace

import pytest

from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryId, EntryKind
from toolcrib_server.selection.shelf import Shelf

from .conftest import Bench, make_tool

pytestmark = pytest.mark.anyio

NOW, LATER = EntryId("tool:clock__now"), EntryId("tool:clock__later")


class CountingStore(Store):
    """A store that counts the entries it was asked to read."""

    reads = 0

    def get_entries(self, ids, *, live=False):
        self.reads += len(ids)
        return super().get_entries(ids, live=live)


@pytest.fixture
def counted(bench: Bench, tmp_path) -> CountingStore:
    return CountingStore(f"sqlite:///{tmp_path / 'toolcrib.db'}")


async def test_what_was_read_is_not_read_again(bench, counted):
    await bench.add(make_tool("clock", "now"), make_tool("clock", "later"))
    shelf = Shelf(counted)
    for _ in range(3):
        assert shelf.get([NOW, LATER], bench.store.head()).keys() == {NOW, LATER}
    assert counted.reads == 2


async def test_a_full_shelf_reads_nothing(bench, counted):
    await bench.add(make_tool("clock", "now"), make_tool("clock", "later"))
    shelf = Shelf(counted)
    shelf.fill()
    assert len(shelf) == 2
    assert shelf.is_full
    assert shelf.get([LATER], bench.store.head())[LATER].name == "clock__later"
    assert counted.reads == 0


async def test_only_what_changed_is_read_again(bench, counted):
    await bench.add(make_tool("clock", "now"), make_tool("clock", "later"))
    shelf = Shelf(counted)
    shelf.fill()
    await bench.add(make_tool("clock", "now", description="Anew."))
    found = shelf.get([NOW, LATER], bench.store.head())
    assert found[NOW].description == "Anew."
    assert counted.reads == 1
    assert shelf.is_full


async def test_what_is_turned_off_or_gone_is_not_given(bench, counted):
    await bench.add(make_tool("clock", "now"), make_tool("clock", "later"))
    shelf = Shelf(counted)
    shelf.fill()
    bench.store.set_entry_enabled(EntryKind.TOOL, "clock__now", enabled=False, actor="test")
    assert shelf.get([NOW, LATER], bench.store.head()).keys() == {LATER}
    bench.store.remove_server("clock", actor="test")
    assert shelf.get([NOW, LATER], bench.store.head()) == {}


async def test_a_server_that_is_turned_off_takes_its_entries_along(bench, counted):
    await bench.add(make_tool("clock", "now"))
    shelf = Shelf(counted)
    shelf.fill()
    server = bench.store.get_server("clock")
    bench.store.update_server(replace(server, enabled=False), actor="test")
    assert shelf.get([NOW], bench.store.head()) == {}


async def test_an_older_revision_changes_nothing(bench, counted):
    await bench.add(make_tool("clock", "now"))
    shelf = Shelf(counted)
    old = bench.store.head()
    await bench.add(make_tool("clock", "now", description="Anew."))
    assert shelf.get([NOW], bench.store.head())[NOW].description == "Anew."
    assert shelf.get([NOW], old)[NOW].description == "Anew."
    assert counted.reads == 1


async def test_a_change_of_thousands_empties_it_until_it_is_filled_again(bench, counted):
    await bench.add(make_tool("clock", "now"))
    shelf = Shelf(counted)
    shelf.fill()
    await bench.add(*(make_tool("many", f"t{i}") for i in range(5_001)))
    assert shelf.get([NOW], bench.store.head()).keys() == {NOW}
    assert not shelf.is_full
    shelf.fill()
    assert len(shelf) == 5_002


class ChangedWhileRead(CountingStore):
    """A store in which an entry changes after it was read and before it is given."""

    def __init__(self, url, change) -> None:
        super().__init__(url)
        self.change = change

    def iter_entries(self, **options):
        yield from list(super().iter_entries(**options))
        self.change()


async def test_what_changes_while_all_is_read_is_read_again(bench, tmp_path):
    await bench.add(make_tool("clock", "now"), make_tool("clock", "later"))
    upserts = (make_tool("clock", "now", description="Anew."),)

    def change() -> None:
        from toolcrib_registry.types import EntryChanges, ServerName

        changes = EntryChanges(server=ServerName("clock"), upserts=upserts)
        bench.store.apply(changes, actor="test")

    store = ChangedWhileRead(f"sqlite:///{tmp_path / 'toolcrib.db'}", change)
    shelf = Shelf(store)
    shelf.fill()
    assert len(shelf) == 1
    assert shelf.get([NOW], bench.store.head())[NOW].description == "Anew."


async def test_the_tags_of_entries_and_servers_are_known(bench):
    await bench.add(make_tool("clock", "now", tags=("time",)), tags=("work",))
    shelf = Shelf(bench.store)
    assert shelf.known_tags(bench.store.head()) == {"time", "work"}
    assert shelf.tags_of_servers(bench.store.head()) == {"clock": ("work",)}


async def test_a_server_that_gets_a_tag_is_read_again(bench):
    await bench.add(make_tool("clock", "now"))
    shelf = Shelf(bench.store)
    assert shelf.tags_of_servers(bench.store.head()) == {}
    server = bench.store.get_server("clock")
    bench.store.update_server(replace(server, tags=("work",)), actor="test")
    assert shelf.tags_of_servers(bench.store.head()) == {"clock": ("work",)}


async def test_threads_may_read_while_it_changes(bench):
    names = [f"t{i}" for i in range(50)]
    await bench.add(*(make_tool("clock", name) for name in names))
    shelf = Shelf(bench.store)
    ids = [EntryId(f"tool:clock__{name}") for name in names]
    faults: list[object] = []

    def read() -> None:
        for _ in range(60):
            found = shelf.get(ids, bench.store.head())
            if len(found) != len(ids):
                faults.append(found)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(10):
        await bench.add(make_tool("clock", "t1", description=f"{i}"))
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    assert faults == []
