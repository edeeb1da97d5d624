"""Puts what one source says of a model together with what is registered of it already."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from toolcrib_registry.types import Known, Model, ModelDescriptor, Offer


def merge_models(old: Model, new: Model) -> Model:
    """Merge two descriptions of the same model; ``new`` wins where both know and are of one date.

    Fact by fact the later date wins, and known wins over unknown. Offers of the same provider and
    remote name merge alike; the others are kept. What a person set (``enabled``, tags) stays.
    """
    merged = {(offer.provider, offer.remote_model): offer for offer in old.offers}
    for offer in new.offers:
        key = (offer.provider, offer.remote_model)
        merged[key] = _merge_offers(merged[key], offer) if key in merged else offer
    return replace(
        old,
        title=new.title or old.title,
        description=new.description or old.description,
        family=new.family or old.family,
        tags=tuple(dict.fromkeys((*old.tags, *new.tags))),
        source_id=new.source_id or old.source_id,
        descriptor=_merge_descriptors(old.descriptor, new.descriptor),
        offers=tuple(merged.values()),
    )


def _merge_descriptors(old: ModelDescriptor, new: ModelDescriptor) -> ModelDescriptor:
    return replace(old, **_later(old, new))


def _merge_offers(old: Offer, new: Offer) -> Offer:
    return replace(
        old,
        endpoint=new.endpoint or old.endpoint,
        api_key=new.api_key or old.api_key,
        **_later(old, new),
    )


def _later(old: ModelDescriptor | Offer, new: ModelDescriptor | Offer) -> dict[str, Any]:
    """Pick, for each field that is a fact, the one to keep."""
    picked: dict[str, Any] = {}
    for f in fields(old):
        before, after = getattr(old, f.name), getattr(new, f.name)
        if isinstance(after, Known) and not (
            isinstance(before, Known) and before.as_of > after.as_of
        ):
            picked[f.name] = after
    return picked
