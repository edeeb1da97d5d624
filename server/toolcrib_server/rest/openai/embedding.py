"""Vectors of texts by the bundled encoder, as the OpenAI API has them."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from typing import Any, cast

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import JsonObject
from toolcrib_server.invocation.models.desk import Embedder

OWN_MODEL = "toolcrib"
_MOST_INPUTS = 2_048
_LONGEST_INPUT = 100_000


async def embed_here(body: JsonObject, embedder: Embedder) -> dict[str, Any]:
    """Answer a request for embeddings without leaving the process.

    Raises:
        InvalidInput: The input is no text, or something was asked that the encoder cannot do.
    """
    texts = _texts(body.get("input"))
    encoding = body.get("encoding_format", "float")
    if encoding not in {"float", "base64"}:
        raise InvalidInput(f"encoding_format is {str(encoding)[:40]!r}; use float or base64.")
    name, vectors, tokens = await embedder.embed(texts)
    wanted = body.get("dimensions")
    if wanted is not None and wanted != len(vectors[0]):
        raise InvalidInput(f"dimensions is {str(wanted)[:40]}; {name} has {len(vectors[0])}.")
    show = _packed if encoding == "base64" else list[float]
    data = [
        {"object": "embedding", "index": index, "embedding": show(vector)}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": name, "usage": usage}


def _texts(given: object) -> list[str]:
    items = cast("list[object]", given) if isinstance(given, list) else [given]
    texts = [item for item in items if isinstance(item, str)]
    if not items or len(texts) < len(items):
        raise InvalidInput(f"input must be a text or a list of texts; {OWN_MODEL} takes no tokens.")
    if len(texts) > _MOST_INPUTS:
        raise InvalidInput(f"input has {len(texts)} texts; at most {_MOST_INPUTS} go at once.")
    for number, text in enumerate(texts):
        if not text.strip() or len(text) > _LONGEST_INPUT:
            size = f"{len(text)} characters" if text.strip() else "nothing in it"
            raise InvalidInput(f"input.{number} has {size}; give 1 to {_LONGEST_INPUT} characters.")
    return texts


def _packed(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
