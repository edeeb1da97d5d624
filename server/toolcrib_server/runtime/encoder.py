"""The encoder that is served unless another is given: the one that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolcrib_server.settings import Settings

if TYPE_CHECKING:
    from toolcrib_embeddings import Encoder


def open_encoder(settings: Settings) -> Encoder:
    """Open it. Blocks; call it late, in the thread that needs it: it is slow to import too.

    Raises:
        EncoderError: It cannot be opened.
    """
    from toolcrib_embeddings import SentenceTransformerEncoder  # noqa: PLC0415

    cache = settings.cache_dir / "encoders"
    return SentenceTransformerEncoder.open(cache, model=settings.encoder, head=settings.token_head)
