"""Whether anything fits: what one search says of itself, against what the registry is like.

Joins an index's parts with its calibration. Knows no ranking: it is given the candidates' scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .calibration import Calibration
from .corpus import Document
from .encoder import Encoder, FloatVector
from .index import FaissIndex
from .lexical import Bm25Index
from .probes import calibrate, make_probes
from .search_signals import Background, Rarity, SearchSignals

FALSE_ABSTENTIONS: Final = 0.02
"""Of the questions that have an answer, the share that is answered with "nothing fits"."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Calibrated probabilities: that anything fits, and that each candidate does."""

    likelihood: float
    abstained: bool
    candidates: FloatVector


class Judge:
    """Judges the searches of one state of an index."""

    def __init__(self, dense: FaissIndex, lexical: Bm25Index, calibration: Calibration) -> None:
        self.calibration = calibration
        self._lexical = lexical
        self._background = Background.of(dense.vectors)
        self._rarity = Rarity.of(
            lexical.postings.words, rows=len(lexical), vocabulary_size=len(lexical.vocabulary)
        )
        self._threshold = calibration.threshold(FALSE_ABSTENTIONS)

    def judge(
        self, query: str, vector: FloatVector, *, dense: FloatVector, lexical: FloatVector
    ) -> Verdict:
        """Judge a search by the cosines and the BM25 scores of its candidates, in one order."""
        possible = self._possible(query)
        signals = SearchSignals.measure(
            dense, lexical, possible=possible, background=self._background.describe(vector)
        )
        likelihood = self.calibration.likelihood(signals)
        return Verdict(
            likelihood,
            likelihood < self._threshold,
            self.calibration.hit_likelihoods(signals, dense, lexical, possible=possible),
        )

    def calibrated(
        self, samples: Sequence[tuple[int, Document]], dense: FaissIndex, encoder: Encoder
    ) -> Calibration:
        """Calibrate by questions made of the given rows' documents. Takes a second or more."""
        return calibrate(make_probes(samples), dense.vectors, encoder, self._word_scores)

    def _word_scores(self, query: str) -> tuple[FloatVector, float]:
        return self._lexical.all_scores(query), self._possible(query)

    def _possible(self, query: str) -> float:
        return self._rarity.possible(self._lexical.codes(query))
