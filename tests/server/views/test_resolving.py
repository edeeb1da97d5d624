"""Which tools a view has: the same for the same registry, and never under another's name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    EntryChanges,
    EntryId,
    EntryKind,
    Mark,
    MarkReason,
    Members,
    Prompt,
    ServerName,
    ToolOverride,
    Trust,
    View,
    ViewMode,
)
from toolcrib_server.views.resolving import Resolved, Resolver

from .conftest import tool

SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
A, B = ServerName("alpha"), ServerName("beta")
ALL = View(name="v", include=Members(servers=(A, B)))
Register = Callable[..., None]


def names(resolved: Resolved) -> list[str]:
    return [str(definition["name"]) for definition in resolved.listed]


def test_tools_are_listed_by_name_with_pinned_ones_first(
    register: Register, resolver: Resolver
) -> None:
    register(tool("beta", "a"), tool("beta", "z"))
    register(tool("alpha", "b"), tool("alpha", "a"))
    view = replace(
        ALL,
        pinned=("beta__z", "alpha__b"),
        overrides=(ToolOverride(tool="beta__a", name="aaa"),),
    )

    resolved = resolver.resolve(view)

    assert names(resolved) == ["beta__z", "alpha__b", "aaa", "alpha__a"] == list(resolved.tools)
    assert resolved.problems == resolved.notes == ()
    assert resolved.servers == (A, B)


def test_the_same_registry_gives_the_same_list_byte_for_byte(
    register: Register, store: Store
) -> None:
    register(*(tool("alpha", f"t{n}", SCHEMA, description=f"{n} words") for n in range(300)))
    view = replace(ALL, overrides=(ToolOverride(tool="alpha__t7", name="seven", hidden=("q",)),))
    view = replace(view, overrides=(replace(view.overrides[0], fixed={"q": "x"}),))

    each = [json.dumps(Resolver(store, len).resolve(view).listed) for _ in range(3)]
    # Whatever is done and undone beside it.
    register(tool("beta", "x"))
    register(server="beta")
    again = json.dumps(Resolver(store, len).resolve(replace(view)).listed)

    assert set(each) == {again}


def test_nothing_is_read_again_while_nothing_of_it_changes(
    register: Register, resolver: Resolver
) -> None:
    register(tool("alpha", "a"))
    view = View(name="v", include=Members(servers=(A,)))
    before = resolver.resolve(view)

    register(tool("beta", "x"))
    assert resolver.resolve(view, before=before) is before
    register(tool("alpha", "a", SCHEMA))
    now = resolver.resolve(view, before=before)
    assert now is not before
    assert now.listed[0]["inputSchema"] == SCHEMA
    assert resolver.resolve(replace(view, title="T"), before=now) is not now


def test_tools_are_listed_while_they_fit_and_searched_when_not(
    register: Register, resolver: Resolver
) -> None:
    # Each definition is one word without spaces, and one more for the space in its description.
    register(*(tool("alpha", f"t{n}", description="two words") for n in range(10)))
    fits = replace(ALL, context_tokens=1_000, share=0.02, pinned=("alpha__t5",))
    too_many = replace(fits, share=0.019)

    assert len(resolver.resolve(fits).listed) == 10
    assert not resolver.resolve(fits).searches
    searched = resolver.resolve(too_many)
    assert searched.searches
    assert names(searched) == ["alpha__t5"]
    assert len(searched.tools) == 10
    assert names(resolver.resolve(replace(too_many, mode=ViewMode.TOOLS)))[0] == "alpha__t5"
    assert len(resolver.resolve(replace(too_many, mode=ViewMode.TOOLS)).listed) == 10
    assert names(resolver.resolve(replace(fits, mode=ViewMode.SEARCH))) == ["alpha__t5"]


def test_a_tool_that_comes_later_does_not_take_a_name_that_was_given(
    register: Register, resolver: Resolver
) -> None:
    register(tool("alpha", "find"))
    view = replace(ALL, overrides=(ToolOverride(tool="alpha__find", name="beta__find"),))
    assert list(resolver.resolve(view).tools) == ["beta__find"]

    register(tool("beta", "find"))
    resolved = resolver.resolve(view)

    assert resolved.tools["beta__find"].member.name == "alpha__find"
    assert resolved.problems == (
        "beta__find is left out: the view calls alpha__find by that name. Rename one.",
    )


def test_a_name_that_was_given_stays_taken_when_its_tool_has_gone(
    register: Register, resolver: Resolver
) -> None:
    view = replace(ALL, overrides=(ToolOverride(tool="alpha__find", name="beta__find"),))
    register(tool("beta", "find"))
    register(tool("alpha", "other"))

    resolved = resolver.resolve(view)

    assert list(resolved.tools) == ["alpha__other"]
    assert len(resolved.problems) == 2


def test_a_tool_that_was_renamed_upstream_is_missed_and_its_new_name_told(
    register: Register, resolver: Resolver, store: Store
) -> None:
    old, new = tool("alpha", "find", SCHEMA), tool("alpha", "search", SCHEMA)
    register(old, tool("alpha", "other"))
    view = View(
        name="v",
        include=Members(tools=("alpha__find", "alpha__other")),
        pinned=("alpha__find",),
        overrides=(ToolOverride(tool="alpha__find", name="find"),),
    )
    changes = EntryChanges(server=A, upserts=(new,), removals=(old.id,), renames={old.id: new.id})
    store.apply(changes, actor="sync")

    resolved = resolver.resolve(view)

    assert list(resolved.tools) == ["alpha__other"]
    (problem,) = resolved.problems
    assert problem.startswith("alpha__find was removed at ")
    assert problem.endswith("It is called alpha__search now: change the view.")


def test_an_override_that_does_not_fit_any_more_takes_its_tool_out(
    register: Register, resolver: Resolver
) -> None:
    register(tool("alpha", "find", SCHEMA), tool("alpha", "other"))
    fixed = ToolOverride(tool="alpha__find", fixed={"q": "x"})
    view = View(name="v", include=Members(servers=(A,)), overrides=(fixed,))
    assert "alpha__find" in resolver.resolve(view).tools

    number = {"type": "object", "properties": {"q": {"type": "integer"}}}
    register(tool("alpha", "find", number), tool("alpha", "other"))
    resolved = resolver.resolve(view)

    assert list(resolved.tools) == ["alpha__other"]
    (problem,) = resolved.problems
    assert problem.startswith("alpha__find is left out: it has changed. ")
    assert problem.endswith("alpha__find: fixed.q is string (expected integer).")


def test_a_view_over_quarantined_and_disabled_tools_leaves_them_out_and_says_so(
    register: Register, resolver: Resolver, store: Store
) -> None:
    register(*(tool("alpha", name) for name in ("bad", "off", "on", "worse")))
    mark = Mark(MarkReason.INJECTION, "x")
    judged = {EntryId(f"tool:alpha__{n}"): (Trust.QUARANTINED, (mark,)) for n in ("bad", "worse")}
    store.set_marks(judged, actor="test")
    store.set_entry_enabled(EntryKind.TOOL, "alpha__off", enabled=False, actor="test")

    resolved = resolver.resolve(
        View(name="v", include=Members(servers=(A,), tools=("alpha__bad",)))
    )

    assert list(resolved.tools) == ["alpha__on"]
    assert resolved.problems == (
        "alpha__bad is left out: it is quarantined until somebody approves it.",
    )
    assert resolved.notes == (
        "alpha__off is left out: it is disabled.",
        "alpha__worse is left out: it is quarantined until somebody approves it.",
    )


def test_a_server_that_has_gone_is_missed(register: Register, resolver: Resolver) -> None:
    register(tool("alpha", "a"))

    resolved = resolver.resolve(ALL)

    assert resolved.problems == ("The server 'beta' is not registered any more.",)


def test_a_tool_that_the_view_pins_and_excludes_now_is_missed(
    register: Register, resolver: Resolver
) -> None:
    register(tool("alpha", "a"))
    view = View(
        name="v",
        include=Members(servers=(A,)),
        exclude=Members(tags=("x",), tools=("alpha__a",)),
        pinned=("alpha__a",),
    )

    assert resolver.resolve(view).problems == (
        "alpha__a is there, and the view does not include it.",
    )


def test_prompts_of_its_servers_come_with_a_view(
    register: Register, resolver: Resolver, store: Store
) -> None:
    register(tool("alpha", "a"))
    prompt = Prompt(name="alpha__hi", server=A, local_name="hi", definition={"name": "hi"})
    store.apply(EntryChanges(server=A, upserts=(prompt,)), actor="test")

    assert [one.name for one in resolver.resolve(ALL).others] == ["alpha__hi"]
    by_name = View(name="v", include=Members(tools=("alpha__a",)))
    assert resolver.resolve(by_name).others == ()


def test_ten_thousand_tools_are_found_out_and_searched(
    register: Register, resolver: Resolver
) -> None:
    register(*(tool("alpha", f"t{n:05}", SCHEMA) for n in range(10_000)))

    resolved = resolver.resolve(replace(ALL, context_tokens=1_000))

    assert resolved.searches
    assert len(resolved.ids) == 10_000
    assert resolved.listed == ()
    listed = resolver.resolve(replace(ALL, mode=ViewMode.TOOLS)).listed
    assert [str(one["name"]) for one in listed] == [f"alpha__t{n:05}" for n in range(10_000)]
