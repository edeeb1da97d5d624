"""Who is heard, and how far: a stream of feedback that lies must not decide for others.

What an administrator imported or a check of the answer found is heard as it is. Of feedback, each
principal is heard so far that it makes at most a quarter of what is known of a model, never against
a check of the same answer, and not at all where it contradicts all others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final, TypeAlias

from toolcrib_registry.types import ModelOutcome, RatingSource

MOST_SHARE: Final = 0.25
"""Of the outcomes of a model, one principal's, where others spoke of it too."""
FEWEST_TO_JUDGE: Final = 20
"""Scores of a principal before it can be found to contradict the others."""
_FEWEST_OF_MODEL: Final = 5
CONTRADICTION: Final = 0.35
"""How far, on average, a principal's ranking of models may lie from all others' (0 to 1)."""

_Means: TypeAlias = dict[str, float]


@dataclass(frozen=True, slots=True)
class Heard:
    """What is learned from."""

    outcomes: tuple[ModelOutcome, ...]
    set_aside: Mapping[str, str]
    """Principals that are not heard at all, each with the reason."""
    bounded: Mapping[str, int]
    """How many outcomes of a principal are over its share."""


def hear(outcomes: Sequence[ModelOutcome], *, own: str | None = None) -> Heard:
    """Choose what is learned from, in the order given (the oldest first).

    ``own`` is the principal whose selections it is for: what it says itself is heard as it is.
    """
    checked = [one for one in outcomes if _is_trusted(one, own)]
    said: dict[str, list[ModelOutcome]] = defaultdict(list)
    settled = {(one.query, one.model) for one in checked if one.score is not None}
    for one in outcomes:
        if not _is_trusted(one, own) and (one.query, one.model) not in settled:
            said[one.principal].append(one)
    set_aside = dict(_contradicting(checked, said))
    heard = {who: its for who, its in said.items() if who not in set_aside}
    kept = {who: _within_share(who, heard, checked) for who in heard}
    bounded = {who: over for who in kept if (over := len(heard[who]) - len(kept[who]))}
    ids = {one.id for its in kept.values() for one in its} | {one.id for one in checked}
    return Heard(tuple(one for one in outcomes if one.id in ids), set_aside, bounded)


def _is_trusted(one: ModelOutcome, own: str | None) -> bool:
    return one.source is not RatingSource.FEEDBACK or one.principal == own


def _contradicting(
    checked: Sequence[ModelOutcome], said: Mapping[str, Sequence[ModelOutcome]]
) -> Iterable[tuple[str, str]]:
    means = {who: _means(its) for who, its in said.items()}
    known = _means(checked)
    for who, its in said.items():
        if sum(one.score is not None for one in its) < FEWEST_TO_JUDGE:
            continue
        voices = [other for name, other in means.items() if name != who]
        distance = _distance(means[who], [known, *voices] if known else voices, trusted=bool(known))
        if distance is not None and distance > CONTRADICTION:
            said_so = f"what it says of models lies {distance:.2f} from what all others say"
            yield who, f"{said_so} (at most {CONTRADICTION:g} is believed)"


def _distance(own: _Means, voices: Sequence[_Means], *, trusted: bool) -> float | None:
    """Tell how far a voice's ranking lies from the others', whatever the ease of its queries.

    None where they say nothing to compare with: two others, or checks, of two models.
    """
    others: _Means = {}
    for model in own:
        heard = [voice[model] for voice in voices if model in voice]
        is_checked = trusted and model in voices[0]
        if is_checked or len(heard) > 1:
            others[model] = voices[0][model] if is_checked else fmean(heard)
    if len(others) < 2:  # noqa: PLR2004  # one model has no rank
        return None
    gaps = [own[model] - mean for model, mean in others.items()]
    middle = fmean(gaps)
    return fmean(abs(gap - middle) for gap in gaps)


def _means(outcomes: Iterable[ModelOutcome]) -> _Means:
    scores: dict[str, list[float]] = defaultdict(list)
    for one in outcomes:
        if one.score is not None:
            scores[one.model].append(one.score)
    return {m: fmean(its) for m, its in scores.items() if len(its) >= _FEWEST_OF_MODEL}


def _within_share(
    who: str, said: Mapping[str, Sequence[ModelOutcome]], checked: Sequence[ModelOutcome]
) -> list[ModelOutcome]:
    """Keep a principal's latest outcomes of each model, as many as its share allows."""
    others: dict[str, int] = defaultdict(int)
    for one in checked:
        others[one.model] += 1
    for name, its in said.items():
        if name != who:
            for one in its:
                others[one.model] += 1
    kept: list[ModelOutcome] = []
    taken: dict[str, int] = defaultdict(int)
    for one in reversed(said[who]):
        most = int(others[one.model] * MOST_SHARE / (1 - MOST_SHARE))
        if not others[one.model] or taken[one.model] < max(most, 1):
            taken[one.model] += 1
            kept.append(one)
    return kept
