"""What endpoints list. The answers are shortened from those of vLLM, Ollama and OpenRouter."""

import json
from datetime import date

import pytest

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import Known
from toolcrib_server.catalog.fetched import document_of, read_fetched
from toolcrib_server.catalog.served import base_of, is_list_of_models, read_served

DAY = date(2026, 10, 1)
VLLM = {"object": "list", "data": [{"id": "org/m", "object": "model", "max_model_len": 4096}]}
OLLAMA = {
    "models": [
        {
            "name": "llama3.2:3b",
            "digest": "a80c4f17acd5",
            "details": {
                "family": "llama",
                "parameter_size": "3.2B",
                "quantization_level": "Q4_K_M",
            },
        }
    ]
}
LLAMACPP = {
    "models": [
        {
            "name": "/models/gemma-3-270m-q4_k_m.gguf",
            "digest": "",
            "details": {"format": "gguf", "family": "", "parameter_size": ""},
        }
    ],
    "object": "list",
    "data": [
        {
            "id": "/models/gemma-3-270m-q4_k_m.gguf",
            "object": "model",
            "owned_by": "llamacpp",
            "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
            "meta": {"n_ctx": 4096, "n_ctx_train": 32768, "n_params": 268098176, "ftype": "Q4_K"},
        }
    ],
}
OPENROUTER = {
    "data": [
        {
            "id": "org/m",
            "name": "Org: M",
            "context_length": 8192,
            "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
            "pricing": {"prompt": "0.0000002", "completion": "0.0000006"},
            "top_provider": {"max_completion_tokens": 4096},
            "supported_parameters": ["tools"],
            "expiration_date": "2027-01-31",
        }
    ]
}


def test_an_openai_endpoint_gives_an_offer_that_can_be_called():
    url = "http://localhost:8000/v1/models"
    (model,) = read_served(VLLM, url=url, api_key="${KEY}", as_of=DAY)
    (offer,) = model.offers
    assert (model.name, offer.provider, offer.endpoint, offer.api_key) == (
        "org/m",
        "localhost:8000",
        "http://localhost:8000/v1",
        "${KEY}",
    )
    assert offer.context_tokens == Known(4096, "endpoint:http://localhost:8000/v1", DAY)
    assert offer.price_in_usd is None


def test_llamacpp_lists_in_two_shapes_and_the_one_that_says_something_is_read():
    url = "http://127.0.0.1:8080/v1/models"
    assert is_list_of_models(LLAMACPP)
    (model,) = read_served(LLAMACPP, url=url, api_key=None, as_of=DAY)
    (offer,) = model.offers
    assert (model.name, offer.remote_model) == (
        "gemma-3-270m-q4_k_m",
        "/models/gemma-3-270m-q4_k_m.gguf",
    )
    source = "endpoint:http://127.0.0.1:8080/v1"
    assert model.descriptor.parameters_b == Known(0.268098176, source, DAY)
    assert model.descriptor.modalities_in == Known(("text",), source, DAY)
    assert offer.context_tokens == Known(4096, source, DAY)
    assert offer.quantization == Known("Q4_K", source, DAY)
    assert offer.price_out_usd == Known(0.0, source, DAY)


@pytest.mark.parametrize("meta", [{}, {"n_ctx": 0, "n_params": "many", "ftype": 7}])
def test_what_llamacpp_does_not_say_is_unknown_and_an_alias_is_its_name(meta):
    row = {"id": "my-model", "owned_by": "llamacpp", "meta": meta}
    (model,) = read_served(
        {"data": [row]}, url="http://127.0.0.1:8080/v1/models", api_key="${KEY}", as_of=DAY
    )
    (offer,) = model.offers
    assert (model.name, offer.api_key) == ("my-model", "${KEY}")
    assert (model.descriptor.parameters_b, offer.context_tokens, offer.quantization) == (None,) * 3


def test_ollamas_list_says_size_and_quantisation():
    url = "http://localhost:11434/api/tags"
    (model,) = read_served(OLLAMA, url=url, api_key=None, as_of=DAY)
    source = "ollama:http://localhost:11434/v1"
    assert model.family == "llama"
    assert model.descriptor.parameters_b == Known(3.2, source, DAY)
    assert model.offers[0].quantization == Known("Q4_K_M", source, DAY)
    assert model.offers[0].endpoint == "http://localhost:11434/v1"


def test_openrouters_own_answer_has_prices_per_token():
    url = "https://openrouter.ai/api/v1/models"
    (model,) = read_served(OPENROUTER, url=url, api_key=None, as_of=DAY)
    (offer,) = model.offers
    assert offer.price_in_usd is not None
    assert offer.price_in_usd.value == pytest.approx(0.2)
    assert offer.deprecation_date is not None
    assert model.descriptor.tool_call is not None


@pytest.mark.parametrize("answer", [{}, [], {"data": []}, {"data": [{"id": 1}]}, {"models": [{}]}])
def test_what_is_no_list_is_told(answer):
    assert not is_list_of_models(answer)


def test_a_document_is_read_by_what_it_is():
    url = "https://example.com/models.json"
    own = read_fetched(
        json.dumps([{"name": "m"}]), url=url, name=None, api_key=None, as_of=DAY
    ).models
    assert [model.name for model in own] == ["m"]
    card = read_fetched(
        "---\nlicense: mit\n---\n",
        url="https://huggingface.co/org/m/raw/main/README.md",
        name=None,
        api_key=None,
        as_of=DAY,
    )
    assert card.models[0].name == "org/m"
    with pytest.raises(InvalidInput, match="neither a model card nor JSON"):
        read_fetched("<html>", url=url, name=None, api_key=None, as_of=DAY)


def test_a_models_page_means_its_card():
    card = "https://huggingface.co/org/m/raw/main/README.md"
    assert document_of("https://huggingface.co/org/m") == card
    assert document_of("https://huggingface.co/org/m/tree/main") == card
    assert document_of(card) == card
    assert document_of("http://localhost:8000/v1/models") == "http://localhost:8000/v1/models"
    assert base_of("http://x/v1/models?limit=1") == "http://x/v1"
