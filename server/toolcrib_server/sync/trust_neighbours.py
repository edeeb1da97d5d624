"""Which known tool does a new one resemble, at another server? Names and texts, kept as sketches.

Equal names say nothing, for names are told apart by their servers, and the same software is often
registered twice. What counts is imitation: a name that is made to be misread, or another's words
with something added. Holds a hundred bytes or so a tool; knows no store and no policy.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from itertools import chain, islice
from typing import Final, TypeVar, cast

from toolcrib_registry.types import EntryId, JsonObject, OwnedEntry, ServerName
from toolcrib_server.scan import fold_name

K = TypeVar("K")
V = TypeVar("V")

_WORD: Final = re.compile(r"[^\W_]+")
_SEPARATORS: Final = re.compile(r"[\W_]+")
_SKETCHED_WORDS: Final = 24
_REMEMBERED_WORDS: Final = 16_384
_LEAST_NAME: Final = 6
"""Shorter names are near each other by chance."""
_LEAST_WORDS: Final = 8
"""Shorter descriptions are alike by chance."""
_ALIKE: Final = 0.6
_CONTAINED: Final = 0.95
_EXTENDED: Final = 0.5
_LEAST_SHARED: Final = 2
_SAME_SOFTWARE: Final = 0.5
_MENTION: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,40}(?:[_-][A-Za-z0-9]{1,40}){1,8}")
_SENTENCE: Final = re.compile(r"(?<=[.!?;])\s+|\n+")
_DIRECTS: Final = re.compile(
    r"(?i)\b(?:instead of|before|must|replaced?|do not|don't|never|always|deprecated|prefer|rather"
    r"|whenever|no longer|first)\b"
)
_READ_CHARS: Final = 20_000
_MOST_NEAR: Final = 256
"""Tools looked at for each half that a name shares with others, those known longest first: a server
may list thousands of names that begin alike. Names that look the same are found by that."""


class Likeness(StrEnum):
    """How one tool resembles another."""

    MISREAD = "misread"
    """The names differ by letters that look alike."""
    MISSPELT = "misspelt"
    """The names differ by one letter, and the texts are alike."""
    EXTENDED = "extended"
    """The names are the same words otherwise spelt, and the text is the other's and more."""
    SPOKEN_FOR = "spoken-for"
    """It says how, or that, the other is to be used."""


@dataclass(frozen=True, slots=True)
class Resemblance:
    """A tool of another server that looks like this one."""

    likeness: Likeness
    other: EntryId
    server: ServerName


@dataclass(frozen=True, slots=True)
class _Known:
    id: EntryId
    server: ServerName
    name: str
    plain: str
    """The local name in lower case, without what separates its words."""
    seen: str
    """The name as it looks at a glance."""
    content: str
    sketch: frozenset[int]
    words: int


@dataclass(frozen=True, slots=True)
class Kin:
    """The names of a server's tools, and which others have turned out to be the same software."""

    names: set[str]
    known: dict[ServerName, bool] = field(default_factory=dict["ServerName", bool])


class Neighbours:
    """The tools of all servers, by what they look like."""

    def __init__(self) -> None:
        self._by_id: dict[EntryId, _Known] = {}
        self._by_half: dict[str, dict[EntryId, None]] = {}
        self._by_look: dict[str, dict[EntryId, None]] = {}
        self._names: dict[ServerName, set[str]] = {}
        self._by_name: dict[str, set[EntryId]] = {}
        self._fresh: dict[EntryId, _Known] = {}
        """What was looked at and may be put next; emptied by that."""

    def __len__(self) -> int:
        return len(self._by_id)

    def put(self, entry: OwnedEntry) -> None:
        """Know an entry as it is now."""
        id_ = entry.id
        self.drop(id_)
        known = self._fresh.pop(id_, None)
        if known is None or known.content != entry.content_hash:
            known = _know(entry)
        self._by_id[id_] = known
        for half in _halves(known.seen):
            self._by_half.setdefault(half, {})[id_] = None
        for look in {known.seen, known.plain}:
            self._by_look.setdefault(look, {})[id_] = None
        self._names.setdefault(known.server, set()).add(known.plain)
        self._by_name.setdefault(known.name.lower(), set()).add(id_)

    def drop(self, id_: EntryId) -> None:
        """Forget an entry."""
        known = self._by_id.pop(id_, None)
        if known is None:
            return
        for half in _halves(known.seen):
            _forget(self._by_half, half, id_)
        for look in {known.seen, known.plain}:
            _forget(self._by_look, look, id_)
        _discard(self._by_name, known.name.lower(), id_)
        _discard(self._names, known.server, known.plain)

    def kin_of(self, server: ServerName, beside: Iterable[str] = ()) -> Kin:
        """Gather what a server is recognised by, to judge many of its entries at one time.

        ``beside`` are the local names that it lists besides those that are known.
        """
        return Kin({_plain(name) for name in beside} | self._names.get(server, set()))

    def resemblance(
        self, entry: OwnedEntry, beside: Iterable[str] | Kin = ()
    ) -> Resemblance | None:
        """Find the tool of another server that an entry imitates, if any.

        ``beside`` are the local names that its server lists besides, some of which may not be known
        yet: a server that shares most of them with the other is the same software.
        """
        new = self._look(entry)
        found = sorted(self._candidates(new), key=lambda pair: (pair[0], pair[1].id))
        found += self._spoken_for(entry)
        if not found:
            return None
        kin = beside if isinstance(beside, Kin) else self.kin_of(new.server, beside)
        for likeness, other in found:
            is_own_word = likeness is Likeness.SPOKEN_FOR and other.plain in kin.names
            if not is_own_word and not self._is_same_software(kin, other.server):
                return Resemblance(likeness, other.id, other.server)
        return None

    def twins(self, entry: OwnedEntry) -> tuple[EntryId, ...]:
        """Name the tools of other servers that say exactly the same: honest duplicates."""
        new = self._look(entry)
        same = {
            id_
            for id_ in self._by_look.get(new.seen, ())
            if self._by_id[id_].content == new.content and self._by_id[id_].server != new.server
        }
        return tuple(sorted(same))

    def _candidates(self, new: _Known) -> Iterator[tuple[Likeness, _Known]]:
        if len(new.seen) < _LEAST_NAME:
            return
        ids = [islice(self._by_look.get(look, ()), _MOST_NEAR) for look in (new.seen, new.plain)]
        ids += [islice(self._by_half.get(half, ()), _MOST_NEAR) for half in _halves(new.seen)]
        is_terse = new.words < _LEAST_WORDS
        for id_ in dict.fromkeys(chain.from_iterable(ids)):
            other = self._by_id[id_]
            if other.seen != new.seen and (is_terse or other.words < _LEAST_WORDS):
                continue
            if other.server != new.server and other.content != new.content:
                likeness = _likeness(new, other)
                if likeness is not None:
                    yield likeness, other

    def _look(self, entry: OwnedEntry) -> _Known:
        known = self._by_id.get(entry.id)
        if known is None or known.content != entry.content_hash:
            known = self._fresh[entry.id] = _know(entry)
        return known

    def _spoken_for(self, entry: OwnedEntry) -> Iterator[tuple[Likeness, _Known]]:
        """Find tools of others that a description directs the use of, by name."""
        for sentence in _SENTENCE.split(entry.description[:_READ_CHARS]):
            # A name that can be told from a word has one of these; looking for them is cheap.
            if ("_" not in sentence and "-" not in sentence) or not _DIRECTS.search(sentence):
                continue
            for found in _MENTION.finditer(sentence):
                name = found.group().lower()
                ids = self._by_name.get(name, ())
                if not ids or name in _parameters(entry):
                    continue
                others = (self._by_id[id_] for id_ in sorted(ids))
                yield from ((Likeness.SPOKEN_FOR, o) for o in others if o.server != entry.server)

    def _is_same_software(self, kin: Kin, other: ServerName) -> bool:
        if other not in kin.known:
            theirs = self._names.get(other, set())
            shared, least = len(kin.names & theirs), min(len(kin.names), len(theirs))
            kin.known[other] = shared >= _LEAST_SHARED and shared >= _SAME_SOFTWARE * least
        return kin.known[other]


def _discard(sets: dict[K, set[V]], key: K, value: V) -> None:
    if (values := sets.get(key)) is not None:
        values.discard(value)
        if not values:
            del sets[key]


def _forget(ids_by_key: dict[str, dict[EntryId, None]], key: str, id_: EntryId) -> None:
    if (ids := ids_by_key.get(key)) is not None:
        ids.pop(id_, None)
        if not ids:
            del ids_by_key[key]


def _parameters(entry: OwnedEntry) -> frozenset[str]:
    schema = entry.definition.get("inputSchema")
    properties = cast("JsonObject", schema).get("properties") if isinstance(schema, dict) else None
    names = cast("JsonObject", properties) if isinstance(properties, dict) else ()
    return frozenset(name.lower() for name in names)


def _know(entry: OwnedEntry) -> _Known:
    words = _WORD.findall(entry.description.lower())
    hashes = sorted({_hash(word) for word in set(words)})
    return _Known(
        id=entry.id,
        server=entry.server,
        name=entry.local_name,
        plain=_plain(entry.local_name),
        seen=fold_name(entry.local_name),
        content=entry.content_hash,
        sketch=frozenset(hashes[:_SKETCHED_WORDS]),
        words=len(words),
    )


def _plain(name: str) -> str:
    return _SEPARATORS.sub("", name).lower()


@lru_cache(maxsize=_REMEMBERED_WORDS)
def _hash(word: str) -> int:
    return zlib.crc32(word.encode("utf-8", "replace"))


def _halves(name: str) -> Iterator[str]:
    """Give keys of which two names one letter apart share at least one."""
    half = len(name) // 2
    yield f"<{name[:half]}"
    yield f">{name[-half:]}"
    if len(name) % 2 == 0:
        yield f"<{name[: half - 1]}" if half > 1 else "<"
        yield f">{name[-half + 1 :]}" if half > 1 else ">"


def _likeness(new: _Known, other: _Known) -> Likeness | None:
    if new.seen == other.seen and new.plain != other.plain:
        return Likeness.MISREAD
    if new.name == other.name or min(new.words, other.words) < _LEAST_WORDS:
        return None
    if new.plain == other.plain:
        return Likeness.EXTENDED if _is_extended(new, other) else None
    if _is_misspelt(new.plain, other.plain) and _overlap(new, other)[0] >= _ALIKE:
        return Likeness.MISSPELT
    return None


def _is_extended(new: _Known, other: _Known) -> bool:
    shared, contained = _overlap(new, other)
    return new.words > other.words and shared >= _EXTENDED and contained >= _CONTAINED


def _overlap(new: _Known, other: _Known) -> tuple[float, float]:
    """Estimate what share of the words in either are in both, and of the other's in the new one.

    Both are exact for short texts: a sketch holds the least hashes of all words (bottom-k).
    """
    union = sorted(new.sketch | other.sketch)[:_SKETCHED_WORDS]
    shared = sum(value in new.sketch and value in other.sketch for value in union)
    theirs = sum(value in other.sketch for value in union)
    return shared / max(len(union), 1), shared / max(theirs, 1)


def _is_misspelt(one: str, other: str) -> bool:
    """Whether two names are one letter apart, plurals and numbers aside."""
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1:
        return False
    at = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(short) == len(long):
        changed = {short[at], long[at]}
        return short[at + 1 :] == long[at + 1 :] and not any(char.isdigit() for char in changed)
    if short[at:] != long[at + 1 :] or long[at].isdigit():
        return False
    return not (long[at] == "s" and at >= len(short) - 1)
