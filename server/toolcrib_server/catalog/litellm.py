"""Rows of litellm's ``model_prices_and_context_window.json``: prices are per token."""

from __future__ import annotations

from datetime import date

from toolcrib_registry.types import JsonObject, Known, Model, ModelDescriptor, Offer

from .facts import Facts
from .problem import Malformed

_PER_MILLION = 1_000_000
_TEXT_MODES = frozenset({"chat", "completion", "responses"})
_INPUTS = {
    "supports_vision": "image",
    "supports_audio_input": "audio",
    "supports_video_input": "video",
    "supports_pdf_input": "pdf",
}


def is_litellm(row: JsonObject) -> bool:
    """Whether a row is one of litellm's."""
    return "litellm_provider" in row


def litellm_model(name: str, facts: Facts) -> Model:
    """Read one entry of the map. Each is a model of its own, with the one offer."""
    mode = facts.plain_text("mode")
    if mode and " " in mode:
        raise Malformed(f"describes the file, not a model (its mode is {mode[:40]!r})")
    return Model(
        name=name,
        source_id=name,
        tags=(mode,) if mode else (),
        descriptor=ModelDescriptor(
            modalities_in=_modalities_in(facts, mode),
            modalities_out=_modalities_out(facts, mode),
            context_tokens=facts.tokens("max_input_tokens"),
            max_output_tokens=facts.tokens("max_output_tokens"),
            tool_call=facts.flag("supports_function_calling"),
            structured_output=facts.flag("supports_response_schema"),
            reasoning=facts.flag("supports_reasoning"),
        ),
        offers=(_offer(name, facts),),
    )


def _offer(name: str, facts: Facts) -> Offer:
    return Offer(
        provider=facts.required_text("litellm_provider"),
        remote_model=name,
        region=_region(facts),
        status=_status(facts),
        deprecation_date=facts.text("deprecation_date"),
        requests_per_minute=facts.tokens("rpm"),
        tokens_per_minute=facts.tokens("tpm"),
        price_in_usd=facts.price("input_cost_per_token", scale=_PER_MILLION),
        price_out_usd=facts.price("output_cost_per_token", scale=_PER_MILLION),
        price_cache_read_usd=facts.price("cache_read_input_token_cost", scale=_PER_MILLION),
    )


def _modalities_in(facts: Facts, mode: str | None) -> Known[tuple[str, ...]] | None:
    """Read what is listed, else text for a text mode and what the flags add to it."""
    if listed := facts.words("supported_modalities"):
        return listed
    if mode not in _TEXT_MODES:
        return None
    added = [word for key, word in _INPUTS.items() if (known := facts.flag(key)) and known.value]
    return Known(("text", *added), facts.source, facts.as_of)


def _modalities_out(facts: Facts, mode: str | None) -> Known[tuple[str, ...]] | None:
    if listed := facts.words("supported_output_modalities"):
        return listed
    return Known(("text",), facts.source, facts.as_of) if mode in _TEXT_MODES else None


def _region(facts: Facts) -> Known[str] | None:
    """Read the region, where only one is possible: of several, nobody knows which is used."""
    regions = facts.words("supported_regions")
    if regions is None or len(regions.value) != 1:
        return None
    return Known(regions.value[0], regions.source, regions.as_of)


def _status(facts: Facts) -> Known[str] | None:
    day = facts.text("deprecation_date")
    if day is None:
        return None
    try:
        gone = date.fromisoformat(day.value) <= facts.as_of
    except ValueError as error:
        raise Malformed(f"'deprecation_date' is no date: {day.value[:40]!r}") from error
    return Known("deprecated" if gone else f"deprecated from {day.value}", day.source, day.as_of)
