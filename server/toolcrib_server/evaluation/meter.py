"""An encoder that serves known vectors and tells how long encoding really takes.

With it, a search over thousands of queries can be judged in seconds the second time, and its
stages still be timed apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from toolcrib_embeddings.encoder import Encoder, FloatMatrix, FloatVector, Progress
from toolcrib_embeddings.queries import Span

from .vectors import VectorCache


@dataclass(frozen=True, slots=True)
class Lap:
    """What encoding took since the last lap."""

    inside_ms: float
    """Spent in here: encoding, or looking a vector up."""
    encode_ms: float | None
    """What encoding these texts takes; None when it was not measured."""


class MeteredEncoder:
    """Gives the vectors of the encoder it stands for. Belongs to one thread."""

    def __init__(self, encoder: Encoder, cache: VectorCache) -> None:
        self.is_sampling = False
        """Whether to encode for the clock what is known already."""
        self._encoder = encoder
        self._cache = cache
        self._known: dict[str, FloatVector] = {}
        self._costs_ms: dict[tuple[str, ...], float] = {}
        self._calls: list[tuple[str, ...]] = []
        self._inside_ms = 0.0

    @property
    def id(self) -> str:
        """That of the encoder."""
        return self._encoder.id

    @property
    def dimension(self) -> int:
        """Length of each vector."""
        return self._encoder.dimension

    def encode(self, texts: Sequence[str], *, on_progress: Progress | None = None) -> FloatMatrix:
        """Encode texts, in order; those that are known are not encoded again."""
        vectors = self._answer(tuple(texts), lambda: self._encoder.encode(texts))
        if on_progress:
            on_progress(len(texts))
        return vectors

    def encode_spans(self, text: str, spans: Sequence[Span]) -> FloatMatrix:
        """Encode a text, and parts of it as they are meant within it."""
        keys = (text, *(f"{text}\0{start}:{end}" for start, end in spans))
        return self._answer(keys, lambda: self._encoder.encode_spans(text, spans))

    def encode_tokens(self, texts: Sequence[str]) -> list[FloatMatrix] | None:
        """Encode each token of each text, anew every time: they are too many to keep."""
        return self._encoder.encode_tokens(texts)

    def lap(self) -> Lap:
        """Tell what encoding took since the last time, and start anew."""
        costs = [self._costs_ms.get(call) for call in self._calls]
        known = [cost for cost in costs if cost is not None]
        lap = Lap(self._inside_ms, sum(known) if len(known) == len(costs) else None)
        self._calls, self._inside_ms = [], 0.0
        return lap

    def _answer(self, keys: tuple[str, ...], encode: Callable[[], FloatMatrix]) -> FloatMatrix:
        """Give what is known under the keys, unless it is missing or has to be timed."""
        began = time.perf_counter()
        self._calls.append(keys)
        vectors = self._find(keys)
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
