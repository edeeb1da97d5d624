"""A candidate is a model at a provider, where the provider's word wins."""

from datetime import date

from toolcrib_registry.types import Known, Model, ModelDescriptor, Offer
from toolcrib_server.selection.candidate import Candidate, candidates_of

DAY = date(2026, 10, 1)


def known(value):
    return Known(value, "catalogue", DAY)


def test_an_offers_own_limit_wins_over_the_models():
    model = Model(name="m", descriptor=ModelDescriptor(context_tokens=known(200_000)))
    short = Offer(provider="p", remote_model="m", context_tokens=known(8_000))
    silent = Offer(provider="q", remote_model="m")
    assert Candidate(model, short).context_tokens == known(8_000)
    assert Candidate(model, silent).context_tokens == known(200_000)
    assert Candidate(Model(name="n"), silent).context_tokens is None


def test_an_offers_own_no_wins_over_the_models_yes():
    model = Model(name="m", descriptor=ModelDescriptor(tool_call=known(True)))
    offer = Offer(provider="p", remote_model="m", tool_call=known(False))
    assert Candidate(model, offer).tool_call == known(False)


def test_cost_is_known_only_when_every_price_it_needs_is():
    offer = Offer(provider="p", remote_model="m", price_in_usd=known(2.0))
    candidate = Candidate(Model(name="m"), offer)
    assert candidate.cost_usd(tokens_in=1000, tokens_out=1) is None
    cost = candidate.cost_usd(tokens_in=500_000, tokens_out=0)
    assert cost is not None
    assert cost.value == 1.0
    assert cost.source == "catalogue"
    assert cost.as_of == DAY


def test_a_free_offer_costs_a_known_zero():
    offer = Offer(provider="p", remote_model="m", price_in_usd=known(0.0), price_out_usd=known(0.0))
    cost = Candidate(Model(name="m"), offer).cost_usd(tokens_in=10, tokens_out=10)
    assert cost is not None
    assert cost.value == 0


def test_a_model_without_offers_is_one_candidate_without_a_price():
    (candidate,) = candidates_of(Model(name="m"), relevance=0.5)
    assert candidate.offer is None
    assert candidate.price_in_usd is None
    assert candidate.label == "m"
    assert candidate.relevance == 0.5
