"""Edit one entry in a JSON file as text, so that comments, order, spacing and line ends stay.

Works on strings alone: no file is read or written here. JSON with comments and trailing commas is
read by blanking both out with spaces, which leaves every offset where it was.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from toolcrib_registry.errors import InvalidConfig

_COMMENT_OR_STRING = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMA_OR_STRING = re.compile(r'"(?:\\.|[^"\\\n])*"|,(?=\s*[}\]])')
_LINE_END_COMMENT = re.compile(r"\s*(?://.*|/\*(?:(?!\*/).)*\*/)")
_BYTE_ORDER_MARK = "\ufeff"
_BLANK_FILE = _BYTE_ORDER_MARK + " \t\r\n"
_SPACE = re.compile(r"\s*")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class _Member:
    """One ``"key": value`` of an object, and where it stands."""

    key: str
    start: int
    value_start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Object:
    """An object of the document: the offset of its brace, its members, the closing brace."""

    start: int
    members: tuple[_Member, ...]
    end: int


@dataclass(frozen=True, slots=True)
class Document:
    """A host's file as text, known to be a JSON object whose ``container`` is an object or absent.

    ``_plain`` is the same text with comments and trailing commas blanked out.
    """

    text: str
    container: str
    _plain: str
    _root: _Object
    _entries: _Object | None

    def entries(self) -> Mapping[str, Any]:
        """Read the container: names to entries."""
        if self._entries is None:
            return {}
        return json.loads(self._plain[self._entries.start : self._entries.end + 1])

    def others(self) -> Mapping[str, Any]:
        """Read everything at the top level but the container."""
        data: dict[str, Any] = json.loads(self._plain)
        data.pop(self.container, None)
        return data

    def with_entry(self, name: str, entry: Mapping[str, Any]) -> str:
        """Render the text with ``name`` added to the container, or its value replaced."""
        if self._entries is None:
            return self._insert(self._root, self.container, {name: entry}, depth=1)
        for member in self._entries.members:
            if member.key == name:
                value = self._render(entry, depth=2)
                return self.text[: member.value_start] + value + self.text[member.end :]
        return self._insert(self._entries, name, entry, depth=2)

    def without_entry(self, name: str) -> str:
        """Render the text without ``name``; the same text when it holds no such entry."""
        members = self._entries.members if self._entries else ()
        for position, member in enumerate(members):
            if member.key == name:
                return self._cut(members, position)
        return self.text

    def _insert(self, parent: _Object, key: str, value: Any, *, depth: int) -> str:
        member = f"{json.dumps(key, ensure_ascii=False)}: {self._render(value, depth=depth)}"
        line = self._newline + self._indent * depth
        if not parent.members:
            inner = self.text[parent.start + 1 : parent.end]
            # Anything but space inside an empty object is a comment, and stays.
            rest = inner if inner.strip() else self._newline + self._indent * (depth - 1)
            return self.text[: parent.start + 1] + line + member + rest + self.text[parent.end :]
        end = parent.members[-1].end
        comma = self._comma_after(end)
        if comma is not None:
            anchor = self._end_of_line_comment(comma + 1)
            return self.text[:anchor] + line + member + "," + self.text[anchor:]
        anchor = self._end_of_line_comment(end)
        return self.text[:end] + "," + self.text[end:anchor] + line + member + self.text[anchor:]

    def _cut(self, members: tuple[_Member, ...], position: int) -> str:
        member = members[position]
        comma = self._comma_after(member.end)
        start, end = self._whole_lines(member.start, member.end if comma is None else comma + 1)
        head, tail = self.text[:start], self.text[end:]
        if comma is None and position:
            before = self._comma_after(members[position - 1].end)
            assert before is not None
            head = self.text[:before] + self.text[before + 1 : start]
        return head + tail

    def _comma_after(self, offset: int) -> int | None:
        following = _blank(_COMMENT_OR_STRING, self.text[offset:])
        position = _skip_space(following, 0)
        return offset + position if following[position : position + 1] == "," else None

    def _end_of_line_comment(self, offset: int) -> int:
        """Where a comment on the same line ends, else ``offset``."""
        line_end = self.text.find("\n", offset)
        rest = self.text[offset : line_end if line_end >= 0 else len(self.text)].rstrip()
        return offset + len(rest) if _LINE_END_COMMENT.fullmatch(rest) else offset

    def _whole_lines(self, start: int, end: int) -> tuple[int, int]:
        """Take in the indent before and the line break after, when nothing else is on the lines.

        The line break before is never taken: it may end a comment.
        """
        line_start = self.text.rfind("\n", 0, start) + 1
        line_end = self.text.find("\n", end) + 1
        alone = not (self.text[line_start:start] + self.text[end:line_end]).strip()
        return (line_start, line_end) if alone and line_start and line_end else (start, end)

    def _render(self, value: Any, *, depth: int) -> str:
        lines = json.dumps(value, indent=self._indent, ensure_ascii=False).split("\n")
        return (self._newline + self._indent * depth).join(lines)

    @property
    def _newline(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"

    @property
    def _indent(self) -> str:
        found = re.search(r'\{\s*\n([ \t]+)"', self._plain)
        return found.group(1) if found else "  "


def parse(text: str, *, container: str, file: str, allows_comments: bool) -> Document:
    """Read a host's file; an empty one counts as an empty object.

    Raises:
        InvalidConfig: It is not JSON (or not JSON with comments, where the host takes them), it is
            no object, ``container`` is something else than an object, or a key is there twice.
    """
    text = text if text.strip(_BLANK_FILE) else "{}\n"
    plain = " " + text[1:] if text.startswith(_BYTE_ORDER_MARK) else text
    if allows_comments:
        plain = _blank(_TRAILING_COMMA_OR_STRING, _blank(_COMMENT_OR_STRING, plain))
    data = _decode(plain, file=file)
    if not isinstance(data, dict):
        raise InvalidConfig("the file must hold a JSON object.", file=file)
    root = _scan(plain, _skip_space(plain, 0))
    _refuse_twice(root, file=file, path="")
    found = next((member for member in root.members if member.key == container), None)
    if found is None:
        return Document(text, container, plain, root, None)
    if plain[found.value_start] != "{":
        raise InvalidConfig("must be an object of names to servers.", file=file, key=container)
    entries = _scan(plain, found.value_start)
    _refuse_twice(entries, file=file, path=f"{container}.")
    return Document(text, container, plain, root, entries)


def _refuse_twice(parent: _Object, *, file: str, path: str) -> None:
    """Refuse a key that is there twice: readers differ on which of the two counts."""
    counts = Counter(member.key for member in parent.members)
    for key, count in counts.items():
        if count > 1:
            raise InvalidConfig(
                "the key is there twice.", file=file, key=path + key, fix="Keep one of the two."
            )


def _decode(plain: str, *, file: str) -> Any:
    try:
        return json.loads(plain, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise InvalidConfig("it is nested too deeply to be read.", file=file) from error
    except json.JSONDecodeError as error:
        raise InvalidConfig(
            f"it is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
            file=file,
            fix="Mend it by hand first; nothing was changed.",
        ) from error
    except ValueError as error:
        raise InvalidConfig(f"it is not valid JSON: {error}.", file=file) from error


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON value")


def _scan(plain: str, start: int) -> _Object:
    """List the members of the object at ``start`` of text that is known to be JSON."""
    members: list[_Member] = []
    position = _skip_space(plain, start + 1)
    while plain[position] != "}":
        key, key_end = _DECODER.raw_decode(plain, position)
        value_start = _skip_space(plain, _skip_space(plain, key_end) + 1)
        _, end = _DECODER.raw_decode(plain, value_start)
        members.append(_Member(key, position, value_start, end))
        position = _skip_space(plain, end)
        if plain[position] == ",":
            position = _skip_space(plain, position + 1)
    return _Object(start, tuple(members), position)


def _skip_space(text: str, offset: int) -> int:
    found = _SPACE.match(text, offset)
    return found.end() if found else offset


def _blank(pattern: re.Pattern[str], text: str) -> str:
    """Replace what ``pattern`` finds, strings apart, by spaces; line breaks stay."""

    def spaces(found: re.Match[str]) -> str:
        if found.group().startswith('"'):
            return found.group()
        return re.sub(r"[^\r\n]", " ", found.group())

    return pattern.sub(spaces, text)
