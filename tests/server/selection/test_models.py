"""Selection: no candidate that breaks a limit, the right order, and a reason for everything."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolcrib_embeddings.testing import HashEncoder
from toolcrib_migrations import open_store
from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryKind, Known, Launch, Model, ModelDescriptor, Offer
from toolcrib_server.selection.candidate import Candidate, candidates_of
from toolcrib_server.selection.constraint import Ability, Constraints
from toolcrib_server.selection.models import ModelSelector, Objective, select_models
from toolcrib_server.sync.indexer import Indexer

DAY = date(2026, 10, 1)


def known(value: Any) -> Known[Any]:
    return Known(value, "catalogue", DAY)


def candidate(
    name: str,
    *,
    provider: str = "p",
    price: float | None = 1.0,
    context: int | None = 1000,
    relevance: float = 0.5,
) -> Candidate:
    offer = Offer(
        provider=provider,
        remote_model=name,
        price_in_usd=None if price is None else known(price),
        price_out_usd=None if price is None else known(price),
        context_tokens=None if context is None else known(context),
    )
    return Candidate(Model(name=name), offer, relevance)


def names(selection) -> list[str]:
    return [choice.candidate.model.name for choice in selection.choices]


# --- ranking ---------------------------------------------------------------------------------


def test_the_most_relevant_comes_first_and_ties_go_to_the_cheaper_then_by_name():
    found = select_models(
        [
            candidate("c", relevance=0.5, price=1),
            candidate("b", relevance=0.5, price=1),
            candidate("dear", relevance=0.5, price=9),
            candidate("unpriced", relevance=0.5, price=None),
            candidate("best", relevance=0.9, price=99),
        ]
    )
    assert names(found) == ["best", "b", "c", "dear", "unpriced"]


def test_cost_ranks_the_cheapest_first_and_the_unknown_last():
    found = select_models(
        [
            candidate("unpriced", price=None, relevance=1.0),
            candidate("dear", price=5),
            candidate("free", price=0),
        ],
        objective=Objective.COST,
    )
    assert names(found) == ["free", "dear", "unpriced"]


def test_context_ranks_the_longest_first_and_the_unknown_last():
    found = select_models(
        [candidate("none", context=None), candidate("short"), candidate("long", context=9000)],
        objective=Objective.CONTEXT,
    )
    assert names(found) == ["long", "short", "none"]


def test_a_model_is_chosen_once_at_its_best_offer():
    found = select_models(
        [candidate("m", provider="dear", price=5), candidate("m", provider="cheap", price=1)]
    )
    (choice,) = found.choices
    assert choice.candidate.provider == "cheap"
    assert [other.provider for other in choice.alternatives] == ["dear"]
    assert found.passed == 2


def test_the_size_of_the_call_decides_which_is_cheaper():
    def offer(name: str, sent: float, received: float) -> Candidate:
        prices = Offer(
            provider="p",
            remote_model=name,
            price_in_usd=known(sent),
            price_out_usd=known(received),
        )
        return Candidate(Model(name=name), prices)

    both = [offer("cheap-in", 1, 100), offer("cheap-out", 10, 10)]
    reader = Constraints(tokens_in=100_000, tokens_out=10)
    writer = Constraints(tokens_in=10, tokens_out=100_000)
    assert names(select_models(both, reader, objective=Objective.COST))[0] == "cheap-in"
    assert names(select_models(both, writer, objective=Objective.COST))[0] == "cheap-out"


# --- explanations ----------------------------------------------------------------------------


def test_every_choice_and_every_exclusion_is_explained():
    found = select_models(
        [candidate("cheap", price=1), candidate("dear", price=5), candidate("dark", price=None)],
        Constraints(max_price_in_usd=2),
    )
    assert names(found) == ["cheap"]
    assert any("Meets every limit" in reason for reason in found.choices[0].reasons)
    assert any("USD" in reason and "catalogue" in reason for reason in found.choices[0].reasons)
    said = [str(exclusion) for exclusion in found.exclusions]
    assert said == [
        (
            "dear at p: price_in_usd is 5 (catalogue, 2026-10-01), "
            "and must be at most 2 USD per million tokens"
        ),
        "dark at p: price_in_usd is unknown, and must be at most 2 USD per million tokens",
    ]
    assert found.excluded_by == {"price_in_usd": 2}


def test_an_answer_without_limits_says_so():
    assert "No limit was set" in select_models([candidate("m")]).notes[0]


def test_an_empty_registry_is_said():
    assert any("No model is registered" in note for note in select_models([]).notes)


def test_limits_that_nobody_meets_are_said_with_the_one_that_matters():
    found = select_models(
        [candidate("a", price=5), candidate("b", price=6)],
        Constraints(max_price_in_usd=2, min_context_tokens=10),
    )
    assert found.choices == ()
    assert any(note.startswith("All ") and "excluded, by" in note for note in found.notes)
    assert any("Without the limit on price_in_usd, 2" in note for note in found.notes)


def test_contradictory_limits_are_said():
    found = select_models([candidate("a")], Constraints(providers=frozenset()))
    assert found.choices == ()
    assert any("empty list" in note for note in found.notes)


def test_k_cuts_the_choices_and_not_the_exclusions():
    many = [candidate(f"m{i}") for i in range(9)] + [candidate("dear", price=50)]
    found = select_models(many, Constraints(max_price_in_usd=2), k=3)
    assert len(found.choices) == 3
    assert (found.passed, len(found.exclusions), found.considered) == (9, 1, 10)


def test_a_deprecated_offer_says_that_it_is():
    offer = Offer(provider="p", remote_model="m", status=known("deprecated"))
    found = select_models([Candidate(Model(name="m"), offer)])
    assert any("deprecated" in reason for reason in found.choices[0].reasons)


# --- the law ---------------------------------------------------------------------------------

maybe_flag = st.none() | st.booleans().map(known)
words = st.lists(st.sampled_from(["text", "image", "audio", "pdf"]), unique=True, min_size=1)
maybe_words = st.none() | words.map(tuple).map(known)
prices = st.sampled_from([0.0, 0.05, 0.3, 1.25, 15.0, 75.0])
maybe_price = st.none() | prices.map(known)
sizes = st.sampled_from([4_096, 128_000, 131_072, 1_048_576])
maybe_size = st.none() | sizes.map(known)
providers = st.sampled_from(["openai", "Azure", "nano-gpt", "kilo"])
licenses = st.sampled_from(["MIT", "mit", "Apache-2.0", "llama3", "MIT OR Apache-2.0"])
regions = st.sampled_from(["eu", "eu-west-1", "us-east-1", "global"])
optional = {
    "open_weights": maybe_flag,
    "modalities_in": maybe_words,
    "modalities_out": maybe_words,
    "context_tokens": maybe_size,
    "max_output_tokens": maybe_size,
    "tool_call": maybe_flag,
    "structured_output": maybe_flag,
    "reasoning": maybe_flag,
}
descriptors = st.builds(
    ModelDescriptor,
    license=st.none() | licenses.map(known),
    parameters_b=st.none() | st.sampled_from([0.5, 7.0, 70.0]).map(known),
    **optional,
)
offers = st.builds(
    Offer,
    provider=providers,
    remote_model=st.just("m"),
    region=st.none() | regions.map(known),
    price_in_usd=maybe_price,
    price_out_usd=maybe_price,
    **optional,
)
models = st.builds(
    Model,
    name=st.sampled_from(["a/x", "b/y", "c/z"]),
    descriptor=descriptors,
    offers=st.lists(offers, max_size=3).map(tuple),
)
some_words = st.frozensets(st.sampled_from(["text", "image"]), max_size=2)
constraints = st.builds(
    Constraints,
    max_price_in_usd=st.none() | prices,
    max_price_out_usd=st.none() | prices,
    max_cost_usd=st.none() | st.sampled_from([0.0, 0.001, 0.1]),
    tokens_in=st.just(1000),
    tokens_out=st.sampled_from([0, 500]),
    min_context_tokens=st.none() | sizes,
    min_output_tokens=st.none() | sizes,
    modalities_in=some_words,
    modalities_out=some_words,
    licenses=st.none() | st.frozensets(st.sampled_from(["mit", "Apache-2.0"])),
    open_weights=st.none() | st.booleans(),
    regions=st.none() | st.frozensets(st.sampled_from(["EU", "us-east-1"])),
    abilities=st.frozensets(st.sampled_from(list(Ability))),
    max_parameters_b=st.none() | st.sampled_from([7.0, 8.0]),
    providers=st.none() | st.frozensets(providers),
    without_providers=st.frozensets(providers),
)


def value(own: Known[Any] | None, general: Known[Any] | None = None) -> Any:
    fact = own if own is not None else general
    return None if fact is None else fact.value


def at_most(actual: float | None, bound: float | None) -> bool:
    return bound is None or (actual is not None and actual <= bound)


def at_least(actual: float | None, bound: float | None) -> bool:
    return bound is None or (actual is not None and actual >= bound)


def cost(offer: Offer, c: Constraints) -> float | None:
    sent, received = value(offer.price_in_usd), value(offer.price_out_usd)
    tokens_in, tokens_out = c.tokens_in or 0, c.tokens_out or 0
    if (tokens_in and sent is None) or (tokens_out and received is None):
        return None
    return ((sent or 0) * tokens_in + (received or 0) * tokens_out) / 1e6 - 1e-12


def in_region(region: str, allowed: frozenset[str]) -> bool:
    return any(region == a.lower() or region.startswith(a.lower() + "-") for a in allowed)


def breaks(found: Candidate, c: Constraints) -> list[str]:
    """Hold a chosen candidate against its limits, written out once more in the plainest way."""
    model, offer = found.model.descriptor, found.offer or Offer(provider="", remote_model="")

    def either(name: str) -> Any:
        return value(getattr(offer, name), getattr(model, name))

    provider = offer.provider.lower()
    denied = {p.lower() for p in c.without_providers}
    terms = set((value(model.license) or "").lower().split(" or "))
    holds = {
        "in": at_most(value(offer.price_in_usd), c.max_price_in_usd),
        "out": at_most(value(offer.price_out_usd), c.max_price_out_usd),
        "cost": at_most(cost(offer, c), c.max_cost_usd),
        "context": at_least(either("context_tokens"), c.min_context_tokens),
        "output": at_least(either("max_output_tokens"), c.min_output_tokens),
        "sees": set(c.modalities_in) <= set(either("modalities_in") or ()),
        "says": set(c.modalities_out) <= set(either("modalities_out") or ()),
        "does": all(either(ability) is True for ability in c.abilities),
        "weights": c.open_weights is None or either("open_weights") is c.open_weights,
        "parameters": at_most(value(model.parameters_b), c.max_parameters_b),
        "license": c.licenses is None or bool(terms & {name.lower() for name in c.licenses}),
        "region": c.regions is None or in_region((value(offer.region) or "").lower(), c.regions),
        "allowed": c.providers is None or provider in {p.lower() for p in c.providers},
        "denied": not denied or (bool(provider) and provider not in denied),
    }
    return [name for name, is_met in holds.items() if not is_met]


@settings(max_examples=400, deadline=None)
@given(registered=st.lists(models, max_size=4), limits=constraints)
def test_no_violating_candidate_passes_and_no_good_one_is_excluded(registered, limits):
    candidates = [c for model in registered for c in candidates_of(model)]
    found = select_models(candidates, limits)
    chosen = [c for choice in found.choices for c in (choice.candidate, *choice.alternatives)]
    assert [breaks(c, limits) for c in chosen] == [[]] * len(chosen)
    assert len(chosen) + len(found.exclusions) == len(candidates)
    for exclusion in found.exclusions:
        assert breaks(exclusion.candidate, limits), str(exclusion)
        assert all(v.field and v.bound for v in exclusion.violations)
        assert all(v.value is None or v.source for v in exclusion.violations)


# --- over the registry -----------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path / 'toolcrib.db'}")
    yield store
    store.close()


@pytest.mark.anyio
async def test_the_selector_ranks_the_live_models_of_the_registry(store: Store, tmp_path: Path):
    for name, about in [
        ("acme/poet", "Writes poems and rhymes."),
        ("acme/lawyer", "Summarises contracts for lawyers."),
        ("acme/off", "Summarises contracts for lawyers too."),
    ]:
        store.add_model(Model(name=name, description=about), actor="test")
    store.set_entry_enabled(EntryKind.MODEL, "acme/off", enabled=False, actor="test")
    indexer = Indexer(store, open_encoder=HashEncoder, folder=tmp_path / "index")
    selector = ModelSelector(store, indexer.index)

    found = await selector.select("summarise contracts for lawyers")
    assert names(found) == ["acme/lawyer", "acme/poet"]
    assert found.revision == store.head()

    store.remove_model("acme/lawyer", actor="test")
    assert names(await selector.select("summarise contracts")) == ["acme/poet"]


@pytest.mark.anyio
@pytest.mark.parametrize(("task", "k"), [("  ", 5), ("x", 0), ("x", 1001)])
async def test_the_selector_refuses_what_makes_no_sense(
    store: Store, tmp_path: Path, task: str, k: int
):
    indexer = Indexer(store, open_encoder=HashEncoder, folder=tmp_path / "index")
    with pytest.raises(InvalidInput):
        await ModelSelector(store, indexer.index).select(task, k=k)


@pytest.mark.anyio
async def test_only_what_can_be_called_is_considered_where_that_is_asked_for(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'toolcrib.db'}")
    indexer = Indexer(store, open_encoder=HashEncoder, folder=tmp_path / "index")
    offers = {"known": Offer(provider="a", remote_model="x")}
    offers["served"] = Offer(provider="a", remote_model="x", endpoint="https://x.example/v1")
    offers["started"] = Offer(provider="a", remote_model="x", launch=Launch(command="serve"))
    for name, offer in offers.items():
        model = Model(name=name, description="sums up contracts", offers=(offer,))
        store.add_model(model, actor="test")
    await indexer.catch_up()
    selector = ModelSelector(store, indexer.index)
    found = await selector.select("sums up contracts", callable_only=True)
    assert {choice.candidate.model.name for choice in found.choices} == {"served", "started"}
    assert all(choice.candidate.relevance for choice in found.choices), "each was ranked"
    assert found.considered == 2
    assert (await selector.select("sums up contracts")).considered == 3
    store.close()
