"""Whether a URI could have been made from a URI template (RFC 6570), in linear time.

Templates and URIs both come from strangers: nothing here backtracks. All places in the template
that a URI may have come to are kept at once, as the bits of a number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

_EXPRESSION: Final = re.compile(r"\{([+#./;?&]?)([^{}]*)\}")
_MOST_CHARS: Final = 2048
_MOST_EXPRESSIONS: Final = 32
"""Of more, the rest is taken for anything."""
_STOPS: Final = {
    "": "/?#&",
    "+": "?#",
    "#": "",
    ".": "/?#",
    "/": "?#",
    ";": "/?#",
    "?": "#",
    "&": "#",
}
"""At which characters a value ends, by the operator of its expression."""
_SKIPPED: Final = 3
_MOST_KEPT: Final = 512


@dataclass(slots=True)
class _Pieces:
    """A template as places, each a bit: what leads from one to the next."""

    count: int = 0
    literals: dict[str, int] = field(default_factory=dict[str, int])
    """Where this character, and no other, leads on."""
    values: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    """Where any characters but these may stand, any number of times."""
    optional: int = 0
    """Where what comes next may be left out."""

    def add_literal(self, text: str) -> None:
        for character in text:
            self.literals[character] = self.literals.get(character, 0) | 1 << self.count
            self.count += 1

    def add_value(self, stops: str) -> None:
        self.values.append((1 << self.count, stops))
        self.count += 1

    def add_optional(self, begins_with: str, stops: str) -> None:
        self.optional |= 1 << self.count
        self.count += 1
        self.add_literal(begins_with)
        self.add_value(stops)


class UriTemplate:
    """A template, ready to be held against URIs."""

    def __init__(self, template: str) -> None:
        self.prefix = template.partition("{")[0]
        """How every URI of it begins."""
        self._pieces = _parse(template[:_MOST_CHARS])
        self._passable = sum(place for place, _ in self._pieces.values) | self._pieces.optional
        self._stays: dict[str, int] = {}

    def matches(self, uri: str) -> bool:
        """Whether the URI is one of this template's."""
        if not uri.startswith(self.prefix) or len(uri) > _MOST_CHARS:
            return False
        places, literals = self._reach(1), self._pieces.literals
        for character in uri:
            stay = places & self._staying(character)
            places = self._reach(stay | (places & literals.get(character, 0)) << 1)
            if not places:
                return False
        return bool(places >> self._pieces.count & 1)

    def _staying(self, character: str) -> int:
        known = self._stays.get(character)
        if known is None:
            if len(self._stays) >= _MOST_KEPT:
                self._stays.clear()
            fitting = (place for place, stops in self._pieces.values if character not in stops)
            known = self._stays[character] = sum(fitting)
        return known

    def _reach(self, places: int) -> int:
        """Add the places that can be reached without a character."""
        while True:
            onward = (places & self._passable) << 1
            onward |= (places & self._pieces.optional) << _SKIPPED
            if not onward & ~places:
                return places
            places |= onward


def _parse(template: str) -> _Pieces:
    pieces, end = _Pieces(), 0
    for number, found in enumerate(_EXPRESSION.finditer(template)):
        pieces.add_literal(template[end : found.start()])
        end = found.end()
        operator = found[1]
        if number >= _MOST_EXPRESSIONS:
            pieces.add_value("")
            return pieces
        # An operator writes itself in front, unless there is no value.
        if operator in {"", "+"}:
            pieces.add_value(_STOPS[operator])
        else:
            pieces.add_optional(operator, _STOPS[operator])
    pieces.add_literal(template[end:])
    return pieces
