"""The signals of each candidate to one score. Knows no entries: arrays in, arrays out.

The weights were chosen once, on the average over eight sets; see docs/adr/0014-ranking.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.hits import DENSE, LEARNED, LEXICAL, NAME, SERVER, STEP
from toolcrib_embeddings.options import Fusion
from toolcrib_embeddings.vectors import FloatMatrix, FloatVector, standardise

WEIGHTS: Final[Mapping[str, float]] = {DENSE: 0.6, LEXICAL: 0.3, NAME: 0.1}
"""Of the standardised signals, in the score of a query and in that of each of its steps."""
STEP_WEIGHT: Final = 0.5
"""Of the best step, where there are steps; the rest is the whole query's."""
SERVER_WEIGHT: Final = 0.5
SERVER_TEMPERATURE: Final = 0.3
_MOST_OF_ONE_SERVER: Final = 0.5
"""Of the candidates; a server that owns more says nothing by being there."""
RRF_K: Final = 60
"""Below it all candidates are alike, and what differs is rounding."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for the candidates.

    ``signals`` are matrices by name: the first line is for the whole query, one more for each of
    its steps, a column for each candidate. ``servers`` numbers the candidates' servers. ``learned``
    is what past outcomes say of each candidate, about 0, when anything is known. ``recalled`` says
    which candidates retrieval found; the others are there for what was learned alone, and None is
    all.
    """

    signals: Mapping[str, FloatMatrix]
    servers: NDArray[np.int32]
    learned: FloatVector | None = None
    recalled: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Fused:
    """Scores of the candidates, the summands by name, and the score of each step alone."""

    scores: FloatVector
    summands: Mapping[str, FloatVector]
    steps: FloatMatrix
    """A line for each step; none when the query is one step."""


def combine(fusion: Fusion, evidence: Evidence) -> Fused:
    """Score the candidates the way that ``fusion`` names."""
    if fusion is Fusion.WEIGHTED:
        return fuse(evidence)
    dense, lexical = (evidence.signals[name][0] for name in (DENSE, LEXICAL))
    plain = {Fusion.DENSE: dense, Fusion.LEXICAL: lexical}
    scores = plain[fusion] if fusion in plain else reciprocal_ranks([dense, lexical])
    return Fused(scores, {}, np.empty((0, len(scores)), dtype=np.float32))


def fuse(evidence: Evidence) -> Fused:
    """Weigh the standardised signals of the candidates: larger is better, 0 is their average.

    Scores count in standard deviations. Keeps order: a candidate that is at least as good in every
    signal, of the same server, is at least as good in the sum.
    """
    weighed = {
        name: weight * standardise(evidence.signals[name], evidence.recalled)
        for name, weight in WEIGHTS.items()
    }
    steps = _sum_up([lines[1:] for lines in weighed.values()])
    whole = 1.0 if not len(steps) else 1 - STEP_WEIGHT
    summands = {name: whole * lines[0] for name, lines in weighed.items()}
    if len(steps):
        summands[STEP] = STEP_WEIGHT * steps.max(axis=0)
    scores = _sum_up(summands.values())
    summands[SERVER] = SERVER_WEIGHT * server_shares(scores, evidence.servers)
    if evidence.learned is not None:
        summands[LEARNED] = evidence.learned
    return Fused(_sum_up(summands.values()), summands, steps)


def _sum_up(arrays: Iterable[FloatMatrix]) -> FloatMatrix:
    """Add arrays of one shape, in their order; there is at least one."""
    return reduce(np.add, arrays)


def add_signal(fused: Fused, name: str, given: FloatVector, chosen: NDArray[np.intp]) -> Fused:
    """Add what a further signal gives to some candidates, ``chosen`` by their places.

    ``given`` is in their order, in the standard deviations that scores count in. No other
    candidate passes them: those that were chosen stay ahead of the rest together.
    """
    added = np.zeros_like(fused.scores)
    added[chosen] = given - given.min(initial=0)
    scores = fused.scores + added
    return Fused(scores, {**fused.summands, name: added}, fused.steps)


def server_shares(scores: FloatVector, servers: NDArray[np.int32]) -> FloatVector:
    """Return how much of the good candidates each candidate's server owns, from 0 to 1.

    The softmax of the scores, summed by server: tools that work together come from one server.
    """
    if not len(scores):
        return scores
    odds = np.exp((scores - scores.max()) / SERVER_TEMPERATURE)
    codes = servers - servers.min()  # some have no server, whose number is below 0
    shares = np.bincount(codes, weights=odds) / odds.sum()
    says_something = np.bincount(codes) < _MOST_OF_ONE_SERVER * len(scores)
    return np.where(says_something, shares, 0)[codes].astype(np.float32)


def reciprocal_ranks(lists: Sequence[FloatVector]) -> FloatVector:
    """Reciprocal-rank fusion (Cormack et al., SIGIR 2009) of scores by retriever.

    A score of 0 or less says that the retriever did not find the candidate.
    """
    total = np.zeros(len(lists[0]), dtype=np.float32)
    for scores in lists:
        ranks = np.empty(len(scores), dtype=np.float32)
        ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
        total += np.where(scores > 0, 1 / (RRF_K + ranks), 0).astype(np.float32)
    return total
