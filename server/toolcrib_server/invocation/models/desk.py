"""What a face needs to call models: who picks, who calls, who embeds, and what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from toolcrib_server.invocation.figures.feed import FiguresFeed
from toolcrib_server.invocation.figures.rolling import OfferFigures

from .invoker import ModelInvoker
from .picking import ModelPicker


class Embedder(Protocol):
    """The bundled encoder."""

    async def embed(self, texts: Sequence[str]) -> tuple[str, list[list[float]], int]:
        """Return the encoder's name, a unit vector for each text, and the number of tokens."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDesk:
    """The opened parts for calls of models."""

    picker: ModelPicker
    invoker: ModelInvoker
    figures: OfferFigures
    feed: FiguresFeed
    """Keeps the figures up with what other processes measure."""
    embedder: Embedder
