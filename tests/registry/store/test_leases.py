from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from toolcrib_migrations import open_store
from toolcrib_registry.errors import LeaseLost
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    EntryChanges,
    HttpTransport,
    Lease,
    Server,
    ServerName,
    ServerWrite,
    Tool,
)

A = ServerName("alpha")
B = ServerName("beta")


@pytest.fixture
def filled(store: Store) -> Store:
    """Hold two servers without entries."""
    for name in (A, B):
        store.add_server(Server(name=name, transport=HttpTransport("https://x")), actor="test")
    return store


def changes(server: ServerName) -> EntryChanges:
    definition = {"name": "t", "inputSchema": {"type": "object"}}
    tool = Tool(name=f"{server}__t", server=server, local_name="t", definition=definition)
    return EntryChanges(server=server, upserts=(tool,))


def take(store: Store, name: ServerName, holder: str, *, ttl_s: float = 60) -> Lease | None:
    return store.acquire_leases([name], holder=holder, ttl_s=ttl_s).get(name)


def test_a_lease_is_held_by_one_until_it_is_given_back(filled: Store) -> None:
    first = take(filled, A, "one")
    assert first is not None

    assert take(filled, A, "two") is None
    assert take(filled, A, "one") is None
    filled.release_leases([first])
    second = take(filled, A, "two")

    assert second is not None
    assert second.token > first.token


def test_a_lease_that_ran_out_can_be_taken_over_and_its_old_holder_writes_nothing(
    filled: Store,
) -> None:
    late = take(filled, A, "late", ttl_s=-1)
    now = take(filled, A, "now")
    assert late is not None
    assert now is not None
    before = filled.head()

    with pytest.raises(LeaseLost, match="alpha"):
        filled.apply(changes(A), actor="sync", lease=late)

    assert filled.head() == before
    assert filled.renew_leases([late, now], ttl_s=60).keys() == {A}
    assert len(filled.apply(changes(A), actor="sync", lease=now)) == 1


def test_a_lease_that_ran_out_and_that_nobody_took_still_writes(filled: Store) -> None:
    late = take(filled, A, "late", ttl_s=-1)

    assert len(filled.apply(changes(A), actor="sync", lease=late)) == 1


def test_one_lost_lease_keeps_all_of_a_write_out(filled: Store) -> None:
    held = filled.acquire_leases([A, B], holder="one", ttl_s=-1)
    take(filled, B, "two")
    writes = [ServerWrite(changes=changes(name), lease=held[name]) for name in (A, B)]
    before = filled.head()

    with pytest.raises(LeaseLost, match="beta"):
        filled.apply_many(writes, actor="sync")

    assert filled.head() == before


def test_a_removed_server_leaves_no_lease_to_its_successor(filled: Store) -> None:
    old = take(filled, A, "old")
    filled.remove_server(A, actor="test")
    filled.add_server(Server(name=A, transport=HttpTransport("https://y")), actor="test")

    with pytest.raises(LeaseLost):
        filled.apply(changes(A), actor="sync", lease=old)


def test_of_many_that_ask_at_once_one_is_given_the_lease(url: str) -> None:
    stores = [open_store(url) for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(take, stores[n % 4], A, f"holder {n}") for n in range(24)]
        given = [future.result() for future in asked]
    for opened in stores:
        opened.close()

    assert sum(lease is not None for lease in given) == 1
