from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from toolcrib_registry.errors import InvalidInput, NotFound
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    CatalogTransport,
    ChangeAction,
    EntryChanges,
    EntryId,
    EntryKind,
    Model,
    OwnedEntry,
    Prompt,
    Resource,
    Server,
    ServerName,
    Tool,
    entry_id,
)

A = ServerName("alpha")
B = ServerName("beta")


def tool(server: ServerName, name: str, description: str = "", title: str | None = None) -> Tool:
    return Tool(
        name=f"{server}__{name}",
        server=server,
        local_name=name,
        title=title,
        description=description,
        definition={"name": name, "description": description},
    )


def fill(store: Store, server: ServerName, *entries: OwnedEntry) -> None:
    if store.find_server(server) is None:
        store.add_server(Server(name=server, transport=CatalogTransport("x")), actor="test")
    store.apply(EntryChanges(server=server, upserts=entries), actor="test")


def names(store: Store, **filters: Any) -> list[str]:
    return [entry.name for entry in store.list_entries(**filters).items]


def test_every_kind_is_found_by_its_own_name(store: Store) -> None:
    common: dict[str, Any] = {
        "server": A,
        "local_name": "x",
        "definition": {"a": [1, None, True, 1.5, "é\ud800"]},
    }
    entries = [kind(name="same", **common) for kind in (Tool, Prompt, Resource)]
    fill(store, A, *entries)
    store.add_model(Model(name="same", description="a model"), actor="test")

    for entry in entries:
        found = store.get_entry(entry.kind, "same")
        assert type(found) is type(entry)
        assert found.definition == entry.definition
    assert isinstance(store.find_entry(EntryKind.MODEL, "same"), Model)
    assert store.counts().entries == dict.fromkeys(EntryKind, 1)


def test_an_absent_entry_is_answered_with_near_names(store: Store) -> None:
    fill(store, A, tool(A, "convert_time"), tool(A, "now"))

    with pytest.raises(NotFound, match=r"No tool is named 'convert_tim'. .*: alpha__convert_time"):
        store.get_entry(EntryKind.TOOL, "convert_tim")
    assert store.find_entry(EntryKind.TOOL, "convert_tim") is None
    assert store.near_names(EntryKind.PROMPT, "convert_time") == ()


def test_many_ids_are_answered_in_the_order_asked(store: Store) -> None:
    fill(store, A, *(tool(A, f"t{number:05}") for number in range(6_000)))
    ids = [entry_id(EntryKind.TOOL, f"alpha__t{number:05}") for number in range(6_000)]
    ids = [*reversed(ids), EntryId("tool:absent"), ids[0]]

    assert list(store.get_entries(ids)) == ids[:6_000]


def test_live_leaves_out_what_is_disabled_or_whose_server_is(store: Store) -> None:
    fill(store, A, tool(A, "on"), tool(A, "off"))
    fill(store, B, tool(B, "on"))
    store.add_model(Model(name="m"), actor="test")
    store.set_entry_enabled(EntryKind.TOOL, "alpha__off", enabled=False, actor="test")
    store.update_server(replace(store.get_server(B), enabled=False), actor="test")
    ids = [entry.id for entry in store.list_entries().items]

    assert len(store.get_entries(ids)) == 4
    assert list(store.get_entries(ids, live=True)) == ["model:m", "tool:alpha__on"]
    assert names(store, live=True) == ["m", "alpha__on"]


def test_entries_are_listed_by_kind_and_name_in_pages(store: Store) -> None:
    fill(
        store,
        A,
        tool(A, "b"),
        tool(A, "a"),
        tool(A, "B"),
        Prompt(name="z", server=A, local_name="z", definition={}),
    )
    store.add_model(Model(name="é/ü:1"), actor="test")
    expected = ["model:é/ü:1", "prompt:z", "tool:alpha__B", "tool:alpha__a", "tool:alpha__b"]

    seen: list[str] = []
    cursor: str | None = None
    for _ in expected:
        page = store.list_entries(limit=1, cursor=cursor)
        seen.extend(entry.id for entry in page.items)
        cursor = page.next_cursor

    assert seen == expected
    assert cursor is None


@pytest.mark.parametrize("cursor", ["nonsense", "nokind:x", ""])
def test_a_foreign_cursor_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="is not a cursor of this listing"):
        store.list_entries(cursor=cursor)


def test_a_listing_is_narrowed_by_kind_server_and_text(store: Store) -> None:
    fill(store, A, tool(A, "one", "Reads 100% of ÄPFEL"), tool(A, "two", title="Under_Score"))
    fill(store, B, tool(B, "one", "reads nothing"))

    assert names(store, kind=EntryKind.TOOL, server=B) == ["beta__one"]
    assert names(store, kind=EntryKind.PROMPT) == []
    assert names(store, text="READS") == ["alpha__one", "beta__one"]
    assert names(store, text="0% of äpf") == ["alpha__one"]
    assert names(store, text="r_s") == ["alpha__two"]
    assert names(store, text="%") == ["alpha__one"]
    assert names(store, text="BETA__") == ["beta__one"]
    assert names(store, text="reads", server=A, live=True) == ["alpha__one"]


def test_a_cursor_goes_on_where_its_entry_was_though_it_is_gone(store: Store) -> None:
    fill(store, A, tool(A, "a"), tool(A, "b"), tool(A, "c"))
    cursor = store.list_entries(limit=2).next_cursor
    gone = EntryChanges(server=A, removals=(EntryId("tool:alpha__b"),))
    store.apply(gone, actor="test")

    assert names(store, cursor=cursor) == ["alpha__c"]


def test_switching_an_entry_is_one_change_and_none_when_it_is_so_already(store: Store) -> None:
    fill(store, A, tool(A, "x"))

    change = store.set_entry_enabled(EntryKind.TOOL, "alpha__x", enabled=False, actor="api")

    assert change is not None
    assert (change.action, change.server, change.actor) == (ChangeAction.DISABLED, A, "api")
    assert store.list_changes()[-1] == change
    entry = store.get_entry(EntryKind.TOOL, "alpha__x")
    assert (entry.enabled, entry.revision) == (False, change.revision)
    again = store.set_entry_enabled(EntryKind.TOOL, "alpha__x", enabled=False, actor="api")
    assert again is None
    assert store.head() == change.revision
    with pytest.raises(NotFound, match="alpha__x"):
        store.set_entry_enabled(EntryKind.TOOL, "alpha__y", enabled=False, actor="api")


def test_text_that_databases_refuse_is_kept(store: Store) -> None:
    odd = "nul \x00 sub \x1a lone \udfff pair \U0001f600"
    fill(store, A, replace(tool(A, "x", odd, odd), local_name=odd, source_id=odd))

    entry = store.get_entry(EntryKind.TOOL, "alpha__x")

    assert isinstance(entry, Tool)
    assert (entry.title, entry.description, entry.local_name) == (odd, odd, odd)
    assert entry.definition["description"] == odd
    assert names(store, text="nul \x00") == ["alpha__x"]
    assert names(store, cursor="tool:\udfff") == ["alpha__x"]  # escaped, it sorts before letters
    assert store.find_entry(EntryKind.TOOL, odd) is None


def test_an_entry_is_found_by_its_server_and_its_name_there(store: Store) -> None:
    for name in (A, B):
        store.add_server(Server(name=name, transport=CatalogTransport("x")), actor="test")
        owned = (tool(name, "read"), tool(name, "wr\x00ite\ud800"))
        store.apply(EntryChanges(server=name, upserts=owned), actor="test")
    found = store.find_owned(EntryKind.TOOL, B, "read")
    assert found is not None
    assert found.name == "beta__read"
    odd = store.find_owned(EntryKind.TOOL, A, "wr\x00ite\ud800")
    assert odd is not None
    assert odd.local_name == "wr\x00ite\ud800"
    assert store.find_owned(EntryKind.PROMPT, B, "read") is None
    assert store.find_owned(EntryKind.TOOL, ServerName("gamma"), "read") is None
