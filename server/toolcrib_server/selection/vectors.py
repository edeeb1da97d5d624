"""The bundled encoder for whoever wants vectors: the one that search uses, loaded once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

if TYPE_CHECKING:
    # The index is slow to import and opened late; see `sync.indexer`.
    from toolcrib_embeddings.search import SearchIndex

_THREADS = 1
"""Encoding uses the cores by itself."""


class BundledEmbedder:
    """Embeds texts with the index's encoder."""

    def __init__(
        self,
        index: Callable[[], Awaitable[SearchIndex]],
        count_tokens: Callable[[str], int],
    ) -> None:
        self._index = index
        self._count_tokens = count_tokens
        self._limiter = anyio.CapacityLimiter(_THREADS)

    async def embed(self, texts: Sequence[str]) -> tuple[str, list[list[float]], int]:
        """Return the encoder's name, a unit vector for each text, and how many tokens there were.

        What is longer than the encoder reads is cut there.
        """
        index = await self._index()
        return await anyio.to_thread.run_sync(self._embed, index, texts, limiter=self._limiter)

    def _embed(
        self, index: SearchIndex, texts: Sequence[str]
    ) -> tuple[str, list[list[float]], int]:
        vectors = index.encoder.encode(texts)
        return index.encoder.id, vectors.tolist(), sum(map(self._count_tokens, texts))
