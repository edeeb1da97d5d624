"""Views as files: YAML or JSON, one or several, with the field named where something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolcrib_registry.errors import InvalidConfig
from toolcrib_registry.types import Members, ServerName, ToolOverride, View, ViewMode
from toolcrib_server.views.documents import dump_views, load_views, parse_views

DESK = View(
    name="desk",
    title="Désk",
    description="Two\nlines.",
    include=Members(servers=(ServerName("a"),), tags=("t",), tools=("b__x",)),
    exclude=Members(tools=("a__y",)),
    overrides=(
        ToolOverride(
            tool="b__x",
            name="x",
            description="D",
            defaults={"n": 1, "deep": {"l": [None, True, "yes", "2026-01-01"]}},
            fixed={"key": ""},
            hidden=("h",),
        ),
    ),
    pinned=("b__x",),
    mode=ViewMode.SEARCH,
    share=0.1,
)
TEXT = """
name: desk
description: |
  Use these for mail.
include:
  servers: [mail]
  tags: [work]
overrides:
  - tool: mail__send
    name: send
    fixed: {account: me}
contextTokens: 100000
"""


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("views", [(DESK,), (DESK, View(name="other"))])
def test_what_is_written_is_read_back(tmp_path: Path, views: tuple[View, ...], as_json: bool):
    file = tmp_path / "views"
    file.write_text(dump_views(views, as_json=as_json), encoding="utf-8")

    assert load_views(file) == views


def test_what_is_as_it_is_by_default_is_not_written() -> None:
    view = View(name="v", include=Members(servers=(ServerName("a"),)))

    assert dump_views([view]) == "name: v\ninclude:\n  servers:\n  - a\n"
    assert json.loads(dump_views([view], as_json=True)) == {
        "name": "v",
        "include": {"servers": ["a"]},
    }


def test_a_view_is_read_from_yaml() -> None:
    (view,) = parse_views(TEXT, where="f")

    assert view.description == "Use these for mail.\n"
    assert view.include == Members(servers=(ServerName("mail"),), tags=("work",))
    assert view.overrides == (
        ToolOverride(tool="mail__send", name="send", fixed={"account": "me"}),
    )
    assert view.context_tokens == 100_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "f: holds no view: a mapping with a name was expected."),
        ("- name: a", "f: holds no view"),
        ("name: [", "f: is neither YAML nor JSON"),
        ('{"name": }', "f: is neither YAML nor JSON: Expecting value"),
        ("title: x", "f: name is missing"),
        ("name: v\ninclud: {}", "has no field 'includ' (did you mean 'include'?)"),
        ("name: v\ninclude: {server: [a]}", "include has no field 'server' (did you mean"),
        ("name: v\nshare: 2", "share must be less than or equal to 1"),
        ("views: {}", "f: views: is to be a list of views."),
        ("views:\n- name: a\n- nam: b", "f: views.1: "),
        ("name: v\noverrides: [{tool: a, fixed: {d: 2026-01-01}}]", "2026-01-01 is a date: put it"),
        ("name: v\noverrides: [{tool: a, fixed: {d: .nan}}]", "f: is neither YAML nor JSON"),
        ("name: v\ntitle: !!python/object/apply:os.getcwd []", "f: is neither YAML nor JSON"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "aliases (*name) are not taken"),
        ("[" * 5_000, "f: is neither YAML nor JSON"),
        ('{"name": "v", "title": "\\ud800"}', "title must be a valid string"),
    ],
)
def test_what_is_no_view_is_refused_with_the_place_named(text: str, said: str) -> None:
    with pytest.raises(InvalidConfig) as raised:
        parse_views(text, where="f")

    assert said in raised.value.detail


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="cannot be read: No such file"):
        load_views(tmp_path / "none.yaml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidConfig, match="cannot be read"):
        load_views(tmp_path / "binary")
