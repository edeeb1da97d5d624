"""Model catalogues in four shapes. Rows are models.dev's and litellm's (both MIT), shortened."""

import json
from datetime import UTC, date, datetime

import pytest

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import Known
from toolcrib_server.catalog.merge import merge_models
from toolcrib_server.catalog.models import read_models
from toolcrib_server.catalog.problem import Problem

DAY = date(2026, 10, 1)
# anomalyco/models.dev f3fc692, MIT
BASE = {
    "id": "alibaba/qwen-max",
    "name": "Qwen Max",
    "family": "qwen",
    "release_date": "2024-04-03",
    "knowledge": "2024-04",
    "context": 32768,
    "max_output": 8192,
    "modalities_in": ["text"],
    "modalities_out": ["text"],
    "tool_call": True,
    "reasoning": False,
    "structured_output": None,
    "open_weights": False,
    "license": None,
}
OFFER = {
    "id": "302ai/MiniMax-M1",
    "provider": "302ai",
    "model": "MiniMax-M1",
    "base_model": None,
    "name": "MiniMax-M1",
    "price_in_per_1m": 0.132,
    "price_out_per_1m": 1.254,
    "price_cache_read_per_1m": None,
    "context": 1000000,
    "max_output": 128000,
    "modalities_in": ["text"],
    "modalities_out": ["text"],
    "tool_call": True,
    "reasoning": False,
    "structured_output": None,
    "open_weights": False,
    "license": None,
    "release_date": "2025-06-16",
    "status": None,
}
# BerriAI/litellm 1.109.1, MIT
LITELLM = {
    "sample_spec": {
        "litellm_provider": "one of https://docs.litellm.ai/docs/providers",
        "max_input_tokens": "max input tokens, if the provider specifies it",
        "mode": "one of: chat, embedding",
    },
    "mistral/zai-glm-5-2": {
        "cache_read_input_token_cost": 1.4e-07,
        "deprecation_date": "2026-10-31",
        "input_cost_per_token": 1.4e-06,
        "litellm_provider": "mistral",
        "max_input_tokens": 1048576,
        "max_output_tokens": 131072,
        "mode": "chat",
        "output_cost_per_token": 4.4e-06,
        "supports_function_calling": True,
        "supports_reasoning": True,
        "supports_response_schema": True,
    },
}
OPENROUTER = {
    "id": "inclusionai/ring-2.6-1t:free",
    "name": "inclusionAI: Ring-2.6-1T (free)",
    "hugging_face_id": None,
    "context": 262144,
    "max_output": 65536,
    "modalities_in": ["text"],
    "modalities_out": ["text"],
    "price_in_per_1m": 0.0,
    "price_out_per_1m": 0.0,
    "supported_parameters": ["max_tokens", "reasoning", "tools"],
    "knowledge_cutoff": None,
    "description": "A 1T-parameter thinking model.",
}


def only(source, **options):
    catalog = read_models(source, as_of=DAY, **options)
    assert catalog.problems == ()
    (model,) = catalog.models
    return model


def test_a_model_of_models_dev_is_read_with_unknown_left_unknown():
    model = only([BASE], name="base.jsonl")
    assert (model.name, model.title, model.family) == ("alibaba/qwen-max", "Qwen Max", "qwen")
    assert model.descriptor.context_tokens == Known(32768, "base.jsonl", DAY)
    assert model.descriptor.modalities_in == Known(("text",), "base.jsonl", DAY)
    assert model.descriptor.structured_output is None
    assert model.descriptor.license is None
    assert model.offers == ()


def test_an_offer_without_a_base_makes_its_own_model():
    model = only([OFFER])
    (offer,) = model.offers
    assert (model.name, offer.provider, offer.remote_model) == (
        "MiniMax-M1",
        "302ai",
        "MiniMax-M1",
    )
    assert offer.price_in_usd == Known(0.132, "api", DAY)
    assert offer.price_cache_read_usd is None
    assert offer.status is None


def test_offers_join_their_base_and_keep_their_own_word_where_it_differs():
    alike = {**OFFER, "base_model": BASE["id"], "provider": "a"}
    other = {**alike, "provider": "b", "tool_call": False, "modalities_in": ["image", "text"]}
    model = only([alike, other], base=[BASE])
    assert model.name == BASE["id"]
    assert model.descriptor.tool_call is not None
    assert model.descriptor.tool_call.value is True
    first, second = model.offers
    assert first.tool_call is None
    assert second.tool_call == Known(False, "api", DAY)
    assert second.modalities_in == Known(("image", "text"), "api", DAY)
    assert first.context_tokens == Known(1_000_000, "api", DAY)


def test_an_offer_that_names_no_base_inherits_nothing_from_a_namesake():
    namesake = {**OFFER, "model": BASE["id"], "id": f"302ai/{BASE['id']}", "tool_call": None}
    catalog = read_models([namesake], base=[BASE], as_of=DAY)
    assert [model.name for model in catalog.models] == [BASE["id"], f"302ai/{BASE['id']}"]
    assert catalog.models[0].offers == ()
    assert catalog.models[1].descriptor.tool_call is None


def test_without_a_base_only_what_all_offers_agree_on_is_the_models():
    one = {**OFFER, "provider": "a", "structured_output": True}
    two = {**OFFER, "provider": "b", "structured_output": None, "tool_call": False}
    model = only([one, two])
    assert model.descriptor.structured_output is None
    assert model.descriptor.tool_call is None
    assert model.descriptor.reasoning == Known(False, "api", DAY)
    assert [offer.structured_output is None for offer in model.offers] == [False, True]
    assert [value.tool_call.value for value in model.offers if value.tool_call] == [True, False]


def test_a_price_of_zero_is_known_and_a_window_of_zero_is_not():
    model = only([{**OFFER, "price_in_per_1m": 0, "price_out_per_1m": None, "context": 0}])
    (offer,) = model.offers
    assert offer.price_in_usd == Known(0, "api", DAY)
    assert offer.price_out_usd is None
    assert offer.context_tokens is None


def test_litellms_prices_become_prices_of_a_million():
    catalog = read_models(LITELLM, as_of=DAY, name="litellm")
    (model,) = catalog.models
    (offer,) = model.offers
    assert model.name == "mistral/zai-glm-5-2"
    assert offer.provider == "mistral"
    assert offer.price_in_usd == Known(1.4, "litellm", DAY)
    assert offer.price_out_usd == Known(4.4, "litellm", DAY)
    assert offer.price_cache_read_usd == Known(0.14, "litellm", DAY)
    assert offer.status == Known("deprecated from 2026-10-31", "litellm", DAY)
    assert model.descriptor.context_tokens == Known(1048576, "litellm", DAY)
    assert model.descriptor.structured_output == Known(True, "litellm", DAY)
    assert model.descriptor.modalities_in == Known(("text",), "litellm", DAY)
    (problem,) = catalog.problems
    assert problem.where == "sample_spec"


def test_openrouters_parameters_become_abilities():
    model = only([OPENROUTER])
    assert model.descriptor.tool_call == Known(True, "api", DAY)
    assert model.descriptor.structured_output == Known(False, "api", DAY)
    assert model.descriptor.open_weights is None
    assert model.offers[0].price_in_usd == Known(0.0, "api", DAY)


def test_openrouters_price_below_zero_is_one_that_varies():
    model = only([{**OPENROUTER, "price_in_per_1m": -1000000.0}])
    assert model.offers[0].price_in_usd is None
    assert model.offers[0].price_out_usd is not None


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: [m], lambda m: {"models": [m]}])
def test_our_own_shape_is_read_alone_or_in_a_list(wrap):
    ours = {"name": "acme/m", "descriptor": {"license": "MIT"}, "offers": [{"provider": "acme"}]}
    model = only(wrap(ours))
    assert model.descriptor.license == Known("MIT", "api", DAY)
    assert model.offers[0].remote_model == "acme/m"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({**OFFER, "price_in_per_1m": -1}, "below zero"),
        ({**OFFER, "price_in_per_1m": "cheap"}, "'price_in_per_1m' must be a number"),
        ({**OFFER, "context": 1.5}, "a whole number"),
        ({**OFFER, "tool_call": "yes"}, "true or false"),
        ({**OFFER, "modalities_in": "text"}, "a list of words"),
        ({**OFFER, "provider": ""}, "no 'provider'"),
        ({**OFFER, "price_in_per_1m": float("nan")}, "finite"),
        ({**BASE, "id": 5}, "'id' must be text"),
        (BASE, "listed twice"),
        ({"name": "m", "licence": "MIT"}, "no field 'licence'"),
        ({"colour": "red"}, "colour"),
        ("text", "object was expected"),
    ],
)
def test_a_malformed_row_is_named_and_the_others_are_read(row, reason):
    catalog = read_models([BASE, row, OPENROUTER], as_of=DAY)
    assert [model.name for model in catalog.models] == [BASE["id"], OPENROUTER["id"]]
    (problem,) = catalog.problems
    assert problem.where == "item 2"
    assert reason in problem.reason


def test_a_file_gives_its_name_and_date_to_what_it_says(tmp_path):
    path = tmp_path / "base_models.jsonl"
    path.write_text(json.dumps(BASE) + "\n\n{broken\n")
    catalog = read_models(path)
    (model,) = catalog.models
    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC).date()
    assert model.descriptor.tool_call == Known(True, "base_models.jsonl", modified)
    (problem,) = catalog.problems
    assert isinstance(problem, Problem)
    assert problem.where == "line 3"


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(InvalidInput, match="No such file"):
        read_models(tmp_path / "absent.json")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(InvalidInput, match="not JSON"):
        read_models(broken)
    for nothing in ("5", '{"colour": 1}'):
        broken.write_text(nothing)
        with pytest.raises(InvalidInput):
            read_models(broken)


def test_merging_keeps_the_later_fact_and_every_offer():
    old = read_models([OFFER], as_of=date(2026, 1, 1), name="old").models[0]
    changed = {**OFFER, "price_in_per_1m": 9, "tool_call": None, "context": None}
    elsewhere = {**OFFER, "provider": "elsewhere"}
    new = read_models([changed, elsewhere], as_of=DAY, name="new").models[0]
    for merged in (merge_models(old, new), merge_models(new, old)):
        by_provider = {offer.provider: offer for offer in merged.offers}
        assert set(by_provider) == {"302ai", "elsewhere"}
        assert by_provider["302ai"].price_in_usd == Known(9, "new", DAY)
        assert by_provider["302ai"].context_tokens == Known(1_000_000, "old", date(2026, 1, 1))
        assert merged.descriptor.tool_call == Known(True, "old", date(2026, 1, 1))
