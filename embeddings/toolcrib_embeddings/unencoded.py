"""What stands in the place of an encoder that cannot be had: search then goes by words alone.

Every vector is zero, which is near to nothing and far from nothing. Knows why it is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from .encoder import FloatMatrix, Progress
from .queries import Span

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

    def encode_spans(self, text: str, spans: Sequence[Span]) -> FloatMatrix:
        """Give a text and each part of it the zero vector."""
        del text
        return np.zeros((1 + len(spans), self.dimension), dtype=np.float32)

    def encode_tokens(self, texts: Sequence[str]) -> list[FloatMatrix] | None:
        """Give nothing: there are no tokens."""
        del texts
        return None
