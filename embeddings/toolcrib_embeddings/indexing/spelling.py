"""Words that stand nowhere, to the word that was probably meant: one edit away (Norvig, 2007).

Knows spellings alone. Short words and names stay as they are: almost any short word is an edit away
from another.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Final

MIN_CHARS: Final = 5
MAX_CHARS: Final = 20


def near_spellings(word: str) -> Iterator[str]:
    """Yield the words one edit away: two letters swapped, one too few, too many, or another.

    None for a word that is too short, too long, or not in lower-case letters of English.
    """
    fits = MIN_CHARS <= len(word) <= MAX_CHARS and word.isascii()
    if not (fits and word.isalpha() and word.islower()):
        return
    splits = [(word[:n], word[n:]) for n in range(len(word) + 1)]
    for left, right in splits:
        if len(right) > 1:
            yield left + right[1] + right[0] + right[2:]
    for left, right in splits:
        if right:
            yield left + right[1:]
        for letter in string.ascii_lowercase:
            yield left + letter + right
            if right:
                yield left + letter + right[1:]
