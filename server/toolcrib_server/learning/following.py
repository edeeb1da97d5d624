"""Which tool is called before which: needs learned from the order of calls that worked.

Calls in, pairs of tools out. Knows no store and no tenant: it is handed the calls of one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias

from toolcrib_registry.types import CallStep, EntryId, ServerName

HALF_LIFE_DAYS: Final = 90
_APART_MIN: Final = 10
"""Without a call for so long, the next one begins something else."""
_LONGEST_RUN: Final = 50
_NEAR: Final = 8
"""Tools called before it, at most, that a tool may have needed."""
_SURE: Final = 0.8
"""Of the runs with a tool, in how many the other one came before."""
_HEARD: Final = 0.7
"""The same of all principals together, each by its worth: a fifth of them may say otherwise."""
_NEWCOMER: Final = 3
"""After so many rows of calls one counts half."""
_LIFT: Final = 1.5
"""How much more often than in runs without it."""
_FEWEST_RUNS: Final = 5
_AGREEING: Final = 3
"""Principals, where so many called anything at all; and always for tools of two servers."""
_MOST: Final = 3
_Pair: TypeAlias = tuple[EntryId, EntryId]


@dataclass(frozen=True, slots=True)
class Followed:
    """A tool that is called before another one."""

    entry: EntryId
    share: float
    """Of the runs with the other tool, all principals heard."""
    runs: int
    principals: int

    @property
    def why(self) -> str:
        """The same in words."""
        who = "1 principal" if self.principals == 1 else f"{self.principals} principals"
        return f"called before it in {self.share:.0%} of the rows of calls with it, by {who}"


@dataclass(slots=True)
class _Tally:
    """What one principal did, by weight of age."""

    total: float = 0.0
    has: dict[EntryId, float] = field(default_factory=dict[EntryId, float])
    before: dict[_Pair, float] = field(default_factory=dict[_Pair, float])
    runs: Counter[_Pair] = field(default_factory=Counter[_Pair])

    def add(self, run: Sequence[EntryId], weight: float) -> None:
        self.total += weight
        tools = list(dict.fromkeys(run))
        for place, tool in enumerate(tools):
            self.has[tool] = self.has.get(tool, 0.0) + weight
            for other in tools[max(0, place - _NEAR) : place]:
                pair = other, tool
                self.before[pair] = self.before.get(pair, 0.0) + weight
                self.runs[pair] += 1

    def share(self, pair: _Pair) -> float:
        return self.before.get(pair, 0.0) / self.has[pair[1]]

    def agrees(self, pair: _Pair) -> bool:
        """Whether the first is called before the second, and less often where that is not."""
        first, second = pair
        together = self.before.get(pair, 0.0) + self.before.get((second, first), 0.0)
        alone = max(self.has.get(first, 0.0) - together, 0.0)
        otherwise = (alone + 1) / (self.total - self.has[second] + 2)
        share = self.share(pair)
        return share >= _SURE and share >= _LIFT * otherwise


class _Voices(NamedTuple):
    share: float
    runs: int
    agreeing: int


def follow(steps: Sequence[CallStep], *, now: datetime) -> dict[EntryId, tuple[Followed, ...]]:
    """Learn from calls, the oldest first, which tools others need: at most three, surest first.

    Each principal has one voice, by the square root of its rows of calls. Where three ever called
    anything, three must agree; for tools of two servers always, so that nobody alone ties the tool
    of one server to that of another.
    """
    servers: dict[EntryId, ServerName | None] = {step.entry: step.server for step in steps}
    tallies = _tallies(steps, now)
    pairs = {pair for tally in tallies.values() for pair in tally.before}
    callers: dict[EntryId, list[_Tally]] = defaultdict(list)
    for tally in tallies.values():
        for tool in tally.has:
            callers[tool].append(tally)
    found: dict[EntryId, list[Followed]] = defaultdict(list)
    for first, second in sorted(pairs):
        voices = _hear((first, second), callers[second])
        is_own = servers[first] is not None and servers[first] == servers[second]
        enough = min(_AGREEING, len(tallies)) if is_own else _AGREEING
        if voices.share >= _HEARD and voices.runs >= _FEWEST_RUNS and voices.agreeing >= enough:
            found[second].append(Followed(first, voices.share, voices.runs, voices.agreeing))
    return {tool: _surest(followed) for tool, followed in found.items()}


def _surest(followed: Sequence[Followed]) -> tuple[Followed, ...]:
    return tuple(sorted(followed, key=lambda one: (-one.principals, -one.share, one.entry))[:_MOST])


def _hear(pair: _Pair, callers: Sequence[_Tally]) -> _Voices:
    worth = _worth([tally.has[pair[1]] for tally in callers])
    said = sum(w * tally.share(pair) for w, tally in zip(worth, callers, strict=True))
    agreeing = [tally for tally in callers if tally.agrees(pair)]
    return _Voices(said / sum(worth), sum(tally.runs[pair] for tally in agreeing), len(agreeing))


def _worth(rows: Sequence[float]) -> list[float]:
    """Weigh principals: who did little counts little, who did much by the square root.

    Where three and more are heard, none is worth more than a third of all the others.
    """
    worth = [count**0.5 * count / (count + _NEWCOMER) for count in rows]
    if len(worth) < _AGREEING:
        return worth
    total = sum(worth)
    return [min(one, (total - one) / _AGREEING) for one in worth]


def _tallies(steps: Sequence[CallStep], now: datetime) -> Mapping[str, _Tally]:
    by_principal: dict[str, list[CallStep]] = defaultdict(list)
    for step in steps:
        by_principal[step.principal].append(step)
    tallies: dict[str, _Tally] = {}
    for principal, its in by_principal.items():
        tally = tallies[principal] = _Tally()
        for run in _runs(its):
            age = max(now - run[-1].at, timedelta(0))
            tally.add([step.entry for step in run], 0.5 ** (age / timedelta(days=HALF_LIFE_DAYS)))
    return tallies


def _runs(steps: Sequence[CallStep]) -> Iterator[Sequence[CallStep]]:
    """Cut calls where nothing was called for a while, and very long rows of them."""
    apart, start = timedelta(minutes=_APART_MIN), 0
    for place, (one, after) in enumerate(pairwise(steps), start=1):
        if after.at - one.at > apart or place - start >= _LONGEST_RUN:
            yield steps[start:place]
            start = place
    if steps:
        yield steps[start:]
