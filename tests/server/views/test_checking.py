"""A view that could not be served is refused when it is saved, and says why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from toolcrib_registry.errors import InvalidView
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    EntryId,
    Mark,
    MarkReason,
    Members,
    ServerName,
    ToolOverride,
    Trust,
    View,
)
from toolcrib_server.views.checking import check_view

from .conftest import tool

SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
A = ServerName("alpha")
ALL = View(name="v", include=Members(servers=(A,)))
Register = Callable[..., None]


@pytest.fixture(autouse=True)
def tools(register: Register) -> None:
    register(tool("alpha", "one", SCHEMA), tool("alpha", "two"))
    register(tool("beta", "one"))


def refusal(store: Store, view: View, **how: Any) -> str:
    with pytest.raises(InvalidView) as raised:
        check_view(view, store, **how)
    return raised.value.detail


def override(tool: str = "alpha__one", **said: Any) -> View:
    return replace(ALL, overrides=(ToolOverride(tool=tool, **said),))


def test_a_view_that_holds_passes(store: Store) -> None:
    check_view(ALL, store)
    swapped = (
        ToolOverride(tool="alpha__one", name="alpha__two"),
        ToolOverride(tool="alpha__two", name="alpha__one"),
    )
    check_view(replace(ALL, overrides=swapped, pinned=("alpha__two",)), store)
    emoji = "Two\nlines, and a \U0001f469\u200d\U0001f4bb."
    check_view(override(name="a" * 64, title=emoji, description=emoji), store)


@pytest.mark.parametrize(
    "name", ["", "x" * 65, "a b", "-x", "a/b", "../x", "v\u202e", "\uff56", "v\n"]
)
def test_a_name_that_is_no_part_of_a_url_is_refused(store: Store, name: str) -> None:
    assert "Its name must have 1 to 64 letters" in refusal(store, replace(ALL, name=name))


@pytest.mark.parametrize(
    "name", ["", "x" * 65, "a b", "a/b", "pay\u202epal", "p\u0430ypal", "a\u200bb"]
)
def test_a_tools_new_name_must_be_one(store: Store, name: str) -> None:
    said = refusal(store, override(name=name))

    assert "'alpha__one' cannot be called" in said
    assert said.isascii()


def test_text_that_cannot_be_seen_is_refused(store: Store) -> None:
    hidden = "safe\u202etxt"
    view = replace(override(description=hidden, title=hidden), title=hidden, description=hidden)

    said = refusal(store, view)

    assert said.count("holds characters that cannot be seen") == 4


def test_a_view_of_nothing_is_refused(store: Store) -> None:
    assert "It includes nothing" in refusal(store, View(name="v"))


def test_a_misspelt_server_or_tool_is_refused_with_near_names(store: Store) -> None:
    view = View(name="v", include=Members(servers=(ServerName("alpah"),), tools=("alpha_one",)))

    said = refusal(store, view)

    assert "No server is named 'alpah'. Did you mean: alpha?" in said
    assert "No tool is named 'alpha_one'. Did you mean: alpha__one" in said


def test_what_the_stored_view_names_already_need_not_be_there_any_more(store: Store) -> None:
    old = replace(
        ALL,
        include=Members(servers=(A, ServerName("gone")), tools=("gone__x",)),
        overrides=(ToolOverride(tool="gone__x", name="x"),),
        pinned=("gone__x",),
    )

    check_view(replace(old, title="New"), store, stored=old)
    assert "gone__x" in refusal(store, old)


def test_a_name_given_to_two_tools_is_refused_with_both_named(store: Store) -> None:
    both = tuple(ToolOverride(tool=f"alpha__{n}", name="same") for n in ("one", "two"))

    assert refusal(store, replace(ALL, overrides=both)).endswith(
        "alpha__one and alpha__two are both called same: give each a name of its own."
    )


def test_a_name_that_another_tool_has_is_refused_with_both_named(store: Store) -> None:
    assert refusal(store, override(name="alpha__two")).endswith(
        "alpha__one cannot be called alpha__two: another tool of the view, alpha__two, is."
    )
    check_view(override(name="beta__one"), store)  # it is not in the view


@pytest.mark.parametrize("name", ["search_tools", "get_tool_details", "call_tool"])
def test_a_tool_cannot_have_the_name_of_one_that_searches(store: Store, name: str) -> None:
    assert "that is a tool which searches the view" in refusal(store, override(name=name))


def test_what_is_overridden_or_pinned_must_be_in_the_view(store: Store) -> None:
    view = replace(override("beta__one", name="x"), pinned=("beta__one",))

    said = refusal(store, view)

    assert "It overrides beta__one, and does not include it." in said
    assert "It pins beta__one, and does not include it." in said
    out = replace(ALL, exclude=Members(tools=("alpha__one",)), pinned=("alpha__one",))
    assert "It pins alpha__one, and does not include it." in refusal(store, out)


def test_a_tool_is_overridden_and_pinned_once(store: Store) -> None:
    twice = (ToolOverride(tool="alpha__one"), ToolOverride(tool="alpha__one", name="x"))
    view = replace(ALL, overrides=twice, pinned=("alpha__two", "alpha__two"))

    said = refusal(store, view)

    assert "'alpha__one' is overridden twice" in said
    assert "'alpha__two' is pinned twice" in said


def test_a_required_parameter_is_not_hidden_without_a_value(store: Store) -> None:
    assert "'q' is hidden, and the tool requires it" in refusal(store, override(hidden=("q",)))
    check_view(override(hidden=("q",), defaults={"q": "x"}), store)


def test_a_default_that_does_not_fit_is_refused(store: Store) -> None:
    said = refusal(store, override(defaults={"q": 1}))
    assert "alpha__one: defaults.q is integer (expected string)." in said


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"share": 0.0}, "share is 0;"),
        ({"share": 1.5}, "share is 1.5;"),
        ({"context_tokens": 1}, "contextTokens is 1;"),
    ],
)
def test_a_share_of_a_context_that_cannot_be_is_refused(
    store: Store, how: dict[str, Any], said: str
) -> None:
    assert said in refusal(store, replace(ALL, **how))


def test_a_quarantined_tool_may_be_named_and_is_held_to_its_schema(store: Store) -> None:
    mark = Mark(MarkReason.INJECTION, "x")
    store.set_marks({EntryId("tool:alpha__one"): (Trust.QUARANTINED, (mark,))}, actor="test")

    check_view(override(name="x"), store)
    assert "'q' is hidden" in refusal(store, override(hidden=("q",)))


def test_of_very_many_problems_the_first_are_said(store: Store) -> None:
    nowhere = tuple(f"beta__{n}" for n in range(2, 5_000))

    said = refusal(store, replace(ALL, include=Members(tools=nowhere)))

    assert "4990 more are not there." in said
    assert len(said) < 5_000
