"""Text to stemmed words, by Snowball's English. Knows no vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from toolcrib_embeddings.documents.words import split_words

_MAX_WORD_CHARS: Final = 40
"""A longer word is a key or a blob; its beginning is enough to tell it."""
_REMEMBERED_STEMS: Final = 10_000


class Stemmer:
    """Text to stemmed, lower-cased words. Not shared between threads: make one where needed."""

    def __init__(self, *, remember: bool = True) -> None:
        """Remember the stems of many texts; of one, in which words seldom recur, it costs more."""
        import Stemmer as library  # noqa: N813, PLC0415  # the library's name; needed here only

        snowball: Any = library
        stemmer = snowball.Stemmer("english", _REMEMBERED_STEMS if remember else 0)
        self._stem: Callable[[list[str]], list[str]] = stemmer.stemWords

    def words(self, text: str) -> list[str]:
        """Split, lower-case and stem."""
        return self.stems(word[:_MAX_WORD_CHARS].lower() for word in split_words(text))

    def stems(self, words: Iterable[str]) -> list[str]:
        """Stem words that are split and lower-case already."""
        return self._stem(list(words))
