"""The better source wins, then the later date; what others say stays beside it."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_registry.types import Evaluation, Known, Model, ModelDescriptor, Offer
from toolcrib_server.catalog.merge import Rank, merge_models, rank_of

OLD, NEW = date(2026, 1, 1), date(2026, 9, 1)


def model(context: int, source: str, day: date) -> Model:
    says = ModelDescriptor(context_tokens=Known(context, source, day))
    return Model(name="m", descriptor=says)


@pytest.mark.parametrize(
    ("source", "rank"),
    [
        ("api", Rank.OPERATOR),
        ("huggingface:org/m", Rank.PROVIDER),
        ("endpoint:http://x/v1", Rank.PROVIDER),
        ("base_models.jsonl", Rank.CURATED),
        ("litellm_model_prices_1.109.1.json", Rank.AGGREGATOR),
        ("openrouter_snapshot.jsonl", Rank.AGGREGATOR),
    ],
)
def test_sources_are_ranked_by_name(source: str, rank: Rank) -> None:
    assert rank_of(source) is rank


def test_the_better_source_wins_though_it_is_older_and_the_other_stays_visible() -> None:
    merged = merge_models(model(8, "huggingface:m", OLD), model(4, "litellm.json", NEW)).descriptor
    assert merged.context_tokens == Known(8, "huggingface:m", OLD)
    assert merged.disputed == {"context_tokens": (Known(4, "litellm.json", NEW),)}


def test_of_equal_sources_the_later_wins_and_of_equal_dates_the_new() -> None:
    for day in (NEW, OLD):
        merged = merge_models(model(8, "a.jsonl", OLD), model(4, "b.jsonl", day)).descriptor
        assert merged.context_tokens == Known(4, "b.jsonl", day)


def test_a_source_that_says_something_new_disputes_nothing_with_itself() -> None:
    merged = merge_models(model(8, "a.jsonl", OLD), model(4, "a.jsonl", NEW)).descriptor
    assert merged.context_tokens == Known(4, "a.jsonl", NEW)
    assert not merged.disputed


def test_sources_that_agree_dispute_nothing() -> None:
    merged = merge_models(model(8, "a.jsonl", OLD), model(8, "litellm.json", NEW)).descriptor
    assert not merged.disputed


def test_evaluations_of_all_sources_are_kept_each_once() -> None:
    def rated(score: float, source: str, day: date) -> Model:
        one = Evaluation(benchmark="MMLU", metric="acc", score=score, source=source, as_of=day)
        return Model(name="m", descriptor=ModelDescriptor(evaluations=(one,)))

    merged = merge_models(rated(0.5, "a", OLD), rated(0.6, "a", NEW))
    merged = merge_models(merged, rated(0.7, "b", OLD))
    assert [(e.score, e.source) for e in merged.descriptor.evaluations] == [(0.6, "a"), (0.7, "b")]


def test_offers_dispute_too() -> None:
    def offered(price: float, source: str) -> Model:
        offer = Offer(provider="p", remote_model="m", price_in_usd=Known(price, source, OLD))
        return Model(name="m", offers=(offer,))

    (offer,) = merge_models(offered(1, "litellm.json"), offered(2, "own.jsonl")).offers
    assert offer.price_in_usd == Known(2, "own.jsonl", OLD)
    assert offer.disputed["price_in_usd"][0].value == 1


SAID = st.tuples(
    st.integers(1, 3), st.sampled_from(["api", "huggingface:m", "litellm"]), st.dates(OLD, NEW)
)


@given(st.lists(SAID, min_size=1, max_size=5, unique_by=lambda said: said[1:]))
def test_merging_again_changes_nothing(said: list[tuple[int, str, date]]) -> None:
    merged = model(*said[0])
    for one in said[1:]:
        merged = merge_models(merged, model(*one))
    assert merge_models(merged, merged) == merged
