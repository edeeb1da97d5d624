"""Characters that cannot be seen: where they hide something, and where they belong."""

import pytest

from toolcrib_server.scan import Severity, escape, reveal
from toolcrib_server.scan.hidden import find_hidden
from toolcrib_server.scan.texts import Part, Text


def found(text):
    return {f.rule: f.severity for f in find_hidden(Text("/description", Part.PROSE, text))}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("Hi\U000e0049\U000e0067", "tag-characters"),
        ("Hi \U0001f600\U000e0100\U000e0101\U000e0102", "selector-runs"),
        ("Hi \u200b\u200c\u200b\u200c", "zero-width-runs"),
        ("pass\u200bword", "zero-width-in-words"),
        ("a \u202eb\u202c c", "direction-controls"),
        ("a \u2066b\u2069 c", "direction-controls"),
        ("a\x1b[8mb", "terminal-controls"),
        ("a\x9b8mb", "terminal-controls"),
        ("a\x08b", "terminal-controls"),
        ("secret\rharmless", "overwritten-line"),
        ("a\x00b", "control-characters"),
        ("Sums." + " " * 200 + "And more.", "pushed-out-of-view"),
        ("Sums." + "\n" * 30 + "And more.", "pushed-out-of-view"),
    ],
)
def test_a_trick_is_found(text, rule):
    assert found(text)[rule] is not Severity.LOW


@pytest.mark.parametrize(
    "text",
    [
        "Plain ASCII.\n\tIndented.\r\nOn Windows.",
        "\ufeffStarts with a byte order mark.",
        "Wales: \U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f.",
        "\u05e9\u05dc\u05d5\u05dd \u2067abc\u2069",
        "A docstring.\n\n    Args:\n        path: The path.\n\n    Returns:\n        Text.\n    ",
        "Ends in spaces." + " " * 300,
    ],
)
def test_honest_uses_are_left_alone(text):
    assert all(severity is Severity.LOW for severity in found(text).values())


def test_reveal_takes_out_what_cannot_be_seen_and_nothing_else():
    assert reveal("pa\u200bss\u202eword\U000e0041\x1b naïve 你好\n") == "password naïve 你好\n"


def test_escape_writes_code_points():
    assert escape("a\u200b\x1b\U000e0041 b") == "a<U+200B><U+001B><U+E0041> b"
