"""Rows of OpenRouter's list of models: each is a model with OpenRouter's own offer of it."""

from __future__ import annotations

from toolcrib_registry.types import Known, Model, ModelDescriptor, Offer

from .facts import Facts

_PROVIDER = "openrouter"


def openrouter_model(facts: Facts) -> Model:
    """Read one row."""
    name = facts.required_text("id")
    return Model(
        name=name,
        source_id=name,
        title=facts.plain_text("name"),
        description=facts.plain_text("description") or "",
        descriptor=ModelDescriptor(
            open_weights=_open_weights(facts),
            modalities_in=facts.words("modalities_in"),
            modalities_out=facts.words("modalities_out"),
            context_tokens=facts.tokens("context"),
            tool_call=_takes(facts, "tools"),
            structured_output=_takes(facts, "structured_outputs"),
            reasoning=_takes(facts, "reasoning"),
            knowledge_cutoff=facts.text("knowledge_cutoff"),
        ),
        offers=(_offer(name, facts),),
    )


def _offer(name: str, facts: Facts) -> Offer:
    return Offer(
        provider=_PROVIDER,
        remote_model=name,
        price_in_usd=_price(facts, "price_in_per_1m"),
        price_out_usd=_price(facts, "price_out_per_1m"),
        context_tokens=facts.tokens("context"),
        max_output_tokens=facts.tokens("max_output"),
        deprecation_date=facts.text("expiration_date"),
    )


def _price(facts: Facts, key: str) -> Known[float] | None:
    """Read a price; below zero is OpenRouter's sign for one that varies, which is unknown."""
    value = facts.row.get(key)
    if isinstance(value, int | float) and value < 0:
        return None
    return facts.price(key)


def _takes(facts: Facts, parameter: str) -> Known[bool] | None:
    """Whether the list of parameters, which is complete where there is one, holds a parameter."""
    listed = facts.words("supported_parameters")
    return Known(parameter in listed.value, listed.source, listed.as_of) if listed else None


def _open_weights(facts: Facts) -> Known[bool] | None:
    """Take a Hugging Face id for published weights; without one nothing is known."""
    if not facts.plain_text("hugging_face_id"):
        return None
    return Known(value=True, source=facts.source, as_of=facts.as_of)
