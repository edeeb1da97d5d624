"""Puts what one source says of a model together with what is registered of it already.

Where sources differ the better one wins, and what the others say stays beside it: nothing is lost.
"""

from __future__ import annotations

from dataclasses import fields, replace
from enum import IntEnum
from typing import Any, Final, cast

from toolcrib_registry.types import Evaluation, Known, Model, ModelDescriptor, Offer

_FROM_THE_PROVIDER: Final = ("endpoint:", "ollama:", "huggingface:")
_AGGREGATORS: Final = ("litellm", "openrouter")
_OPERATOR: Final = frozenset({"api", "cli"})
_KEPT: Final = 4
"""Other sources that are kept of a field."""


class Rank(IntEnum):
    """How good a source is. Of equals, the later date wins."""

    AGGREGATOR = 0
    """A list that gathers what others say: litellm's, OpenRouter's."""
    CURATED = 1
    """A list that somebody keeps: models.dev's, a file of your own."""
    PROVIDER = 2
    """Whoever makes or serves it: its card, its endpoint."""
    OPERATOR = 3
    """You, through the API."""


def rank_of(source: str) -> Rank:
    """Rank a source by its name."""
    if source in _OPERATOR:
        return Rank.OPERATOR
    if source.startswith(_FROM_THE_PROVIDER):
        return Rank.PROVIDER
    folded = source.casefold()
    return Rank.AGGREGATOR if any(word in folded for word in _AGGREGATORS) else Rank.CURATED


def merge_models(old: Model, new: Model) -> Model:
    """Merge two descriptions of the same model; of one rank and date, ``new`` wins.

    Fact by fact the better source wins, then the later date, and known wins over unknown. Offers
    of the same provider and remote name merge alike; the others are kept. What a person set
    (``enabled``, tags) stays.
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
    evaluations = {_about(one): one for one in old.evaluations}
    for one in new.evaluations:
        known = evaluations.get(_about(one))
        if known is None or known.as_of <= one.as_of:
            evaluations[_about(one)] = one
    return replace(old, **_better(old, new), evaluations=tuple(evaluations.values()))


def _merge_offers(old: Offer, new: Offer) -> Offer:
    return replace(
        old,
        endpoint=new.endpoint or old.endpoint,
        api_key=new.api_key or old.api_key,
        launch=new.launch or old.launch,
        **_better(old, new),
    )


def _better(old: ModelDescriptor | Offer, new: ModelDescriptor | Offer) -> dict[str, Any]:
    """Pick, for each field that is a fact, what to keep, and what others say otherwise."""
    picked: dict[str, Any] = {}
    disputed: dict[str, tuple[Known[Any], ...]] = {}
    for f in fields(old):
        said = [
            *(_known(old, f.name)),
            *old.disputed.get(f.name, ()),
            *(_known(new, f.name)),
            *new.disputed.get(f.name, ()),
        ]
        if not said:
            continue
        best, *others = _ordered(said)
        picked[f.name] = best
        if others:
            disputed[f.name] = tuple(others[:_KEPT])
    return {**picked, "disputed": disputed}


def _known(record: ModelDescriptor | Offer, name: str) -> tuple[Known[Any], ...]:
    value = getattr(record, name)
    return (cast("Known[Any]", value),) if isinstance(value, Known) else ()


def _ordered(said: list[Known[Any]]) -> list[Known[Any]]:
    """Put what each source says last in order, the best first, one for each value."""
    latest: dict[str, Known[Any]] = {}
    for known in said:
        before = latest.get(known.source)
        if before is None or before.as_of <= known.as_of:
            latest.pop(known.source, None)
            latest[known.source] = known
    # Of equals, what was said last comes first.
    places = {source: place for place, source in enumerate(latest)}
    ranked = sorted(
        latest.values(),
        key=lambda known: (rank_of(known.source), known.as_of, places[known.source]),
        reverse=True,
    )
    values: dict[object, Known[Any]] = {}
    for known in ranked:
        values.setdefault(_comparable(known), known)
    return list(values.values())


def _comparable(known: Known[Any]) -> object:
    value = known.value
    return frozenset(cast("tuple[object, ...]", value)) if isinstance(value, tuple) else value


def _about(one: Evaluation) -> tuple[str, str, str | None, str]:
    return (one.benchmark, one.metric, one.version, one.source)
