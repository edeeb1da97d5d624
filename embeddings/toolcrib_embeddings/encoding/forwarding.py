"""An encoder that stands for another: it does all as that one, but for what a subclass says.

Of no use by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from toolcrib_embeddings.queries.steps import Span
from toolcrib_embeddings.vectors import FloatMatrix, FloatVector

from .encoder import Encoder, Encoding, Progress


class ForwardingEncoder:
    """Forwards each call to the encoder it stands for."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    @property
    def id(self) -> str:
        """That of the encoder."""
        return self._encoder.id

    @property
    def dimension(self) -> int:
        """That of the encoder."""
        return self._encoder.dimension

    def encode(self, texts: Sequence[str], *, on_progress: Progress | None = None) -> FloatMatrix:
        """Encode texts, in order."""
        return self._encoder.encode(texts, on_progress=on_progress)

    @property
    def token_id(self) -> str | None:
        """That of the encoder."""
        return self._encoder.token_id

    @property
    def token_fault(self) -> str | None:
        """That of the encoder."""
        return self._encoder.token_fault

    @property
    def rarity(self) -> FloatVector:
        """That of the encoder."""
        return self._encoder.rarity

    def encode_documents(
        self, texts: Sequence[str], *, on_progress: Progress | None = None
    ) -> Encoding:
        """Encode texts, with the token vectors of each."""
        return self._encoder.encode_documents(texts, on_progress=on_progress)

    def encode_query(self, text: str, spans: Sequence[Span] = ()) -> Encoding:
        """Encode a text, and parts of it as they are meant within it."""
        return self._encoder.encode_query(text, spans)
