"""An encoder for tests and examples: hashed bags of words, exact and instant, no model needed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from .encoding.encoder import Encoding, Progress
from .encoding.tokens import SCALE, TokenMatrix
from .queries.steps import Span
from .vectors import FloatMatrix, FloatVector

_WORD: Final = re.compile(r"[a-z]+|\d+|[^\W\d_]+")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_TOKEN_WIDTH: Final = 64
_MOST_TOKENS: Final = 48
_PIECES: Final = 4_096
_RARITY: Final = 4.0


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

    @property
    def token_id(self) -> str | None:
        """Its name and the size of a token's vector."""
        return f"{self.id}/tokens-{_TOKEN_WIDTH}"

    @property
    def token_fault(self) -> str | None:
        """None: it needs no head."""
        return None

    @property
    def rarity(self) -> FloatVector:
        """The same of every word."""
        return np.full(_PIECES, _RARITY, dtype=np.float32)

    def encode_documents(
        self, texts: Sequence[str], *, on_progress: Progress | None = None
    ) -> Encoding:
        """Encode texts, and each of their first words as a text of its own."""
        vectors = self.encode(texts, on_progress=on_progress)
        return Encoding(vectors, tuple(_tokens(text)[:_MOST_TOKENS] for text in texts))

    def encode_query(self, text: str, spans: Sequence[Span] = ()) -> Encoding:
        """Encode a text, each part of it as a text of its own, and each word."""
        parts = [text[start:end] for start, end in spans]
        words = _words(text)
        inside = [[word in of_part for word in words] for of_part in map(_words, parts)]
        masks = np.array(inside, dtype=np.bool_).reshape(len(parts), len(words))
        return Encoding(self.encode([text, *parts]), (_tokens(text),), masks)

    def _add_words(self, vector: FloatMatrix, text: str) -> None:
        for word in _words(text) or ("",):
            number = _number(word)
            vector[number % self._dimension] += 1.0 if number >> 63 else -1.0
        length = float(np.linalg.norm(vector))
        if length > 0:
            vector /= length
        else:
            vector[0] = 1.0  # opposite words met in one place: any unit vector is as good


def _tokens(text: str) -> TokenMatrix:
    words = _words(text)
    numbers = [_number(word) for word in words]
    vectors = np.zeros((len(words), _TOKEN_WIDTH), dtype=np.int8)
    for row, number in zip(vectors, numbers, strict=True):
        row[number % _TOKEN_WIDTH] = SCALE
    pieces = np.array([[number % _PIECES] for number in numbers], dtype="<u2").reshape(-1, 1)
    return np.hstack((vectors, pieces.view(np.int8)))


def _words(text: str) -> list[str]:
    return _WORD.findall(_CAMEL.sub(" ", text).lower())


def _number(word: str) -> int:
    digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
