"""The OpenAI API, so that programs written for it work here unchanged: chat, embeddings, models."""

from .routes import router
from .shape import MAX_BODY_BYTES, PREFIX, OpenAIShape

__all__ = ["MAX_BODY_BYTES", "PREFIX", "OpenAIShape", "router"]
