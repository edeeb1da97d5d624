"""Letters of other scripts that look like Latin ones, and what a text says once they are folded.

The table holds the letters of Cyrillic, Greek, Armenian and a few more that Unicode TR 39 calls
confusable with a Latin letter and that fonts draw alike. Words of one script are left alone: what
is suspicious is a word that mixes scripts, or a name made of look-alikes only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from toolcrib_registry.types import MarkReason

from .finding import Finding, Severity, excerpt_of
from .hidden import reveal
from .texts import Part, Text

_LATIN: Final = str.maketrans(
    "аɑЬсϲⅽԁⅾеҽғɡցһհіιⅰјϳкκӏⅼмⅿոռоοօσрρԛզгꭇѕꜱтτսυʋѵνⅴԝѡաωхχⅹуүγᴢʐАΑВΒСϹЕΕНΗІΙӀЈКΚМΜΝОΟРΡЅТΤХΧУΥΖ",
    "aabcccddeefgghhiiijjkkllmmnnooooppqqrrssttuuuvvvwwwwxxxyyyzzAABBCCEEHHIIIJKKMMNOOPPSTTXXYYZ",
)
# Physics and statistics write these next to Latin letters.
_OF_FORMULAS: Final = frozenset("κνρσχωγτιυ")
_WORD: Final = re.compile(r"[^\W\d_]{2,64}")
_LEAST_LATIN: Final = 2
RULES: Final = {
    "mixed-scripts": "A word that mixes look-alike letters of several scripts",
    "look-alike-name": "A name in letters that only look like Latin ones",
}


def fold(text: str) -> str:
    """Write text as it looks: compatibility forms, look-alikes and case folded, nothing hidden.

    Words that are wholly of another script are that script's, and stay as they are.
    """
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKC", reveal(text))
    return _WORD.sub(_latinised, plain).lower()


def _latinised(found: re.Match[str]) -> str:
    word = found.group()
    return word if word.isascii() or not _is_mixed(word) else word.translate(_LATIN)


def _fold_wholly(text: str) -> str:
    return unicodedata.normalize("NFKC", reveal(text)).translate(_LATIN).lower()


_LEET: Final = str.maketrans("0135$@|", "oiessal")
_SEPARATORS: Final = re.compile(r"[\W_]+")


def fold_name(name: str) -> str:
    """Fold a name to what it looks like at a glance: ``send_emai1`` and ``Send-Email`` meet."""
    return _SEPARATORS.sub("", _fold_wholly(name)).translate(_LEET).replace("l", "i")


def find_lookalikes(text: Text) -> Iterator[Finding]:
    """Find words that mix scripts, and names that only look Latin."""
    if text.value.isascii():
        return
    if text.part in {Part.NAME, Part.PARAMETER} and _poses_as_ascii(text.value):
        rule, severity, span = "look-alike-name", Severity.HIGH, (0, len(text.value))
    else:
        rule, severity, span = "mixed-scripts", Severity.HIGH, _mixed_word(text.value)
    if span:
        yield Finding(
            rule=rule,
            title=RULES[rule],
            severity=severity,
            reason=MarkReason.LOOKALIKE,
            where=text.where,
            excerpt=_spelt(text.value[span[0] : span[1]], excerpt_of(text.value, *span)),
        )


def _poses_as_ascii(name: str) -> bool:
    """Whether a name that is not ASCII folds to one that is: no language needs that."""
    folded = _fold_wholly(name)
    return folded.isascii() and any(char.isalpha() for char in folded) and folded != name.lower()


def _mixed_word(text: str) -> tuple[int, int] | None:
    for found in _WORD.finditer(text):
        word = found.group()
        if not word.isascii() and _is_mixed(word):
            return found.span()
    return None


def _is_mixed(word: str) -> bool:
    latin = sum(char.isascii() for char in word)
    posing = [char for char in word if ord(char) in _LATIN]
    if latin < _LEAST_LATIN or not posing or not word.translate(_LATIN).isascii():
        return False
    return not all(char in _OF_FORMULAS for char in posing)


def _spelt(word: str, excerpt: str) -> str:
    odd = sorted({char for char in word if not char.isascii()})
    named = ", ".join(f"U+{ord(c):04X} {unicodedata.name(c, 'unnamed').lower()}" for c in odd[:4])
    return f"{excerpt} [{named}]"
