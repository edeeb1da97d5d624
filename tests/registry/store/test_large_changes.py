"""A log of large definitions is read in stretches that fit, whatever limit was asked for."""

from collections.abc import Iterator

import pytest

from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    Change,
    EntryChanges,
    HttpTransport,
    Revision,
    Server,
    ServerName,
    Tool,
)

A = ServerName("alpha")
LARGE = 100_000
FIVE = 5 * LARGE + 5_000  # with room for the rest of what is kept of each


@pytest.fixture
def large(store: Store) -> Store:
    """Hold a server, and a tool that changed nine times: revisions 2 to 11."""
    store.add_server(Server(name=A, transport=HttpTransport("https://x")), actor="test")
    for version in range(10):
        definition = {"name": "t", "description": str(version) * LARGE}
        tool = Tool(name="alpha__t", server=A, local_name="t", definition=definition)
        store.apply(EntryChanges(server=A, upserts=(tool,)), actor="sync")
    return store


def stretches(store: Store, most_bytes: int) -> Iterator[tuple[Change, ...]]:
    since = Revision(0)
    while changes := store.list_changes(since=since, most_bytes=most_bytes):
        yield changes
        since = changes[-1].revision


def test_every_change_is_read_a_stretch_at_a_time(large: Store) -> None:
    read = list(stretches(large, FIVE))
    assert [change.revision for changes in read for change in changes] == list(range(1, 12))
    assert max(map(len, read)) == 4  # the server, an addition, and two updates of two sides each
    assert len(read) > 4


def test_one_change_is_never_too_large(large: Store) -> None:
    assert [len(changes) for changes in stretches(large, 1)] == [1] * 11


def test_of_the_tail_the_last_are_kept(large: Store) -> None:
    kept = large.last_changes(limit=10, most_bytes=FIVE)
    assert [change.revision for change in kept] == [10, 11]
    assert len(large.last_changes(limit=10)) == 10
