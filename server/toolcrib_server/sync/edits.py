"""What differs between two definitions, by path: a structural comparison of JSON. Pure, bounded.

Knows schemas no better than any JSON, except that lists of words (``required``, ``enum``) are sets
and that objects in a list go by their names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias, cast

from toolcrib_registry.types import JsonObject, canonical_json

from .prose import Fate, Piece, compare_words, cut

MAX_EDITS: Final = 200
_MAX_DEPTH: Final = 40
_SHOWN_CHARS: Final = 100
_LONGEST_KEY: Final = 80
_PROSE_CHARS: Final = 24
"""Strings up to this length without a space are values; longer ones are read by words."""
_MAX_MEMBERS: Final = 12
_FIRST: Final = ("title", "description", "annotations")
"""What people look at first."""
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_$-]+")

Path: TypeAlias = tuple[str | int, ...]


class EditKind(StrEnum):
    """How two definitions differ at a path."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    REWORDED = "reworded"
    """A text; ``words`` says how."""
    MEMBERS = "members"
    """A list of words; ``gained`` and ``lost`` say how."""
    REORDERED = "reordered"
    MORE = "more"
    """There are more differences than are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One difference. ``before`` and ``after`` are the whole values, None where there is none."""

    path: str
    kind: EditKind
    before: Any = None
    after: Any = None
    words: tuple[Piece, ...] = ()
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


def list_edits(before: JsonObject | None, after: JsonObject | None) -> tuple[Edit, ...]:
    """List what differs, up to `MAX_EDITS`: title, description and annotations first.

    Nothing on either side is the empty object.
    """
    edits: list[Edit] = []
    for edit in _object(before or {}, after or {}, ()):
        if len(edits) == MAX_EDITS:
            edits.append(Edit(path="", kind=EditKind.MORE))
            break
        edits.append(edit)
    return tuple(edits)


def say_edit(edit: Edit) -> tuple[Piece, ...]:
    """Say an edit in one line, as pieces that a face may colour; `mark_up` makes it plain."""
    where, _, last = edit.path.rpartition(".")
    short, long = f"{where}: {last} " if where else f"{last}: ", f"{edit.path}: "
    match edit.kind:
        case EditKind.ADDED:
            return _kept(long, "added", _aside(edit.after))
        case EditKind.REMOVED:
            return _kept(long, "removed", _aside(edit.before))
        case EditKind.REWORDED if not edit.words:
            return _kept(long, "only white space differs")
        case EditKind.REWORDED:
            return (Piece(Fate.KEPT, long), *edit.words)
        case EditKind.MEMBERS:
            return (Piece(Fate.KEPT, long), *_members(edit))
        case EditKind.REORDERED:
            return _kept(long, "in another order")
        case EditKind.MORE:
            return _kept("… and more that is not shown")
        case EditKind.CHANGED:
            return (
                Piece(Fate.KEPT, short),
                Piece(Fate.REMOVED, brief_value(edit.before)),
                Piece(Fate.KEPT, " -> "),
                Piece(Fate.ADDED, brief_value(edit.after)),
            )


def mark_up(edit: Edit) -> str:
    """Say an edit in one line of plain text; words that went are ``[-…-]``, that came ``{+…+}``."""
    pieces = say_edit(edit)
    if edit.kind is not EditKind.REWORDED:
        return "".join(piece.text for piece in pieces)
    return "".join(_marked(piece) for piece in pieces).rstrip()


def brief_value(value: Any) -> str:
    """Show a value on one line: a string without spaces plainly, any other as JSON, cut.

    A string that could be read as a number or the like (``"10"``, ``"true"``) keeps its quotes.
    """
    if isinstance(value, str) and _PLAIN_KEY.fullmatch(value) and not _is_json(value):
        return cut(value, _SHOWN_CHARS)
    return cut(_json(value), _SHOWN_CHARS)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _marked(piece: Piece) -> str:
    bare, space = piece.text.rstrip(), piece.text[len(piece.text.rstrip()) :]
    match piece.fate:
        case Fate.REMOVED:
            return f"[-{bare}-]{space}"
        case Fate.ADDED:
            return f"{{+{bare}+}}{space}"
        case Fate.KEPT:
            return piece.text


def _kept(*texts: str) -> tuple[Piece, ...]:
    return (Piece(Fate.KEPT, "".join(texts)),)


def _aside(value: Any) -> str:
    """Say in brackets what came or went: of a schema its type, of any other value the value."""
    if isinstance(value, dict):
        schema = cast("dict[str, Any]", value)
        kind = schema.get("type")
        if kind is None:
            return f" ({_count(schema, 'field')})" if schema else ""
        about = schema.get("description")
        said = f": {cut(' '.join(about.split()), _SHOWN_CHARS)}" if isinstance(about, str) else ""
        return f" ({brief_value(kind)}{said})"
    return f" ({brief_value(value)})"


def _count(items: Mapping[str, Any], what: str) -> str:
    return f"{len(items)} {what}{'' if len(items) == 1 else 's'}"


def _members(edit: Edit) -> Iterator[Piece]:
    signed = [(Fate.ADDED, f"+ {one}") for one in edit.gained[:_MAX_MEMBERS]]
    signed += [(Fate.REMOVED, f"- {one}") for one in edit.lost[:_MAX_MEMBERS]]
    for place, (fate, text) in enumerate(signed):
        if place:
            yield Piece(Fate.KEPT, ", ")
        yield Piece(fate, text)
    if more := len(edit.gained) + len(edit.lost) - len(signed):
        yield Piece(Fate.KEPT, f" and {more} more")


# --- comparing -----------------------------------------------------------------------------------


def _object(before: JsonObject, after: JsonObject, path: Path) -> Iterator[Edit]:
    for key in _ordered(before, after):
        where = (*path, key)
        if key not in before:
            yield _edit(where, EditKind.ADDED, None, after[key])
        elif key not in after:
            yield _edit(where, EditKind.REMOVED, before[key], None)
        else:
            yield from _value(before[key], after[key], where)


def _ordered(before: JsonObject, after: JsonObject) -> list[str]:
    keys = before.keys() | after.keys()
    return sorted(keys, key=lambda key: (_rank(key), key))


def _rank(key: str) -> int:
    return _FIRST.index(key) if key in _FIRST else len(_FIRST)


def _value(before: Any, after: Any, path: Path) -> Iterator[Edit]:
    if type(before) is type(after) and before == after and not isinstance(before, list | dict):
        return
    if len(path) < _MAX_DEPTH:
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _object(cast("JsonObject", before), cast("JsonObject", after), path)
            return
        if isinstance(before, list) and isinstance(after, list):
            yield from _list(cast("list[Any]", before), cast("list[Any]", after), path)
            return
    if isinstance(before, str) and isinstance(after, str) and _is_prose(before, after):
        words = compare_words(before, after)
        yield Edit(
            path=_render(path), kind=EditKind.REWORDED, before=before, after=after, words=words
        )
    elif _json(before) != _json(after):
        yield _edit(path, EditKind.CHANGED, before, after)


def _is_prose(before: str, after: str) -> bool:
    return any(" " in text.strip() or len(text) > _PROSE_CHARS for text in (before, after))


def _list(before: list[Any], after: list[Any], path: Path) -> Iterator[Edit]:
    if all(_is_scalar(item) for item in (*before, *after)):
        yield from _scalars(before, after, path)
        return
    named = _by_name(before), _by_name(after)
    old, new = named[0] or _by_place(before), named[1] or _by_place(after)
    if bool(named[0]) != bool(named[1]) and before and after:
        old, new = _by_place(before), _by_place(after)
    for key in dict.fromkeys((*old, *new)):
        where = (*path, key)
        if key not in old:
            yield _edit(where, EditKind.ADDED, None, new[key])
        elif key not in new:
            yield _edit(where, EditKind.REMOVED, old[key], None)
        else:
            yield from _value(old[key], new[key], where)


def _scalars(before: list[Any], after: list[Any], path: Path) -> Iterator[Edit]:
    old, new = [brief_value(item) for item in before], [brief_value(item) for item in after]
    known_old, known_new = set(old), set(new)
    gained = tuple(dict.fromkeys(item for item in new if item not in known_old))
    lost = tuple(dict.fromkeys(item for item in old if item not in known_new))
    values: dict[str, Any] = {"path": _render(path), "before": before, "after": after}
    if gained or lost:
        yield Edit(kind=EditKind.MEMBERS, gained=gained, lost=lost, **values)
    elif _json(before) != _json(after):
        yield Edit(kind=EditKind.REORDERED, **values)


def _is_scalar(item: object) -> bool:
    return not isinstance(item, list | dict)


def _by_name(items: Sequence[Any]) -> dict[str | int, Any]:
    """Key objects by their names, where each has one of its own; else nothing."""
    named: dict[str | int, Any] = {}
    for item in items:
        name = cast("dict[str, Any]", item).get("name") if isinstance(item, dict) else None
        if not isinstance(name, str) or name in named:
            return {}
        named[name] = item
    return named


def _by_place(items: Sequence[Any]) -> dict[str | int, Any]:
    return dict(enumerate(items))


def _edit(path: Path, kind: EditKind, before: Any, after: Any) -> Edit:
    return Edit(path=_render(path), kind=kind, before=before, after=after)


def _render(path: Path) -> str:
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        elif _PLAIN_KEY.fullmatch(key):
            text += f".{cut(key, _LONGEST_KEY)}" if text else cut(key, _LONGEST_KEY)
        else:
            text += f"[{cut(json.dumps(key, ensure_ascii=False), _LONGEST_KEY)}]"
    return text


def _json(value: Any) -> str:
    return canonical_json(value)
