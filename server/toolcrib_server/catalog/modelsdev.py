"""Rows of models.dev's shape: models, and offers of them by providers. Prices are per million.

An offer repeats what its provider says of the model. Where that differs from the model, the offer
keeps its own word, so that a limit is held against what is really served.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, cast

from toolcrib_registry.types import Known, Model, ModelDescriptor, Offer

from .facts import Facts

_OWN_WORD = (
    "open_weights",
    "modalities_in",
    "modalities_out",
    "tool_call",
    "structured_output",
    "reasoning",
)
"""What an offer can say otherwise than its model."""
_NO_FACTS = frozenset({"evaluations", "disputed"})
_UNNAMED = "unnamed"
"""The provider of a price of which nobody says whose it is."""


def base_model(facts: Facts) -> Model:
    """Read a model's row."""
    name = facts.required_text("id")
    return Model(
        name=name,
        source_id=name,
        title=facts.plain_text("name"),
        description=facts.plain_text("description") or "",
        family=facts.plain_text("family"),
        descriptor=_descriptor(facts),
        offers=tuple(_own_offer(name, facts)),
    )


def _own_offer(name: str, facts: Facts) -> Iterator[Offer]:
    """Read the price that some lists give in the model's own row, without saying whose it is."""
    price_in, price_out = facts.price("price_in_per_1m"), facts.price("price_out_per_1m")
    if price_in or price_out:
        remote = facts.plain_text("served_as") or name
        yield Offer(
            provider=facts.plain_text("provider") or _UNNAMED,
            remote_model=remote,
            price_in_usd=price_in,
            price_out_usd=price_out,
        )


@dataclass(frozen=True, slots=True)
class _OfferRow:
    """An offer with what it says of its model."""

    id: str
    base: str | None
    title: str | None
    says: ModelDescriptor
    offer: Offer


def join_offers(models: Mapping[str, Model], rows: Iterable[Facts]) -> dict[str, Model]:
    """Give each offer to its model; a model that has no row of its own is made from its offers.

    Such a model's descriptor holds what all of its offers agree on; the rest stays with each.

    Raises:
        Malformed: A row cannot be read.
    """
    groups: dict[str, list[_OfferRow]] = {}
    for facts in rows:
        row = _offer_row(facts)
        groups.setdefault(_model_name(row, models), []).append(row)
    return {
        name: _with_offers(models.get(name) or _from_offers(name, group), group)
        for name, group in groups.items()
    }


def _model_name(row: _OfferRow, models: Mapping[str, Model]) -> str:
    """Name the model an offer belongs to.

    An offer that names no base is not tied to a model that happens to bear the same name: it
    would inherit what nobody said of it.
    """
    if row.base is not None:
        return row.base
    return row.id if row.offer.remote_model in models else row.offer.remote_model


def _offer_row(facts: Facts) -> _OfferRow:
    provider, remote = facts.required_text("provider"), facts.required_text("model")
    return _OfferRow(
        id=facts.plain_text("id") or f"{provider}/{remote}",
        base=facts.plain_text("base_model"),
        title=facts.plain_text("name"),
        says=_descriptor(facts),
        offer=Offer(
            provider=provider,
            remote_model=remote,
            status=facts.text("status"),
            price_in_usd=facts.price("price_in_per_1m"),
            price_out_usd=facts.price("price_out_per_1m"),
            price_cache_read_usd=facts.price("price_cache_read_per_1m"),
            context_tokens=facts.tokens("context"),
            max_output_tokens=facts.tokens("max_output"),
        ),
    )


def _descriptor(facts: Facts) -> ModelDescriptor:
    return ModelDescriptor(
        license=facts.text("license"),
        open_weights=facts.flag("open_weights"),
        parameters_b=facts.amount("params_b"),
        active_parameters_b=facts.amount("active_params_b"),
        modalities_in=facts.words("modalities_in"),
        modalities_out=facts.words("modalities_out"),
        context_tokens=facts.tokens("context"),
        max_output_tokens=facts.tokens("max_output"),
        tool_call=facts.flag("tool_call"),
        structured_output=facts.flag("structured_output"),
        reasoning=facts.flag("reasoning"),
        knowledge_cutoff=facts.text("knowledge"),
        release_date=facts.text("release_date"),
    )


def _from_offers(name: str, group: Sequence[_OfferRow]) -> Model:
    title = next((row.title for row in group if row.title), None)
    agreed = {
        f.name: getattr(group[0].says, f.name)
        for f in fields(ModelDescriptor)
        if f.name not in _NO_FACTS
        and len({_comparable(getattr(row.says, f.name)) for row in group}) == 1
    }
    return Model(name=name, source_id=name, title=title, descriptor=ModelDescriptor(**agreed))


def _with_offers(model: Model, group: Sequence[_OfferRow]) -> Model:
    offers = (replace(row.offer, **_own_word(model.descriptor, row.says)) for row in group)
    return replace(model, offers=(*model.offers, *offers))


def _own_word(model: ModelDescriptor, says: ModelDescriptor) -> dict[str, Any]:
    return {
        name: known
        for name in _OWN_WORD
        if (known := getattr(says, name)) is not None
        and _comparable(known) != _comparable(getattr(model, name))
    }


def _comparable(known: Known[Any] | None) -> object:
    """Return what facts are compared by: their values, lists without regard to order."""
    if known is None:
        return None
    value = known.value
    return tuple(sorted(cast("tuple[str, ...]", value))) if isinstance(value, tuple) else value
