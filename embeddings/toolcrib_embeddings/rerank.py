"""The second stage: the best candidates read token by token, within a budget of time.

Late interaction (ColBERT, arXiv 2004.12832) with the encoder that is there anyway: each token of a
tool's text looks for its nearest among the tokens of the query, and the mean says how much of the
tool the query speaks of. The other direction, query to tool, added nothing where it was measured.
Knows texts and vectors, no entries.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np

from .encoder import FloatMatrix, FloatVector
from .options import Rerank, SearchOptions

MAX_RERANKED: Final = 8
"""Candidates, the best of the first stage."""
WEIGHT: Final = 0.25
"""Of the standardised signal, against standard deviations of the first stage's score."""
_REMEMBERED_BYTES: Final = 32_000_000
"""Of the tokens of candidates, some 500 of them: those read most lately cost nothing again."""
_FIRST_GUESS_MS: Final = 0.02
"""For each character of a candidate's text, until it has been measured."""
_FORGETTING: Final = 0.2


class TokenEncoder(Protocol):
    """Turns texts into one unit vector for each of their tokens."""

    def encode_tokens(self, texts: Sequence[str]) -> list[FloatMatrix] | None:
        """Encode texts: one matrix of unit rows each; None when the model gives none."""
        ...


class Reranker:
    """Scores candidates against a query, and knows how long that takes here."""

    def __init__(self, encoder: TokenEncoder) -> None:
        self._encoder = encoder
        self._remembered: OrderedDict[str, FloatMatrix] = OrderedDict()
        self._bytes = 0
        self._ms_per_char = _FIRST_GUESS_MS
        self._lock = threading.Lock()

    def affordable(self, texts: Sequence[str], options: SearchOptions, *, spent_ms: float) -> int:
        """Return how many of the first texts fit in what is left of the budget."""
        if options.rerank is Rerank.OFF:
            return 0
        texts = texts[:MAX_RERANKED]
        if options.rerank is Rerank.ON:
            return len(texts)
        left_ms = options.budget_ms - spent_ms
        for count, text in enumerate(texts):
            if text not in self._remembered:
                left_ms -= self._ms_per_char * len(text)
            if left_ms < 0:
                return count
        return len(texts)

    def scores(self, query: str, texts: Sequence[str]) -> FloatVector | None:
        """Return how much of each text the query speaks of; None when the model cannot say."""
        asked = self._encoder.encode_tokens([query])
        if asked is None:
            return None
        known = self._read(texts)
        return np.array([_spoken_of(asked[0], known[text]) for text in texts], dtype=np.float32)

    def _read(self, texts: Sequence[str]) -> dict[str, FloatMatrix]:
        with self._lock:
            known = {t: self._remembered[t] for t in texts if t in self._remembered}
            for text in known:
                self._remembered.move_to_end(text)
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if missing:
            began = time.perf_counter()
            matrices = self._encoder.encode_tokens(missing) or []
            took_ms = 1e3 * (time.perf_counter() - began) / max(sum(map(len, missing)), 1)
            known |= zip(missing, matrices, strict=True)
            with self._lock:
                self._ms_per_char += _FORGETTING * (took_ms - self._ms_per_char)
                for text in missing:
                    if text not in self._remembered:
                        self._remembered[text] = known[text]
                        self._bytes += known[text].nbytes
                while self._bytes > _REMEMBERED_BYTES:
                    self._bytes -= self._remembered.popitem(last=False)[1].nbytes
        return known


def _spoken_of(query: FloatMatrix, text: FloatMatrix) -> float:
    if not len(query) or not len(text):
        return 0.0
    return float((text @ query.T).max(axis=1).mean())
