"""One model at one provider, with what is known of the pair: what a choice chooses between.

Where an offer says something of its own, that wins over what is said of the model in general.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeVar

from toolcrib_registry.types import Known, Model, Offer

from .measured import Figures, as_fact

T = TypeVar("T")

_PER_MILLION = 1_000_000
MEASURED_FACTS = ("p95_first_token_ms", "p95_latency_ms", "error_rate")
"""Fields that calls measure, whatever an offer says of them."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model and one offer of it, with the model's relevance to the task.

    ``offer`` is None for a model that nobody is known to serve: it has no price and no region.
    What was measured over enough calls wins over what anybody says of latency and errors.
    """

    model: Model
    offer: Offer | None = None
    relevance: float = 0.0
    figures: Figures | None = None
    """What its calls measured; None when it was never called."""

    @property
    def provider(self) -> str | None:
        """Who serves it."""
        return self.offer.provider if self.offer else None

    @property
    def callable(self) -> bool:
        """Whether it can be called: somebody serves it, at an endpoint or by a command."""
        return self.offer is not None and self.offer.callable

    @property
    def label(self) -> str:
        """Its name for people: ``model at provider``."""
        return f"{self.model.name} at {self.offer.provider}" if self.offer else self.model.name

    @property
    def price_in_usd(self) -> Known[float] | None:
        """USD per million tokens sent."""
        return self.offer.price_in_usd if self.offer else None

    @property
    def price_out_usd(self) -> Known[float] | None:
        """USD per million tokens received."""
        return self.offer.price_out_usd if self.offer else None

    @property
    def region(self) -> Known[str] | None:
        """Where the offer is served."""
        return self.offer.region if self.offer else None

    @property
    def context_tokens(self) -> Known[int] | None:
        """How much fits, in and out together."""
        own = self.offer.context_tokens if self.offer else None
        return own or self.model.descriptor.context_tokens

    @property
    def max_output_tokens(self) -> Known[int] | None:
        """How much it writes at most."""
        own = self.offer.max_output_tokens if self.offer else None
        return own or self.model.descriptor.max_output_tokens

    @property
    def modalities_in(self) -> Known[tuple[str, ...]] | None:
        """What can be sent to it."""
        own = self.offer.modalities_in if self.offer else None
        return own or self.model.descriptor.modalities_in

    @property
    def modalities_out(self) -> Known[tuple[str, ...]] | None:
        """What it answers with."""
        own = self.offer.modalities_out if self.offer else None
        return own or self.model.descriptor.modalities_out

    @property
    def open_weights(self) -> Known[bool] | None:
        """Whether its weights are published."""
        own = self.offer.open_weights if self.offer else None
        return own or self.model.descriptor.open_weights

    @property
    def tool_call(self) -> Known[bool] | None:
        """Whether it calls tools."""
        own = self.offer.tool_call if self.offer else None
        return own or self.model.descriptor.tool_call

    @property
    def structured_output(self) -> Known[bool] | None:
        """Whether its output can be held to a schema."""
        own = self.offer.structured_output if self.offer else None
        return own or self.model.descriptor.structured_output

    @property
    def reasoning(self) -> Known[bool] | None:
        """Whether it reasons before it answers."""
        own = self.offer.reasoning if self.offer else None
        return own or self.model.descriptor.reasoning

    @property
    def p95_first_token_ms(self) -> Known[float] | None:
        """Within what the answer begins in 95 of 100 calls."""
        figures = self.figures
        own = figures and as_fact(figures.first_token_ms_p95, figures.streamed, figures)
        return own or (self.offer.p95_first_token_ms if self.offer else None)

    @property
    def p95_latency_ms(self) -> Known[float] | None:
        """Within what the whole answer is there in 95 of 100 calls."""
        figures = self.figures
        own = figures and as_fact(figures.latency_ms_p95, figures.answered, figures)
        return own or (self.offer.p95_latency_ms if self.offer else None)

    @property
    def error_rate(self) -> Known[float] | None:
        """The share of its calls that fail."""
        figures = self.figures
        own = figures and as_fact(figures.error_rate, figures.calls, figures)
        return own or (self.offer.error_rate if self.offer else None)

    @property
    def known_offer(self) -> Offer | None:
        """Its offer with what was measured; what others say otherwise stands under ``disputed``."""
        offer = self.offer
        if offer is None or self.figures is None:
            return offer
        facts: dict[str, Known[float]] = {}
        disputed = dict(offer.disputed)
        for name in MEASURED_FACTS:
            known, stated = getattr(self, name), getattr(offer, name)
            if known is not None and known is not stated:
                facts[name] = known
                if stated is not None and stated.value != known.value:
                    disputed[name] = (stated, *offer.disputed.get(name, ()))
        return replace(offer, **facts, disputed=disputed)

    def cost_usd(self, *, tokens_in: int, tokens_out: int) -> Known[float] | None:
        """Estimate what a call of that size costs; None when a price that it needs is unknown.

        A price for tokens that the call does not use need not be known.
        """
        parts = [(self.price_in_usd, tokens_in), (self.price_out_usd, tokens_out)]
        used = [(price, tokens) for price, tokens in parts if tokens]
        known = [(price, tokens) for price, tokens in used if price is not None]
        if len(known) < len(used):
            return None
        total = sum(price.value * tokens for price, tokens in known) / _PER_MILLION
        sources = dict.fromkeys(price.source for price, _ in known)
        as_of = min((price.as_of for price, _ in known), default=date.min)
        return Known(total, ", ".join(sources) or "no tokens", as_of)


def candidates_of(model: Model, *, relevance: float = 0.0) -> Iterator[Candidate]:
    """Yield a candidate for each offer of a model, or one without an offer when it has none."""
    if not model.offers:
        yield Candidate(model, None, relevance)
    for offer in model.offers:
        yield Candidate(model, offer, relevance)
