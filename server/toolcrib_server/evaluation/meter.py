"""An encoder that serves known vectors and tells how long encoding really takes.

With it, a search over thousands of queries can be judged in seconds the second time, and its
stages still be timed apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from toolcrib_embeddings.encoding.encoder import Encoder, Encoding, Progress
from toolcrib_embeddings.encoding.forwarding import ForwardingEncoder
from toolcrib_embeddings.encoding.tokens import TokenMatrix
from toolcrib_embeddings.queries.steps import Span
from toolcrib_embeddings.vectors import FloatMatrix, FloatVector

from .vectors import VectorCache


@dataclass(frozen=True, slots=True)
class Lap:
    """What encoding took since the last lap."""

    inside_ms: float
    """Spent in here: encoding, or looking a vector up."""
    encode_ms: float | None
    """What encoding these texts takes; None when it was not measured."""


class MeteredEncoder(ForwardingEncoder):
    """Gives the vectors of the encoder it stands for. Belongs to one thread."""

    def __init__(self, encoder: Encoder, cache: VectorCache) -> None:
        super().__init__(encoder)
        self.is_sampling = False
        """Whether to encode for the clock what is known already."""
        self._cache = cache
        self._known: dict[str, FloatVector] = {}
        self._tokens: dict[str, TokenMatrix] = {}
        self._fresh_tokens: dict[str, TokenMatrix] = {}
        self._costs_ms: dict[tuple[str, ...], float] = {}
        self._calls: list[tuple[str, ...]] = []
        self._inside_ms = 0.0

    def encode(self, texts: Sequence[str], *, on_progress: Progress | None = None) -> FloatMatrix:
        """Encode texts, in order; those that are known are not encoded again."""
        vectors = self._answer(tuple(texts), lambda: self._encoder.encode(texts))
        if on_progress:
            on_progress(len(texts))
        return vectors

    def encode_query(self, text: str, spans: Sequence[Span] = ()) -> Encoding:
        """Encode a text, and parts of it as they are meant within it."""
        keys = (text, *(f"{text}\0{start}:{end}" for start, end in spans))
        known = self.token_id is None or self._find_tokens(text) is not None
        vectors = self._answer(keys, lambda: self._read(text, spans), known=known)
        tokens = self._tokens.get(text)
        return Encoding(vectors, None if tokens is None else (tokens,))

    def _read(self, text: str, spans: Sequence[Span]) -> FloatMatrix:
        read = self._encoder.encode_query(text, spans)
        if read.tokens:
            self._tokens[text] = self._fresh_tokens[_query_key(text)] = read.tokens[0]
        return read.vectors

    def _find_tokens(self, text: str) -> TokenMatrix | None:
        if text not in self._tokens:
            for rows in self._cache.find_tokens([_query_key(text)]).values():
                self._tokens[text] = rows
        return self._tokens.get(text)

    def lap(self) -> Lap:
        """Tell what encoding took since the last time, and start anew."""
        costs = [self._costs_ms.get(call) for call in self._calls]
        known = [cost for cost in costs if cost is not None]
        lap = Lap(self._inside_ms, sum(known) if len(known) == len(costs) else None)
        self._calls, self._inside_ms = [], 0.0
        return lap

    def _answer(
        self, keys: tuple[str, ...], encode: Callable[[], FloatMatrix], *, known: bool = True
    ) -> FloatMatrix:
        """Give what is known under the keys, unless it is missing or has to be timed."""
        began = time.perf_counter()
        self._calls.append(keys)
        vectors = self._find(keys) if known else None
        if vectors is None or (self.is_sampling and keys not in self._costs_ms):
            vectors = self._encode(keys, encode)
        self._inside_ms += 1e3 * (time.perf_counter() - began)
        return vectors

    def _find(self, keys: tuple[str, ...]) -> FloatMatrix | None:
        missing = [key for key in keys if key not in self._known]
        if missing:
            self._known |= self._cache.find(missing)
        if any(key not in self._known for key in keys):
            return None
        return np.array([self._known[key] for key in keys], dtype=np.float32)

    def _encode(self, keys: tuple[str, ...], encode: Callable[[], FloatMatrix]) -> FloatMatrix:
        began = time.perf_counter()
        vectors = encode()
        # The first time counts: encoders remember what they encoded last.
        self._costs_ms.setdefault(keys, 1e3 * (time.perf_counter() - began))
        self._known |= zip(keys, vectors, strict=True)
        return vectors

    def keep(self) -> None:
        """Put what was encoded into the cache."""
        fresh = list(dict.fromkeys(key for call in self._costs_ms for key in call))
        kept = self._cache.find(fresh)
        new = [key for key in fresh if key not in kept]
        if new:
            self._cache.put(new, np.array([self._known[key] for key in new]))
        self._cache.put_tokens(self._fresh_tokens)
        self._fresh_tokens = {}


def _query_key(text: str) -> str:
    """Name the token vectors of a query apart from those of a document, which are cut."""
    return f"query\0{text}"
