"""The words of queries, as numbers of a vocabulary; a slip of one letter is corrected.

Knows how often words stand in the corpus, and no entry of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.documents.words import split_words

from .spelling import near_spellings
from .stemming import Stemmer

_READ_QUERIES_KEPT: Final = 64
_MAX_CORRECTED: Final = 3
"""Unknown words of a query that are looked at for a slip: each costs a fraction of 1 ms."""


class QueryWords:
    """Reads queries, each once. Safe to use from several threads."""

    def __init__(self, vocabulary: Mapping[str, int], frequency: NDArray[np.intp]) -> None:
        """Read in terms of a vocabulary; ``frequency`` says by number how often a word stands."""
        self._vocabulary = vocabulary
        self._frequency = frequency
        self._read_queries: dict[str, Sequence[int | None]] = {}

    def codes(self, query: str) -> Sequence[int | None]:
        """Return the numbers of a query's words, None for one that stands nowhere; remembered."""
        codes = self._read_queries.get(query)
        if codes is None:
            codes = self._read(query)
            if len(self._read_queries) >= _READ_QUERIES_KEPT:
                self._read_queries.clear()
            self._read_queries[query] = codes
        return codes

    def _read(self, query: str) -> list[int | None]:
        stemmer = Stemmer(remember=False)
        codes = [self._vocabulary.get(stem) for stem in stemmer.words(query)]
        unknown = [place for place, code in enumerate(codes) if code is None][:_MAX_CORRECTED]
        if unknown:
            words = split_words(query)
            for place in unknown:
                codes[place] = self._corrected(stemmer, words[place])
        return codes

    def _corrected(self, stemmer: Stemmer, word: str) -> int | None:
        """Return the word that was probably meant: of those one edit away, the most frequent."""
        near = stemmer.stems(near_spellings(word))
        known = [self._vocabulary[w] for w in near if w in self._vocabulary]
        return max(known, key=lambda code: (self._frequency[code], -code), default=None)
