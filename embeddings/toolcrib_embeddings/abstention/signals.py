"""What a search says of itself: three signals that are comparable from one question to another.

They read the scores of the retrievers and not the ranking, so that no later stage moves them. Knows
arrays alone, neither entries nor indexes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from toolcrib_embeddings.vectors import FloatMatrix, FloatVector

LEXICAL_SHARE: Final = 0.5
"""What a question's words, all of them found, count for next to a cosine of 1."""
_USUAL_AGREEMENT: Final = 0.25
_TELLING_CANDIDATES: Final = 50
"""Fewer agree by chance, and count for less."""
_LEAST_POSSIBLE: Final = 1e-6
_LEAST_SPREAD: Final = 0.01
_DEPTH: Final = 10
_BACKGROUND_ROWS: Final = 256
_USUAL_MEAN: Final = 0.1
_USUAL_SPREAD: Final = 0.08
_USUAL_ROWS: Final = 10
"""How many rows the usual background counts for, so that a registry of one has a background."""


@dataclass(frozen=True, slots=True)
class Background:
    """The cosines that a question has with anything at all, told from a sample of the rows."""

    rows: FloatMatrix

    @classmethod
    def of(cls, vectors: FloatMatrix) -> Background:
        """Take at most 256 rows, evenly spaced."""
        count = min(_BACKGROUND_ROWS, len(vectors))
        chosen = np.linspace(0, max(len(vectors) - 1, 0), count).astype(np.intp)
        return cls(vectors[chosen])

    def describe(self, vector: FloatVector) -> tuple[float, float]:
        """Return mean and spread of the question's cosines, its nearest row left out."""
        cosines = _finite(self.rows @ vector)
        count = max(len(cosines) - 1, 0)
        best = float(cosines.max()) if len(cosines) else 0.0
        total = float(cosines.sum()) - best if count else 0.0
        squares = float(cosines @ cosines) - best * best if count else 0.0
        weight = count + _USUAL_ROWS
        mean = (total + _USUAL_ROWS * _USUAL_MEAN) / weight
        usual = _USUAL_ROWS * (_USUAL_SPREAD**2 + _USUAL_MEAN**2)
        return mean, math.sqrt(max((squares + usual) / weight - mean * mean, _LEAST_SPREAD**2))


class Rarity:
    """What each word of the corpus says: the most that BM25 can give for it."""

    def __init__(self, idf: FloatVector, *, rows: int) -> None:
        """Take what each word says by its code (`Postings.idf`), in a corpus of ``rows``."""
        self._idf = idf
        self._unknown = math.log1p((rows + 0.5) / 0.5)

    def possible(self, codes: Iterable[int | None]) -> float:
        """Return the most that BM25 can give a question; None is a word that stands nowhere."""
        return sum(self._unknown if code is None else float(self._idf[code]) for code in codes)


@dataclass(frozen=True, slots=True)
class SearchSignals:
    """What one search says of itself, on scales that mean the same for every question."""

    evidence: float = 0.0
    """The best sum of cosine and `LEXICAL_SHARE` of the words found."""
    distinction: float = 0.0
    """How many spreads of the background the best cosine stands above its mean."""
    agreement: float = 0.0
    """The share of the best by meaning that are among the best by words."""

    @classmethod
    def measure(
        cls,
        dense: FloatVector,
        lexical: FloatVector,
        *,
        possible: float,
        background: tuple[float, float],
    ) -> SearchSignals:
        """Measure a search by the cosines and the BM25 scores of its candidates, in one order.

        ``possible`` is the most that BM25 can give (`Rarity.possible`), ``background`` the mean
        and spread of `Background.describe`. Without candidates all signals are 0.
        """
        if not len(dense):
            return cls()
        dense, lexical = _finite(dense), _finite(lexical)
        mean, spread = background
        return cls(
            float(_joint(dense, lexical, possible).max()),
            (float(dense.max()) - mean) / spread,
            _agreement(dense, lexical),
        )


def joint_evidence(dense: FloatVector, lexical: FloatVector, *, possible: float) -> FloatVector:
    """Add to each cosine the share of the possible BM25 score: what speaks for each candidate."""
    return _joint(_finite(dense), _finite(lexical), possible)


def _joint(dense: FloatVector, lexical: FloatVector, possible: float) -> FloatVector:
    found = np.minimum(np.maximum(lexical / max(possible, _LEAST_POSSIBLE), 0), 1)
    return (dense + LEXICAL_SHARE * found).astype(np.float32)


def _finite(scores: FloatVector) -> FloatVector:
    sound = np.isfinite(scores)
    return scores if sound.all() else np.where(sound, scores, np.float32(0))


def _agreement(dense: FloatVector, lexical: FloatVector) -> float:
    depth = min(_DEPTH, len(dense))
    by_meaning = np.argpartition(-dense, depth - 1)[:depth]
    by_words = np.argpartition(-lexical, depth - 1)[:depth]
    by_words = by_words[lexical[by_words] > 0]
    shared = len({*by_meaning.tolist()} & {*by_words.tolist()}) / depth
    telling = min(len(dense) / _TELLING_CANDIDATES, 1.0)
    return telling * shared + (1 - telling) * _USUAL_AGREEMENT
