"""A rule about wording: cues that must meet in one sentence, in any order.

Each cue is an expression whose repetitions are all bounded, tried on a sentence of bounded length,
so that the time is bounded whatever the text. A rule is tried only where one of its words occurs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from toolcrib_registry.types import MarkReason

from .finding import Severity


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule, as data. Cues are matched against folded lower-case text."""

    id: str
    title: str
    """What such a text does, in a few words."""
    severity: Severity
    cues: tuple[str, ...]
    """Each must be found in the same sentence."""
    words: str = ""
    """Of a rule about wording: it is tried where one of these occurs. Of one about form: none."""
    unless: str = ""
    """And this must not."""
    sources: tuple[str, ...]
    """Where such attacks were described."""
    example: str
    """A text in our words that it must find."""
    reason: MarkReason = MarkReason.INJECTION

    def find(self, sentence: str) -> tuple[int, int] | None:
        """Find where in a sentence it is broken: the span of its first cue, or None."""
        first: re.Match[str] | None = None
        for cue in self._cues:
            found = cue.search(sentence)
            if found is None:
                return None
            first = first or found
        if first is None or (self._unless is not None and self._unless.search(sentence)):
            return None
        return first.span()

    @cached_property
    def _cues(self) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(cue) for cue in self.cues)

    @cached_property
    def _unless(self) -> re.Pattern[str] | None:
        return re.compile(self.unless) if self.unless else None
