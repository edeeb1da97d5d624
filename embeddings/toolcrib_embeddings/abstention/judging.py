"""Whether anything fits: what one search says of itself, against what the registry is like.

Joins an index's parts with its calibration. Knows no ranking: it is given the candidates' scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from toolcrib_embeddings.documents.corpus import Document
from toolcrib_embeddings.encoding.encoder import Encoder
from toolcrib_embeddings.indexing.index import FaissIndex
from toolcrib_embeddings.indexing.lexical import Bm25Index
from toolcrib_embeddings.vectors import FloatVector

from .calibration import Calibration, Grounds, strength
from .confirmation import Confirmation
from .probes import calibrate, make_probes
from .signals import Background, Rarity, SearchSignals

FALSE_ABSTENTIONS: Final = 0.02
"""Of the questions that have an answer, the share that is answered with "nothing fits"."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a search says of itself, and what its candidates score, in one order."""

    signals: SearchSignals
    dense: FloatVector
    lexical: FloatVector
    possible: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Calibrated: the probability that anything fits, and whether it is too small to say so."""

    likelihood: float
    abstained: bool


class Judge:
    """Judges the searches of one state of an index."""

    def __init__(self, dense: FaissIndex, lexical: Bm25Index, calibration: Calibration) -> None:
        self.calibration = calibration
        self._threshold = calibration.threshold(FALSE_ABSTENTIONS)
        self._lexical = lexical
        self._background = Background.of(dense.vectors)
        self._rarity = Rarity(lexical.postings.idf(len(lexical.vocabulary)), rows=len(lexical))

    def measure(
        self, query: str, vector: FloatVector, *, dense: FloatVector, lexical: FloatVector
    ) -> Measured:
        """Measure a search by the cosines and the BM25 scores of its candidates, in one order."""
        possible = self._possible(query)
        signals = SearchSignals.measure(
            dense, lexical, possible=possible, background=self._background.describe(vector)
        )
        return Measured(signals, dense, lexical, possible)

    def judge(self, measured: Measured, confirmed: Confirmation | None = None) -> Verdict:
        """Judge a search; ``confirmed`` questions of its tenant move the threshold."""
        likelihood = self.calibration.likelihood(measured.signals)
        threshold = self._threshold
        if confirmed is not None:
            threshold = self.calibration.threshold(FALSE_ABSTENTIONS, confirmed)
        return Verdict(likelihood, likelihood < threshold)

    def hit_likelihoods(self, measured: Measured) -> FloatVector:
        """Return the probability that each candidate fits."""
        return self.calibration.hit_likelihoods(
            measured.signals, measured.dense, measured.lexical, possible=measured.possible
        )

    def grounds(self, confirmed: Confirmation | None = None) -> Grounds:
        """Tell what the error rate of its verdicts rests on."""
        return self.calibration.grounds(FALSE_ABSTENTIONS, confirmed)

    def strength(self, measured: Measured) -> float:
        """Weigh a search's signals, on the scale that a `Confirmation` is told on."""
        return strength(measured.signals, self.calibration.constants)

    def calibrated(
        self, samples: Sequence[tuple[int, Document]], dense: FaissIndex, encoder: Encoder
    ) -> Calibration:
        """Calibrate by questions made of the given rows' documents. Takes a second or more."""
        return calibrate(make_probes(samples), dense.vectors, encoder, self._word_scores)

    def _word_scores(self, query: str) -> tuple[FloatVector, float]:
        return self._lexical.all_scores(query), self._possible(query)

    def _possible(self, query: str) -> float:
        return self._rarity.possible(self._lexical.codes(query))
