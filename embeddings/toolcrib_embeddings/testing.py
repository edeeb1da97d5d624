"""An encoder for tests and examples: hashed bags of words, exact and instant, no model needed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from .encoder import FloatMatrix, Progress
from .queries import Span

_WORD: Final = re.compile(r"[a-z]+|\d+|[^\W\d_]+")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class HashEncoder:
    """Encodes a text as the unit vector of its words; texts that share words are close.

    The same text gives the same vector on every machine and in every release.
    """

    def __init__(self, dimension: int = 256) -> None:
        self._dimension = dimension

    @property
    def id(self) -> str:
        """Its name and dimension."""
        return f"hash-words/{self._dimension}"

    @property
    def dimension(self) -> int:
        """Length of each vector."""
        return self._dimension

    def encode(self, texts: Sequence[str], *, on_progress: Progress | None = None) -> FloatMatrix:
        """Encode texts, in order: shape ``(n, dimension)``, float32, rows of length 1."""
        vectors = np.zeros((len(texts), self._dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            self._add_words(vectors[row], text)
            if on_progress:
                on_progress(row + 1)
        return vectors

    def encode_spans(self, text: str, spans: Sequence[Span]) -> FloatMatrix:
        """Encode a text, and each part of it as a text of its own: shape ``(1 + n, d)``."""
        return self.encode([text, *(text[start:end] for start, end in spans)])

    def encode_tokens(self, texts: Sequence[str]) -> list[FloatMatrix] | None:
        """Encode each word as a text of its own."""
        return [self.encode(_WORD.findall(_CAMEL.sub(" ", text).lower())) for text in texts]

    def _add_words(self, vector: FloatMatrix, text: str) -> None:
        for word in _WORD.findall(_CAMEL.sub(" ", text).lower()) or ("",):
            digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
            number = int.from_bytes(digest, "little")
            vector[number % self._dimension] += 1.0 if number >> 63 else -1.0
        length = float(np.linalg.norm(vector))
        if length > 0:
            vector /= length
        else:
            vector[0] = 1.0  # opposite words met in one place: any unit vector is as good
