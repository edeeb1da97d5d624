"""Reads a row of what llama.cpp's server lists at ``/v1/models``: the model that it has loaded.

It answers in two shapes at once, Ollama's under ``models`` and OpenAI's under ``data``; the second
says more. Its name for a model is the file it was started with, unless an alias was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import PurePath
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

from toolcrib_registry.types import JsonObject, Known, Model, ModelDescriptor, Offer

from .facts import positive

T = TypeVar("T")

_OWNER: Final = "llamacpp"
_ENDING: Final = ".gguf"
_PARAMETERS_IN_A_BILLION: Final = 1_000_000_000


def is_llamacpp(row: JsonObject) -> bool:
    """Whether a row of OpenAI's list is llama.cpp's."""
    return row.get("owned_by") == _OWNER and isinstance(row.get("meta"), Mapping)


def llamacpp_model(row: JsonObject, base: str, api_key: str | None, as_of: date) -> Model:
    """Read the row. What runs on one's own machine costs nothing by the token."""
    source = f"endpoint:{base}"
    meta = cast("Mapping[str, Any]", row["meta"])
    parameters, context = positive(meta.get("n_params")), positive(meta.get("n_ctx"))
    kind = meta.get("ftype")
    modalities = _texts(cast("Mapping[str, Any]", row.get("architecture") or {}))
    return Model(
        name=_name(row["id"]),
        source_id=row["id"],
        descriptor=ModelDescriptor(
            open_weights=Known(value=True, source=source, as_of=as_of),
            parameters_b=_known(
                parameters and parameters / _PARAMETERS_IN_A_BILLION, source, as_of
            ),
            modalities_in=_known(modalities, source, as_of),
        ),
        offers=(
            Offer(
                provider=urlsplit(base).netloc,
                remote_model=row["id"],
                endpoint=base,
                api_key=api_key,
                status=Known("listed", source, as_of),
                context_tokens=_known(context, source, as_of),
                quantization=_known(kind if isinstance(kind, str) else None, source, as_of),
                price_in_usd=Known(0.0, source, as_of),
                price_out_usd=Known(0.0, source, as_of),
            ),
        ),
    )


def _name(listed: str) -> str:
    """Name the model by its file, without the folders of that machine."""
    if not listed.endswith(_ENDING):
        return listed
    return PurePath(listed.replace("\\", "/")).name.removesuffix(_ENDING) or listed


def _known(value: T | None, source: str, as_of: date) -> Known[T] | None:
    return Known(value, source, as_of) if value else None


def _texts(shape: Mapping[str, Any]) -> tuple[str, ...]:
    listed = shape.get("input_modalities")
    items = cast("list[object]", listed) if isinstance(listed, list) else []
    return tuple(item for item in items if isinstance(item, str) and item)
