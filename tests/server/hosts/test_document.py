"""Editing JSON as text: what stays, what moves, and what is refused."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolcrib_registry.errors import InvalidConfig
from toolcrib_server.hosts.document import Document, parse

ENTRY = {"command": "toolcrib", "args": ["stdio"]}


def read(text: str, *, allows_comments: bool = True) -> Document:
    return parse(text, container="servers", file="mcp.json", allows_comments=allows_comments)


def test_an_entry_is_added_after_the_others_and_comments_stay() -> None:
    text = """\
{
\t// my servers
\t"inputs": [], // none yet
\t"servers": {
\t\t/* the first */
\t\t"a": { "command": "x" }, // keep me
\t\t"b": { "url": "http://h/*no comment*/" } // and me
\t}
}
"""
    assert read(text).with_entry("toolcrib", ENTRY) == text.replace(
        '*/" } // and me\n',
        '*/" }, // and me\n\t\t"toolcrib": {\n\t\t\t"command": "toolcrib",\n\t\t\t"args": [\n'
        '\t\t\t\t"stdio"\n\t\t\t]\n\t\t}\n',
    )


def test_a_trailing_comma_is_kept_in_style() -> None:
    text = '{\n  "servers": {\n    "a": {}, // last\n  },\n}\n'
    edited = read(text).with_entry("t", {"url": "u"})
    assert edited == (
        '{\n  "servers": {\n    "a": {}, // last\n    "t": {\n      "url": "u"\n    },\n  },\n}\n'
    )


@pytest.mark.parametrize("text", ["", "  \n", "\ufeff", "{}", "{}\n", '{"servers":{}}', "{ }"])
def test_an_empty_file_takes_an_entry(text: str) -> None:
    edited = read(text).with_entry("t", ENTRY)
    assert read(edited, allows_comments=False).entries() == {"t": ENTRY}


def test_a_comment_in_an_empty_container_stays() -> None:
    edited = read('{\n  "servers": {\n    // none yet\n  }\n}\n').with_entry("t", {})
    assert edited == '{\n  "servers": {\n    "t": {}\n    // none yet\n  }\n}\n'


def test_windows_line_ends_stay() -> None:
    edited = read('{\r\n    "servers": {}\r\n}\r\n').with_entry("t", {"url": "u"})
    assert edited == (
        '{\r\n    "servers": {\r\n        "t": {\r\n            "url": "u"\r\n        }\r\n'
        "    }\r\n}\r\n"
    )


def test_a_byte_order_mark_stays() -> None:
    edited = read('\ufeff{"servers": {}}').with_entry("t", {})
    assert edited.startswith("\ufeff{")
    assert read(edited).entries() == {"t": {}}


def test_one_line_after_another_on_the_same_line_is_no_comment_end() -> None:
    edited = read('{"servers": {"a": 1 /* x */ } /* y */ }').with_entry("t", 2)  # type: ignore[arg-type]
    assert read(edited).entries() == {"a": 1, "t": 2}
    assert "/* x */" in edited
    assert "/* y */" in edited


def test_a_value_is_replaced_in_its_place() -> None:
    text = '{\n  "servers": {\n    "t": {"url": "old"}, // ours\n    "z": {}\n  }\n}\n'
    edited = read(text).with_entry("t", {"url": "new"})
    assert edited == (
        '{\n  "servers": {\n    "t": {\n      "url": "new"\n    }, // ours\n    "z": {}\n  }\n}\n'
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"servers": {"t": {}, "a": 1}}', '{"servers": { "a": 1}}'),
        ('{"servers": {"a": 1, "t": {}}}', '{"servers": {"a": 1 }}'),
        ('{"servers": {"t": {}}}', '{"servers": {}}'),
        (
            '{\n  "servers": {\n    "a": 1, // note\n    "t": {}\n  }\n}',
            '{\n  "servers": {\n    "a": 1 // note\n  }\n}',
        ),
        (
            '{\n  "servers": {\n    "a": 1,\n    "t": {},\n  },\n}',
            '{\n  "servers": {\n    "a": 1,\n  },\n}',
        ),
        ('{"servers": { // note\n"t": {}}}', '{"servers": { // note\n}}'),
        ('{"servers": {"a": 1}}', '{"servers": {"a": 1}}'),
        ('{"other": 1}', '{"other": 1}'),
    ],
)
def test_removing_takes_the_entry_and_its_comma(text: str, expected: str) -> None:
    assert read(text).without_entry("t") == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not valid JSON: .* line 1"),
        ('{"a": 1,}', "not valid JSON"),
        ('{"a": 1} // note', "not valid JSON"),
        ('{"a": NaN}', "NaN is no JSON value"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "must hold a JSON object"),
        ('{"servers": []}', "mcp.json: servers: must be an object"),
        ('{"servers": null}', "must be an object"),
        ('{"servers": {}, "servers": {}}', "mcp.json: servers: the key is there twice"),
        ('{"servers": {"t": 1, "t": 2}}', r"mcp.json: servers\.t: the key is there twice"),
    ],
)
def test_a_file_that_is_not_what_the_host_reads_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InvalidConfig, match=problem):
        read(text, allows_comments=False)


def test_an_unclosed_comment_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="not valid JSON"):
        read('{"servers": {} /* for ever }')


names = st.text(st.characters(codec="utf-8"), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(names, values, max_size=4)
gaps = st.sampled_from(["", " ", "\n", "\r\n\t", ' // , } "\n', '/* { " , */', "\n/* a\n b */\n"])


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Draw a file with comments and odd spacing, and the data it stands for."""
    data: dict[str, Any] = draw(objects)
    if draw(st.booleans()):
        data["servers"] = draw(objects)
    else:
        data.pop("servers", None)

    def text(value: Any) -> str:
        if not isinstance(value, dict):
            return json.dumps(value, ensure_ascii=draw(st.booleans()))
        members = [
            f"{draw(gaps)}{json.dumps(key)}{draw(gaps)}:{draw(gaps)}{text(item)}{draw(gaps)}"
            for key, item in value.items()
        ]
        trailing = "," + draw(gaps) if members and draw(st.booleans()) else ""
        return "{" + ",".join(members) + trailing + draw(gaps) + "}"

    return draw(gaps) + text(data) + draw(gaps), data


@settings(deadline=None)  # a shared machine may stall for longer than any deadline
@given(documents(), names, objects)
def test_any_file_keeps_its_data_and_its_comments_through_both_edits(
    document: tuple[str, dict[str, Any]], name: str, entry: dict[str, Any]
) -> None:
    text, data = document
    before = read(text)
    entries = data.get("servers", {})
    added = read(before.with_entry(name, entry))
    assert added.entries() == {**entries, name: entry}
    assert added.others() == before.others() == {k: v for k, v in data.items() if k != "servers"}
    removed = read(added.without_entry(name))
    assert removed.entries() == {k: v for k, v in entries.items() if k != name}
    assert removed.others() == before.others()
    if name not in entries:
        assert removed.text.count("/*") == text.count("/*")
        assert removed.text.count("//") == text.count("//")
