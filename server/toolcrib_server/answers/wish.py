"""Whether answers are given again: what the operator allows, and what a caller asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from toolcrib_registry.errors import InvalidInput


class CacheMode(StrEnum):
    """How far a question may be from the one whose answer is given."""

    OFF = "off"
    EXACT = "exact"
    """The same request, to the letter."""
    SEMANTIC = "semantic"
    """One that differs in its last message alone, and there in its wording alone."""
    EXAMPLES = "examples"
    """That, and where none is: good answers to similar questions are shown to a smaller model."""


REFRESH: Final = "refresh"
"""What a caller says who wants a new answer, kept in the place of the old."""
_ORDER: Final = tuple(CacheMode)
_WORDS: Final[Mapping[str, CacheMode]] = {
    "on": CacheMode.EXAMPLES,
    "true": CacheMode.EXAMPLES,
    "false": CacheMode.OFF,
    REFRESH: CacheMode.SEMANTIC,
    **{mode.value: mode for mode in CacheMode},
}


@dataclass(frozen=True, slots=True)
class CacheWish:
    """What a caller said; without a word, what the operator allows for cautious requests."""

    most: CacheMode = CacheMode.EXAMPLES
    is_asked: bool = False
    """Whether the caller asked for it: then an answer drawn by chance may be given again too."""
    is_refresh: bool = False

    def within(self, allowed: CacheMode) -> CacheMode:
        """Say how far to go where the operator allows so much."""
        return min(self.most, allowed, key=_ORDER.index)


def read_wish(given: object) -> CacheWish:
    """Read what a caller said: true, false, or a word.

    Raises:
        InvalidInput: It is none of those.
    """
    if given is None:
        return CacheWish()
    word = given.strip().lower() if isinstance(given, str) else str(given).lower()
    mode = _WORDS.get(word) if isinstance(given, str | bool) else None
    if mode is None:
        raise InvalidInput(
            f"cache is {str(given)[:40]!r}; use true, false, {', '.join(CacheMode)} or {REFRESH}."
        )
    return CacheWish(mode, is_asked=mode is not CacheMode.OFF, is_refresh=word == REFRESH)
