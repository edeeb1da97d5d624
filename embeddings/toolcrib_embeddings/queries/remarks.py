"""Steps that ask for nothing: "then", "thanks in advance", "can you help me with that?".

A tool that says just that fits them word by word, and does nothing of what is asked. Reads English;
in other languages each word counts.
"""

from __future__ import annotations

import re
from typing import Final

_WORD: Final = re.compile(r"\w+")
_SAY_NOTHING: Final = (
    # articles, pronouns, and what is left of "don't", "I'd", "we'll"
    " a an the this that these those it its i me my mine you your yours he him his she her hers we"
    " us our ours they them their theirs who what which when why how some any all each both more"
    " most other such t s d m ll re ve don"
    # prepositions, conjunctions and adverbs of order
    " about after again also additionally and as at before but by down else finally first for from"
    " here if in into just lastly later meanwhile moreover next not no now of on once only or out"
    " over plus second so soon than then there third to too up very well while with"
    # auxiliaries
    " am is are was were be been being do does did done have has had having will would shall should"
    " can could may might must able"
    # courtesy
    " advance appreciate appreciated dear great greatly hello help hey hi kindly know let like"
    " madam need ok okay please possible regards sir sorry sure thank thanks want yes "
)


def asks_for_something(step: str) -> bool:
    """Tell whether any word of a step says what it is about."""
    return any(f" {word} " not in _SAY_NOTHING for word in _WORD.findall(step.lower()))
