"""What stands in the place of an encoder that cannot be had: search then goes by words alone.

Every vector is zero, which is near to nothing and far from nothing. Knows why it is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from toolcrib_embeddings.queries.steps import Span
from toolcrib_embeddings.vectors import FloatMatrix, FloatVector

from .encoder import Encoding, Progress

_ID: Final = "none"


class NoEncoder:
    """Encodes nothing; ``reason`` says why there is no encoder."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    @property
    def id(self) -> str:
        """A name that no encoder has."""
        return _ID

    @property
    def dimension(self) -> int:
        """One number, always zero."""
        return 1

    def encode(self, texts: Sequence[str], *, on_progress: Progress | None = None) -> FloatMatrix:
        """Give each text the zero vector."""
        if on_progress:
            on_progress(len(texts))
        return np.zeros((len(texts), self.dimension), dtype=np.float32)

    @property
    def token_id(self) -> None:
        """Nothing: there are no tokens."""
        return

    @property
    def token_fault(self) -> None:
        """Nothing: `reason` says all."""
        return

    @property
    def rarity(self) -> FloatVector:
        """Nothing, for the same reason."""
        return np.empty(0, dtype=np.float32)

    def encode_documents(
        self, texts: Sequence[str], *, on_progress: Progress | None = None
    ) -> Encoding:
        """Give each text the zero vector."""
        return Encoding(self.encode(texts, on_progress=on_progress))

    def encode_query(self, text: str, spans: Sequence[Span] = ()) -> Encoding:
        """Give a text and each part of it the zero vector."""
        return Encoding(self.encode([text] * (1 + len(spans))))
