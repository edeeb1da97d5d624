"""Reads what an endpoint says it serves: OpenAI's ``/v1/models``, and Ollama's ``/api/tags``.

The answer is the provider's own word: its facts bear ``endpoint:URL`` or ``ollama:URL``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import Any, Final, cast
from urllib.parse import urlsplit

from toolcrib_registry.types import JsonObject, Known, Model, ModelDescriptor, Offer

from .facts import Facts, positive
from .llamacpp import is_llamacpp, llamacpp_model
from .openrouter import openrouter_model

_MAX_LISTED: Final = 10_000
_TAGS: Final = "/api/tags"
_MODELS: Final = "/models"
_SIZE: Final = re.compile(r"(?i)^(\d+(?:\.\d+)?)\s*([KMBT])$")
_BILLIONS: Final = {"K": 1e-6, "M": 1e-3, "B": 1.0, "T": 1e3}
_CONTEXT_KEYS: Final = ("max_model_len", "context_length", "context_window", "max_context_length")


def is_list_of_models(answer: object) -> bool:
    """Whether a decoded answer is one of the two lists."""
    return any(True for _ in _openai_rows(answer)) or any(True for _ in _ollama_rows(answer))


def read_served(answer: object, *, url: str, api_key: str | None, as_of: date) -> tuple[Model, ...]:
    """Read the models that the endpoint at ``url`` lists, each with its offer there.

    ``api_key`` is a reference that calls will use.
    """
    base = base_of(url)
    if any(is_llamacpp(row) for row in _openai_rows(answer)):
        # It lists itself in Ollama's shape too, with nothing in it.
        rows = (row for row in _openai_rows(answer) if is_llamacpp(row))
        found = [llamacpp_model(row, base, api_key, as_of) for row in rows]
    elif any(True for _ in _ollama_rows(answer)):
        found = [_ollama_model(row, base, as_of) for row in _ollama_rows(answer)]
    else:
        found = [_listed_model(row, base, api_key, as_of) for row in _openai_rows(answer)]
    unique = {model.name: model for model in found}
    return tuple(list(unique.values())[:_MAX_LISTED])


def base_of(url: str) -> str:
    """Give the base of the OpenAI-compatible API that a list stands at."""
    plain = url.partition("?")[0].rstrip("/")
    if plain.endswith(_TAGS):
        return plain.removesuffix(_TAGS) + "/v1"
    return plain.removesuffix(_MODELS)


def _openai_rows(answer: object) -> Iterator[JsonObject]:
    listed = _listed(answer, "data")
    yield from (row for row in listed if isinstance(row.get("id"), str) and row["id"].strip())


def _ollama_rows(answer: object) -> Iterator[JsonObject]:
    listed = _listed(answer, "models")
    named = (row for row in listed if isinstance(row.get("name"), str) and row["name"].strip())
    yield from (row for row in named if isinstance(row.get("details"), dict) or "digest" in row)


def _listed(answer: object, key: str) -> Iterator[JsonObject]:
    items = cast("Mapping[str, Any]", answer).get(key) if isinstance(answer, dict) else None
    listed = cast("list[object]", items) if isinstance(items, list) else []
    yield from (cast("JsonObject", row) for row in listed if isinstance(row, dict))


def _listed_model(row: JsonObject, base: str, api_key: str | None, as_of: date) -> Model:
    if not isinstance(row.get("pricing"), dict) or not isinstance(row.get("architecture"), dict):
        return _openai_model(row, base, api_key, as_of)
    model = openrouter_model(Facts(_flattened(row), f"openrouter:{base}", as_of))
    served = (replace(offer, endpoint=base, api_key=api_key) for offer in model.offers)
    return replace(model, offers=tuple(served))


def _flattened(row: JsonObject) -> JsonObject:
    """Lay a row of OpenRouter's own answer out as its lists are kept: prices per million."""
    shape = cast("Mapping[str, Any]", row["architecture"])
    prices = cast("Mapping[str, Any]", row["pricing"])
    top = cast("Mapping[str, Any]", row.get("top_provider") or {})
    return {
        **row,
        "context": row.get("context_length"),
        "max_output": top.get("max_completion_tokens"),
        "modalities_in": shape.get("input_modalities"),
        "modalities_out": shape.get("output_modalities"),
        "price_in_per_1m": _per_million(prices.get("prompt")),
        "price_out_per_1m": _per_million(prices.get("completion")),
    }


def _per_million(value: object) -> float | None:
    try:
        return float(str(value)) * 1_000_000 if value is not None else None
    except ValueError:
        return None


def _openai_model(row: JsonObject, base: str, api_key: str | None, as_of: date) -> Model:
    source = f"endpoint:{base}"
    context = next((n for key in _CONTEXT_KEYS if (n := positive(row.get(key)))), None)
    return Model(
        name=row["id"],
        source_id=row["id"],
        offers=(
            Offer(
                provider=_host(base),
                remote_model=row["id"],
                endpoint=base,
                api_key=api_key,
                status=Known("listed", source, as_of),
                context_tokens=Known(context, source, as_of) if context else None,
            ),
        ),
    )


def _ollama_model(row: JsonObject, base: str, as_of: date) -> Model:
    source = f"ollama:{base}"
    details = cast("Mapping[str, Any]", row.get("details") or {})
    family, size = details.get("family"), _billions(details.get("parameter_size"))
    level = details.get("quantization_level")
    quantised = isinstance(level, str) and level not in {"", "unknown"}
    return Model(
        name=row["name"],
        source_id=row["name"],
        family=family if isinstance(family, str) and family else None,
        descriptor=ModelDescriptor(
            open_weights=Known(value=True, source=source, as_of=as_of),
            parameters_b=Known(size, source, as_of) if size else None,
        ),
        offers=(
            Offer(
                provider=_host(base),
                remote_model=row["name"],
                endpoint=base,
                status=Known("listed", source, as_of),
                quantization=Known(str(level), source, as_of) if quantised else None,
                price_in_usd=Known(0.0, source, as_of),
                price_out_usd=Known(0.0, source, as_of),
            ),
        ),
    )


def _billions(value: object) -> float | None:
    found = _SIZE.match(value.strip()) if isinstance(value, str) else None
    return float(found[1]) * _BILLIONS[found[2].upper()] if found else None


def _host(base: str) -> str:
    return urlsplit(base).netloc
