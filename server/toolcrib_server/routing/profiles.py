"""Descriptors as routing reads them: size, price, family, and what was published of quality."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean
from typing import TYPE_CHECKING, Final

from toolcrib_registry.types import Evaluation, Model, Offer

if TYPE_CHECKING:
    from toolcrib_server.selection.routing.profile import Profile

_SHARE_IN: Final = 0.75
"""Of a typical call's tokens, those that are sent."""
_PERCENT: Final = 100.0
TYPICAL_TOKENS: Final = (750, 250)
"""Sent and received by a call whose size nobody knows."""
_PER_MILLION: Final = 1_000_000
_NOT_A_SHARE: Final = ("perplexity", "loss", "wer", "cer", "elo", "mse", "mae", "rmse", "ter")
"""Metrics that are no share of what was asked, or better when lower."""


def profile_of(model: Model) -> Profile:
    """Read a model's profile."""
    from toolcrib_server.selection.routing.profile import Profile  # noqa: PLC0415  # slow

    size, active = model.descriptor.parameters_b, model.descriptor.active_parameters_b
    told = size or active
    return Profile(
        name=model.name,
        family=model.family,
        parameters_b=told.value if told else None,
        price_usd=price_per_million(model),
        evaluation=mean_evaluation(model.descriptor.evaluations),
    )


def price_per_million(model: Model) -> float | None:
    """Give the price of a million tokens, three in to one out, at its cheapest offer."""
    prices = (_blended(offer) for offer in model.offers)
    return min((price for price in prices if price is not None), default=None)


def typical_cost_usd(model: Model) -> float | None:
    """Estimate what a call costs of which nothing was measured."""
    price = price_per_million(model)
    return None if price is None else price * sum(TYPICAL_TOKENS) / _PER_MILLION


def mean_evaluation(evaluations: Iterable[Evaluation]) -> float | None:
    """Average what was published, from 0 to 1; None where nothing of that kind was."""
    shares = [share for one in evaluations if (share := _share(one)) is not None]
    return fmean(shares) if shares else None


def _share(one: Evaluation) -> float | None:
    metric = one.metric.casefold()
    if any(word in metric for word in _NOT_A_SHARE):
        return None
    score = one.score / _PERCENT if 1 < one.score <= _PERCENT else one.score
    return score if 0 <= score <= 1 else None


def _blended(offer: Offer) -> float | None:
    sent, received = offer.price_in_usd, offer.price_out_usd
    if sent is None or received is None:
        return None
    return _SHARE_IN * sent.value + (1 - _SHARE_IN) * received.value
