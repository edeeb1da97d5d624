"""Our own description of a model (`ModelIn`) as a domain object."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, cast

from toolcrib_registry.types import Known, Model, ModelDescriptor, Offer
from toolcrib_registry.wire import DescriptorIn, FactIn, ModelIn, OfferIn

_PLAIN = frozenset({"provider", "remote_model", "endpoint", "api_key"})
_PLAIN_SOURCE = "api"


def model_of(given: ModelIn, *, today: date, source: str = _PLAIN_SOURCE) -> Model:
    """Turn a given description into a model; plain values bear ``source`` and ``today``."""
    return Model(
        name=given.name,
        title=given.title,
        description=given.description,
        tags=tuple(given.tags),
        enabled=given.enabled,
        family=given.family,
        descriptor=ModelDescriptor(**_facts(given.descriptor, today, source)),
        offers=tuple(_offer(offer, given.name, today, source) for offer in given.offers),
    )


def _offer(given: OfferIn, model: str, today: date, source: str) -> Offer:
    return Offer(
        provider=given.provider,
        remote_model=given.remote_model or model,
        endpoint=given.endpoint,
        api_key=given.api_key,
        **_facts(given, today, source),
    )


def _facts(given: DescriptorIn | OfferIn, today: date, source: str) -> Mapping[str, Any]:
    return {
        name: _known(getattr(given, name), today, source)
        for name in type(given).model_fields
        if name not in _PLAIN
    }


def _known(value: Any, today: date, source: str) -> Known[Any] | None:
    if value is None:
        return None
    if isinstance(value, FactIn):
        named = cast("FactIn[Any]", value)
        given_source = named.source if "source" in named.model_fields_set else source
        return Known(_frozen(named.value), given_source, named.as_of or today)
    return Known(_frozen(value), source, today)


def _frozen(value: Any) -> Any:
    return tuple(cast("list[Any]", value)) if isinstance(value, list) else value
