"""Which tool of a server gives what another one asks for: facts of many to pairs, with the reason.

Takes time and memory in proportion to the tools, whatever they are named. Knows no index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Final, NamedTuple

from .needs import (
    VERBS,
    Facts,
    NameParts,
    Want,
    entity_of,
    is_code,
    is_session,
    name_parts,
    plain_words,
)

_MOST: Final = 3
"""Needs of one tool."""
_REMEMBERED: Final = 8
"""Tools that give the same, the most suitable ones; more do not make it clearer which is meant."""
_FEW: Final = 3
"""Tools with the same thing in their output, at most, when nothing but that speaks for them."""
_MAKES: Final = 4
_SAYS_NOTHING: Final = 5
_UNSUITABLE: Final = 9
_SUITS_ALL: Final = 2
"""What searches or lists things suits any tool of the server, what gets one its own part of it."""
_LOGIN: Final = frozenset({"login", "signin", "authenticate", "logon"})
_LOGIN_PAIRS: Final = frozenset({("log", "in"), ("sign", "in"), ("log", "on")})
_ANYBODY: Final = frozenset({"user", "account", "to", "client", "my", "the", "with", "session"})
_SESSION_VERBS: Final = frozenset({"create", "start", "open", "begin", "new", "init", "initialize"})


class Need(NamedTuple):
    """What a tool needs, by its place among those given, and why it seems so."""

    place: int
    why: str


@dataclass(frozen=True, slots=True)
class Member:
    """A tool among others of its server."""

    name: str
    facts: Facts
    destructive: bool = False


class _Giver(NamedTuple):
    """A tool that gives something; the least suits best."""

    suits: int
    requires: int
    name: str
    place: int


class Graph:
    """The tools of one server, by what they give."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self._parts = [name_parts(member.name) for member in members]
        self._words = [frozenset(plain_words(member.name)) for member in members]
        self._named: dict[str, list[int]] = {}
        self._of_kind: dict[str, list[_Giver]] = {}
        self._exact: dict[str, list[_Giver]] = {}
        self._making: dict[str, list[_Giver]] = {}
        self._logins: dict[str, list[_Giver]] = {}
        self._asked = [frozenset(member.facts.asks) for member in members]
        for place, member in enumerate(members):
            self._add(place, member)
        for table in (self._of_kind, self._exact, self._making, self._logins):
            for givers in table.values():
                givers.sort()
                del givers[_REMEMBERED:]

    def _add(self, place: int, member: Member) -> None:
        self._named.setdefault(member.name, []).append(place)
        spelled = " ".join(plain_words(member.name))
        if spelled != member.name:
            self._named.setdefault(spelled, []).append(place)
        parts = self._parts[place]
        suits = VERBS.get(parts.verb, _SAYS_NOTHING)
        giver = _Giver(suits, len(member.facts.asks), member.name, place)
        if _is_login(plain_words(member.name)) or _opens_session(parts):
            who = sorted(self._words[place] - _ANYBODY - _LOGIN - _SESSION_VERBS - {"log", "in"})
            self._logins.setdefault(who[0] if who else "", []).append(giver)
        if member.destructive or giver.suits == _UNSUITABLE:
            return
        if parts.noun:
            self._exact.setdefault(" ".join(parts.noun), []).append(giver)
        # ``get_trending_coins`` gives some coins; what lists or searches a part gives that part.
        for start in range(len(parts.noun)) if suits <= _SUITS_ALL else ():
            self._of_kind.setdefault(" ".join(parts.noun[start:]), []).append(giver)
        for made in member.facts.makes:
            self._making.setdefault(made, []).append(giver)

    def needs(self, place: int) -> tuple[Need, ...]:
        """Tell what a tool needs, at most three, the surest first; never itself."""
        found: dict[int, str] = {}
        for giver, why in self._all(place):
            if giver != place and not self._members[giver].destructive:
                found.setdefault(giver, why)
        return tuple(Need(giver, why) for giver, why in islice(found.items(), _MOST))

    def _all(self, place: int) -> Iterator[tuple[int, str]]:
        facts = self._members[place].facts
        for name in facts.after:
            if (found := self.find(name)) is not None:
                yield found, f"its description says that {name} comes first"
        for want in facts.wants:
            for name in want.spoken:
                if (found := self.find(name)) is not None:
                    yield found, f"{want.name} comes from {name}"
        for want in facts.wants:
            giver = self._giver(place, want)
            if giver is not None:
                yield giver, f"{want.name} is what {self._members[giver].name} gives"

    def find(self, name: str) -> int | None:
        """Find the one tool of a name, as it is or as plain words."""
        places = self._named.get(name) or self._named.get(" ".join(plain_words(name)), ())
        return places[0] if len(places) == 1 else None

    def _giver(self, place: int, want: Want) -> int | None:
        words = tuple(want.words.split())
        if is_session(want.words):
            return self._login(place)
        if entity := entity_of(words):
            if self._makes_new(place, entity):
                return None
            return self._giver_of(place, want.words, entity)
        if is_code(words):
            return self._first(self._exact.get(want.words), place, want.words)
        return None

    def _makes_new(self, place: int, entity: tuple[str, ...]) -> bool:
        """Whether the tool makes such a thing: what the new one is called is for the caller."""
        parts = self._parts[place]
        return parts.noun == entity and (VERBS[parts.verb] == _MAKES or parts.verb == "add")

    def _giver_of(self, place: int, key: str, entity: tuple[str, ...]) -> int | None:
        plain = " ".join((*entity, key.rsplit(maxsplit=1)[-1]))
        kinds = (self._exact.get(plain), self._exact.get(" ".join(entity)))
        for givers in (*kinds, self._of_kind.get(" ".join(entity))):
            if (found := self._first(givers, place, plain, key)) is not None:
                return found
        makers = self._making.get(plain, ())
        return self._first(makers, place, plain, key) if len(makers) <= _FEW else None

    def _first(self, givers: Sequence[_Giver] | None, place: int, *keys: str) -> int | None:
        """Choose the most suitable one that does not ask for the same itself."""
        fitting = (
            giver.place
            for giver in givers or ()
            if giver.place != place
            and self._asked[giver.place].isdisjoint(keys)
            and (giver.suits <= _SUITS_ALL or self._is_of_one_part(giver.place, place))
        )
        return next(fitting, None)

    def _is_of_one_part(self, giver: int, place: int) -> bool:
        """Whether the words before the verb differ: ``yelp_get_user``, ``github_close_issue``."""
        first, second = self._parts[giver].before, self._parts[place].before
        return not first or not second or first[0] == second[0]

    def _login(self, place: int) -> int | None:
        """Choose the login that names whom the tool names; any, where there is one alone."""
        logins = [giver for word in self._words[place] for giver in self._logins.get(word, ())]
        logins = logins or self._logins.get("", [])
        if not logins and len(self._logins) == 1:
            (logins,) = self._logins.values()
        near = [giver for giver in logins if giver.place != place]
        return near[0].place if len(near) == 1 or (near and _is_first(near)) else None


def _is_first(givers: Sequence[_Giver]) -> bool:
    return givers[0].suits < givers[1].suits


def _is_login(words: Sequence[str]) -> bool:
    return not _LOGIN.isdisjoint(words) or not _LOGIN_PAIRS.isdisjoint(pairwise(words))


def _opens_session(parts: NameParts) -> bool:
    return parts.verb in _SESSION_VERBS and parts.noun[-1:] == ("session",)
