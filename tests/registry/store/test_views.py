from __future__ import annotations

from dataclasses import replace

import pytest

from toolcrib_registry.errors import AlreadyExists, EntryChanged, NotFound
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    CatalogTransport,
    ChangeAction,
    EntryChanges,
    EntryId,
    EntryKind,
    HttpTransport,
    Mark,
    MarkReason,
    Members,
    OwnedEntry,
    Prompt,
    Revision,
    Server,
    ServerName,
    Tool,
    ToolOverride,
    Trust,
    View,
    ViewMode,
)

A, B = ServerName("alpha"), ServerName("beta")
DESK = View(
    name="desk",
    title="Desk work",
    description="Use it for mail.",
    include=Members(servers=(A,), tags=("mail", 'a "b" \\ é'), tools=("beta__one",)),
    exclude=Members(tools=("alpha__two",)),
    overrides=(
        ToolOverride(
            tool="alpha__one",
            name="first",
            defaults={"zone": "UTC", "deep": {"n": [1, None]}},
            fixed={"key": "k"},
            hidden=("trace",),
        ),
    ),
    pinned=("alpha__one",),
    mode=ViewMode.SEARCH,
    context_tokens=1_000,
    share=0.5,
)


def tool(server: ServerName, name: str, *tags: str) -> Tool:
    return Tool(name=f"{server}__{name}", server=server, local_name=name, tags=tags, definition={})


def fill(store: Store, *entries: OwnedEntry, tags: tuple[str, ...] = ()) -> None:
    for server in sorted({entry.server for entry in entries}):
        transport = HttpTransport("http://127.0.0.1:1/mcp")
        store.add_server(Server(name=server, transport=transport, tags=tags), actor="test")
        own = tuple(entry for entry in entries if entry.server == server)
        store.apply(EntryChanges(server=server, upserts=own), actor="test")


def names(store: Store, view: View) -> list[str]:
    return [member.name for member in store.views.members(view) if member.absence is None]


def test_an_added_view_is_found_as_it_was_given(store: Store) -> None:
    added = store.views.add(DESK, actor="cli")

    assert store.views.get("desk") == added == store.views.find("desk")
    assert replace(added, revision=Revision(0), added_at=None, updated_at=None) == DESK
    assert (added.revision, added.added_at) == (1, added.updated_at)
    (change,) = store.list_changes()
    assert (change.action, change.subject, change.actor) == (ChangeAction.ADDED, "view:desk", "cli")
    assert change.after is not None
    assert change.after["overrides"][0]["fixed"] == {"key": "k"}


def test_a_taken_name_is_refused_and_an_absent_one_offers_near_ones(store: Store) -> None:
    store.views.add(DESK, actor="cli")

    with pytest.raises(AlreadyExists, match="A view named 'desk' exists already"):
        store.views.add(replace(DESK, title=None), actor="cli")
    with pytest.raises(NotFound, match=r"No view is named 'desks'\. Did you mean: desk"):
        store.views.get("desks")
    with pytest.raises(NotFound):
        store.views.remove("other", actor="cli")
    assert store.head() == 1


def test_putting_a_view_adds_then_replaces_then_does_nothing(store: Store) -> None:
    added = store.views.put(DESK, actor="api")
    changed = store.views.put(replace(DESK, share=0.25), actor="api:me", seen=added.revision)

    assert (changed.revision, changed.added_at) == (2, added.added_at)
    assert store.views.put(replace(DESK, share=0.25), actor="api") == changed
    (_, change) = store.list_changes()
    assert (change.action, change.fields) == (ChangeAction.UPDATED, ("share",))
    assert change.actor == "api:me"


def test_a_view_that_changed_meanwhile_is_not_written_over(store: Store) -> None:
    seen = store.views.put(DESK, actor="api").revision
    store.views.put(replace(DESK, title="Other"), actor="api")

    with pytest.raises(EntryChanged, match="The view 'desk' has changed since revision 1"):
        store.views.put(replace(DESK, share=0.25), actor="api", seen=seen)
    store.views.remove("desk", actor="cli")
    with pytest.raises(NotFound):
        store.views.put(DESK, actor="api", seen=seen)


def test_a_removed_view_is_kept_in_the_log(store: Store) -> None:
    store.views.add(DESK, actor="cli")

    change = store.views.remove("desk", actor="cli")

    assert (change.action, change.subject, change.revision) == (
        ChangeAction.REMOVED,
        "view:desk",
        2,
    )
    assert change.before is not None
    assert change.before["title"] == "Desk work"
    assert store.views.find("desk") is None


def test_views_are_listed_by_name_in_pages(store: Store) -> None:
    for name in ("b", "a", "c"):
        store.views.add(View(name=name), actor="cli")

    first = store.views.list(limit=2)

    assert [view.name for view in first.items] == ["a", "b"]
    assert [v.name for v in store.views.list(cursor=first.next_cursor).items] == ["c"]
    assert [view.name for view in store.views.iterate()] == ["a", "b", "c"]


def test_a_view_selects_by_server_tag_and_name_less_what_it_excludes(store: Store) -> None:
    greeting = Prompt(name="alpha__hi", server=A, local_name="hi", definition={})
    fill(
        store,
        tool(A, "one"),
        tool(A, "two"),
        greeting,
        tool(B, "one"),
        tool(B, "two", "mail"),
        tool(B, "three", "MAIL"),
        tool(B, "four", 'a "b" \\ é'),
        tool(B, "five", "unmail"),
    )

    assert names(store, DESK) == ["alpha__hi", "alpha__one", "beta__four", "beta__one", "beta__two"]
    kinds = {member.name: member.kind for member in store.views.members(DESK)}
    assert kinds["alpha__hi"] is EntryKind.PROMPT
    without = replace(DESK, exclude=Members(servers=(A,), tags=("mail",)))
    assert names(store, without) == ["beta__four", "beta__one"]


def test_a_tag_of_a_server_is_one_of_all_its_entries(store: Store) -> None:
    fill(store, tool(A, "one"), tags=("mail",))

    assert names(store, View(name="v", include=Members(tags=("mail",)))) == ["alpha__one"]
    nothing = View(name="v", include=Members(servers=(A,)), exclude=Members(tags=("mail",)))
    assert names(store, nothing) == []


def test_a_view_of_nothing_selects_nothing(store: Store) -> None:
    fill(store, tool(A, "one"))

    assert store.views.members(View(name="v")) == ()


def test_what_may_not_be_used_is_given_with_the_reason(store: Store) -> None:
    fill(store, tool(A, "bad"), tool(A, "off"), tool(A, "on"), tool(B, "one"))
    store.add_server(Server(name=ServerName("c"), transport=CatalogTransport("f")), actor="test")
    catalogued = tool(ServerName("c"), "one")
    store.apply(EntryChanges(server=ServerName("c"), upserts=(catalogued,)), actor="test")
    store.set_entry_enabled(EntryKind.TOOL, "alpha__off", enabled=False, actor="test")
    mark = Mark(MarkReason.INJECTION, "x")
    store.set_marks({EntryId("tool:alpha__bad"): (Trust.QUARANTINED, (mark,))}, actor="test")
    store.update_server(replace(store.get_server(B), enabled=False), actor="test")

    view = View(name="v", include=Members(servers=(A, B, ServerName("c"))))

    assert {member.name: member.absence for member in store.views.members(view)} == {
        "alpha__bad": "it is quarantined until somebody approves it",
        "alpha__off": "it is disabled",
        "alpha__on": None,
        "beta__one": "its server 'beta' is disabled",
        "c__one": "it comes from the catalogue 'c', and cannot be called",
    }


def test_ten_thousand_tools_are_selected_by_name(store: Store) -> None:
    fill(store, *(tool(A, f"t{n:05}") for n in range(10_000)))
    wanted = tuple(f"alpha__t{n:05}" for n in range(10_000))

    assert names(store, View(name="v", include=Members(tools=wanted))) == list(wanted)
