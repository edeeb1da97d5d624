from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from toolcrib_registry.errors import AlreadyExists, InvalidInput, NotFound
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    ChangeAction,
    EntryChanges,
    EntryKind,
    HttpTransport,
    Malformed,
    Revision,
    Server,
    ServerHealth,
    ServerName,
    ServerStatus,
    StdioTransport,
    Tool,
)

TIME = Server(
    name=ServerName("time"),
    transport=StdioTransport("uvx", ("mcp-server-time",), {"TOKEN": "${TIME_TOKEN}"}, "/srv"),
    tags=("clock",),
    origin="config:servers.json",
    call_timeout_s=7.5,
)
GIT = Server(name=ServerName("git"), transport=HttpTransport("https://git.example/mcp"))
HEALTH = ServerHealth(
    status=ServerStatus.DEGRADED,
    attempted_at=datetime(2026, 8, 1, 12, 0, 0, 123456, tzinfo=UTC),
    synced_at=datetime(2026, 8, 1, tzinfo=UTC),
    error="one tool was set aside",
    protocol_version="2026-07-28",
    reported_name="Time",
    reported_version="1.0",
    instructions="Ask me the time.",
    malformed=(Malformed(EntryKind.TOOL, "bad", "its schema is not an object"),),
)


def tool(name: str) -> Tool:
    return Tool(name=f"time__{name}", server=TIME.name, local_name=name, definition={"name": name})


def test_an_added_server_is_given_back_and_found_as_it_was(store: Store) -> None:
    added = store.add_server(TIME, actor="cli")

    assert added.added_at is not None
    assert replace(added, added_at=None) == TIME
    assert store.get_server(TIME.name) == added
    assert store.find_server(TIME.name) == added


def test_adding_a_name_twice_is_refused_and_changes_nothing(store: Store) -> None:
    store.add_server(TIME, actor="cli")

    with pytest.raises(AlreadyExists, match="A server named 'time' exists already"):
        store.add_server(replace(TIME, origin="api"), actor="api")

    assert store.get_server(TIME.name).origin == TIME.origin
    assert store.head() == 1


def test_an_absent_server_is_answered_with_near_names(store: Store) -> None:
    store.add_server(TIME, actor="cli")
    store.add_server(GIT, actor="cli")

    with pytest.raises(NotFound, match="Did you mean: time"):
        store.get_server(ServerName("tiem"))
    with pytest.raises(NotFound):
        store.update_server(replace(TIME, name=ServerName("no")), actor="cli")
    with pytest.raises(NotFound):
        store.remove_server(ServerName("no"), actor="cli")
    with pytest.raises(NotFound):
        store.apply(EntryChanges(server=ServerName("no")), actor="sync", health=HEALTH)
    assert store.find_server(ServerName("no")) is None


def test_updating_settings_keeps_health_and_age(store: Store) -> None:
    added = store.add_server(TIME, actor="cli")
    store.apply(EntryChanges(server=TIME.name), actor="sync", health=HEALTH)

    updated = store.update_server(replace(TIME, call_timeout_s=9, tags=()), actor="api")

    assert updated == replace(added, call_timeout_s=9, tags=(), health=HEALTH)
    assert store.get_server(TIME.name) == updated
    change = store.list_changes()[-1]
    assert change.action is ChangeAction.UPDATED
    assert change.fields == ("call_timeout_s", "tags")
    assert change.actor == "api"


def test_an_update_without_a_difference_takes_no_revision(store: Store) -> None:
    added = store.add_server(TIME, actor="cli")

    assert store.update_server(TIME, actor="cli") == added
    assert store.head() == 1


@pytest.mark.parametrize(
    ("enabled", "action"), [(False, ChangeAction.DISABLED), (True, ChangeAction.ENABLED)]
)
def test_a_switch_alone_is_its_own_kind_of_change(
    store: Store, enabled: bool, action: ChangeAction
) -> None:
    store.add_server(replace(TIME, enabled=not enabled), actor="cli")

    store.update_server(replace(TIME, enabled=enabled), actor="cli")

    change = store.list_changes()[-1]
    assert (change.action, change.fields) == (action, ())
    assert store.get_server(TIME.name).enabled is enabled


def test_changed_secrets_are_noted_without_their_values(store: Store) -> None:
    store.add_server(TIME, actor="cli")
    with_secrets = replace(TIME, transport=HttpTransport("https://x", {"Authorization": "${KEY}"}))
    store.update_server(with_secrets, actor="cli")
    other_value = HttpTransport("https://x", {"Authorization": "${OTHER}"})
    store.update_server(replace(TIME, transport=other_value), actor="cli")
    store.remove_server(TIME.name, actor="cli")

    changes = store.list_changes()

    assert "TOKEN" in str(changes[0].after)
    assert changes[2].fields == ("headers",)
    assert changes[2].before == changes[2].after
    assert "${" not in str(changes)


def test_servers_are_listed_by_name_in_pages(store: Store) -> None:
    names = ["B", "_x", "a", "a-b", "ab", "é"]
    for name in reversed(names):
        store.add_server(replace(GIT, name=ServerName(name)), actor="cli")

    seen: list[str] = []
    page = store.list_servers(limit=4)
    seen.extend(server.name for server in page.items)
    rest = store.list_servers(limit=4, cursor=page.next_cursor)
    seen.extend(server.name for server in rest.items)

    assert seen == names
    assert rest.next_cursor is None
    assert store.list_servers(limit=6).next_cursor is None


@pytest.mark.parametrize("limit", [0, -1, 2**70])
def test_a_limit_that_makes_no_sense_is_refused(store: Store, limit: int) -> None:
    for listing in (store.list_servers, store.list_entries, store.list_changes, store.list_calls):
        with pytest.raises(InvalidInput, match="A limit of"):
            listing(limit=limit)


def test_health_is_kept_to_the_microsecond_and_takes_no_revision(store: Store) -> None:
    store.add_server(TIME, actor="cli")

    store.apply(EntryChanges(server=TIME.name), actor="sync", health=HEALTH)

    assert store.get_server(TIME.name).health == HEALTH
    assert store.head() == 1


def test_removing_a_server_removes_what_it_owns_and_notes_each(store: Store) -> None:
    store.add_server(TIME, actor="cli")
    store.add_server(GIT, actor="cli")
    upserts = (tool("now"), tool("convert"))
    store.apply(EntryChanges(server=TIME.name, upserts=upserts), actor="sync")

    changes = store.remove_server(TIME.name, actor="cli")

    assert [change.subject for change in changes] == [
        "tool:time__convert",
        "tool:time__now",
        "server:time",
    ]
    assert {change.action for change in changes} == {ChangeAction.REMOVED}
    assert changes[0].before == {"name": "convert"}
    assert [change.revision for change in changes] == [5, 6, 7]
    assert store.list_changes(since=Revision(4)) == changes
    assert store.list_entries().items == ()
    assert [server.name for server in store.list_servers().items] == ["git"]


def test_of_many_that_add_the_same_name_at_once_one_succeeds(store: Store) -> None:
    def add(number: int) -> bool:
        try:
            store.add_server(replace(TIME, origin=f"thread {number}"), actor="test")
        except AlreadyExists:
            return False
        return True

    with ThreadPoolExecutor(6) as threads:
        outcomes = list(threads.map(add, range(6), timeout=60))

    assert sum(outcomes) == 1
    assert store.get_server(TIME.name).origin == f"thread {outcomes.index(True)}"
    assert store.head() == 1
