"""An encoder for replays: what is asked there was encoded before, or is asked again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from toolcrib_embeddings import Encoder, FloatMatrix, FloatVector
from toolcrib_embeddings.encoding.encoder import Encoding, Progress
from toolcrib_embeddings.encoding.forwarding import ForwardingEncoder
from toolcrib_embeddings.queries.steps import Span


class KnowingEncoder(ForwardingEncoder):
    """Serves known vectors, and remembers those of steps: each way of learning asks for them.

    Makes no token vectors: there is no second stage.
    """

    def __init__(self, encoder: Encoder, known: Mapping[str, FloatVector]) -> None:
        super().__init__(encoder)
        self._known = known
        self._steps: dict[tuple[str, tuple[Span, ...]], FloatMatrix] = {}

    def encode(self, texts: Sequence[str], *, on_progress: Progress | None = None) -> FloatMatrix:
        """Give the vectors of texts, in order; those that are known are not encoded."""
        vectors = [self._one(text) for text in texts]
        if on_progress:
            on_progress(len(texts))
        return np.array(vectors, dtype=np.float32).reshape(-1, self.dimension)

    @property
    def token_id(self) -> None:
        """None: no token vectors are made."""
        return

    def encode_documents(
        self, texts: Sequence[str], *, on_progress: Progress | None = None
    ) -> Encoding:
        """Give the vectors of texts, in order."""
        return Encoding(self.encode(texts, on_progress=on_progress))

    def encode_query(self, text: str, spans: Sequence[Span] = ()) -> Encoding:
        """Give the vectors of a text and of parts of it, encoded once."""
        if not spans:
            return Encoding(self.encode([text]))
        key = text, tuple(spans)
        if key not in self._steps:
            self._steps[key] = self._encoder.encode_query(text, spans).vectors
        return Encoding(self._steps[key])

    def _one(self, text: str) -> FloatVector:
        vector = self._known.get(text)
        return self._encoder.encode([text])[0] if vector is None else vector
