"""Models on the wire: what is known of them, and who offers them on which terms."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import ConfigDict, Field, StrictBool, StringConstraints, field_validator
from pydantic_core import PydanticCustomError

from .entries import EntryOut
from .shapes import FactIn, FactOut, WireIn, WireOut
from .words import Billions, Name, Price, Seconds, Share, Tags, Text, Tokens, Url, Words

_REFERENCE = r"^\$\{(?:env:|secret:)?[A-Za-z_][A-Za-z0-9_./-]*\}$"


class EvaluationIn(WireIn):
    """One published result. ``score`` is as it was published."""

    benchmark: Name
    metric: Name
    score: Annotated[float, Field(allow_inf_nan=False)]
    version: Name | None = None
    samples: Tokens | None = None
    source: Name = "api"
    as_of: date | None = None


class DescriptorIn(WireIn):
    """What a model can do. A field left out or null is unknown, and fails every hard limit."""

    license: Name | FactIn[Name] | None = None
    open_weights: StrictBool | FactIn[StrictBool] | None = None
    parameters_b: Billions | FactIn[Billions] | None = None
    active_parameters_b: Billions | FactIn[Billions] | None = None
    """Those used for each token, of a mixture of experts."""
    modalities_in: Words | FactIn[Words] | None = None
    modalities_out: Words | FactIn[Words] | None = None
    languages: Words | FactIn[Words] | None = None
    context_tokens: Tokens | FactIn[Tokens] | None = None
    max_output_tokens: Tokens | FactIn[Tokens] | None = None
    tool_call: StrictBool | FactIn[StrictBool] | None = None
    structured_output: StrictBool | FactIn[StrictBool] | None = None
    reasoning: StrictBool | FactIn[StrictBool] | None = None
    knowledge_cutoff: Name | FactIn[Name] | None = None
    release_date: Name | FactIn[Name] | None = None
    evaluations: Annotated[list[EvaluationIn], Field(max_length=1000)] = []


class LaunchIn(WireIn):
    """The command that serves an offer on this machine: run when needed, ended when idle.

    ``{port}`` in ``args`` and ``env`` is the port it must listen at: the endpoint's, or a free one.
    """

    command: Annotated[Text, Field(min_length=1, max_length=4096)]
    args: Annotated[list[Text], Field(max_length=1024)] = []
    env: dict[Name, Text] = {}
    cwd: Text | None = None
    health: Annotated[Text, Field(pattern=r"^/[^\s]*$", max_length=1024)] = "/health"
    """The path that answers 200 once it serves."""
    start_timeout_s: Seconds = 300.0
    idle_timeout_s: Seconds = 300.0


class OfferIn(WireIn):
    """One provider's terms. Prices are USD per million tokens; null is unknown, 0 is free."""

    provider: Name
    remote_model: Name | None = None
    """The model's name at this provider; its own name unless given."""
    endpoint: Url | None = None
    api_key: Annotated[str, StringConstraints(pattern=_REFERENCE)] | None = None
    """A reference such as ``${OPENAI_API_KEY}``, never the key."""
    launch: LaunchIn | None = None
    region: Name | FactIn[Name] | None = None
    data_policy: Name | FactIn[Name] | None = None
    quantization: Name | FactIn[Name] | None = None
    status: Name | FactIn[Name] | None = None
    price_in_usd: Price | FactIn[Price] | None = None
    price_out_usd: Price | FactIn[Price] | None = None
    price_cache_read_usd: Price | FactIn[Price] | None = None
    context_tokens: Tokens | FactIn[Tokens] | None = None
    max_output_tokens: Tokens | FactIn[Tokens] | None = None
    requests_per_minute: Tokens | FactIn[Tokens] | None = None
    tokens_per_minute: Tokens | FactIn[Tokens] | None = None
    deprecation_date: Name | FactIn[Name] | None = None
    """When it ends, as YYYY-MM-DD."""
    p95_first_token_ms: Price | FactIn[Price] | None = None
    """In 95 of 100 calls the answer begins within it. What is measured here wins over it."""
    p95_latency_ms: Price | FactIn[Price] | None = None
    """In 95 of 100 calls the whole answer is there within it."""
    error_rate: Share | FactIn[Share] | None = None
    """The share of calls that fail, from 0 to 1."""
    open_weights: StrictBool | FactIn[StrictBool] | None = None
    modalities_in: Words | FactIn[Words] | None = None
    modalities_out: Words | FactIn[Words] | None = None
    tool_call: StrictBool | FactIn[StrictBool] | None = None
    structured_output: StrictBool | FactIn[StrictBool] | None = None
    reasoning: StrictBool | FactIn[StrictBool] | None = None


class ModelIn(WireIn):
    """A model to register, or to put in the place of one."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "acme/summarizer-7b",
                    "description": "Summarises long legal contracts in plain English.",
                    "descriptor": {
                        "license": "Apache-2.0",
                        "parametersB": 7,
                        "contextTokens": 131072,
                        "toolCall": {"value": True, "source": "card", "asOf": "2026-10-01"},
                    },
                    "offers": [
                        {
                            "provider": "acme",
                            "endpoint": "https://models.example.com/v1",
                            "apiKey": "${ACME_API_KEY}",
                            "priceInUsd": 0.1,
                            "priceOutUsd": 0.4,
                        }
                    ],
                }
            ]
        }
    )

    name: Name
    title: Name | None = None
    description: Annotated[Text, Field(max_length=100_000)] = ""
    family: Name | None = None
    tags: Tags = []
    enabled: StrictBool = True
    descriptor: DescriptorIn = DescriptorIn()
    offers: Annotated[list[OfferIn], Field(max_length=1000)] = []

    @field_validator("name")
    @classmethod
    def _fits_a_path(cls, name: str) -> str:
        if name != name.strip("/ ") or "//" in name:
            raise PydanticCustomError(
                "model_name", "must not begin or end with a slash or space, or hold '//'"
            )
        if name.endswith(("/enable", "/disable")):
            raise PydanticCustomError("model_name", "must not end in /enable or /disable")
        if {".", ".."} & set(name.split("/")):
            raise PydanticCustomError("model_name", "must not hold '.' or '..' between slashes")
        return name


class EvaluationOut(WireOut):
    """One published result of a model."""

    benchmark: str
    metric: str
    score: float
    version: str | None = None
    samples: int | None = None
    source: str
    as_of: date


class DescriptorOut(WireOut):
    """What is known of a model; null is unknown."""

    license: FactOut[str] | None = None
    open_weights: FactOut[bool] | None = None
    parameters_b: FactOut[float] | None = None
    active_parameters_b: FactOut[float] | None = None
    modalities_in: FactOut[list[str]] | None = None
    modalities_out: FactOut[list[str]] | None = None
    languages: FactOut[list[str]] | None = None
    context_tokens: FactOut[int] | None = None
    max_output_tokens: FactOut[int] | None = None
    tool_call: FactOut[bool] | None = None
    structured_output: FactOut[bool] | None = None
    reasoning: FactOut[bool] | None = None
    knowledge_cutoff: FactOut[str] | None = None
    release_date: FactOut[str] | None = None
    evaluations: list[EvaluationOut] = []
    disputed: dict[str, list[FactOut[Any]]] = {}
    """By field, what other sources say where the better source says otherwise."""


class LaunchOut(WireOut):
    """The command that serves an offer. Values of ``env`` are masked; references show."""

    command: str
    args: list[str] = []
    env: dict[str, str] = {}
    cwd: str | None = None
    health: str = "/health"
    start_timeout_s: float = 300.0
    idle_timeout_s: float = 300.0


class OfferOut(WireOut):
    """One provider's terms; null is unknown."""

    provider: str
    remote_model: str
    endpoint: str | None = None
    api_key: str | None = None
    launch: LaunchOut | None = None
    region: FactOut[str] | None = None
    data_policy: FactOut[str] | None = None
    quantization: FactOut[str] | None = None
    status: FactOut[str] | None = None
    price_in_usd: FactOut[float] | None = None
    price_out_usd: FactOut[float] | None = None
    price_cache_read_usd: FactOut[float] | None = None
    context_tokens: FactOut[int] | None = None
    max_output_tokens: FactOut[int] | None = None
    requests_per_minute: FactOut[int] | None = None
    tokens_per_minute: FactOut[int] | None = None
    deprecation_date: FactOut[str] | None = None
    p95_first_token_ms: FactOut[float] | None = None
    p95_latency_ms: FactOut[float] | None = None
    error_rate: FactOut[float] | None = None
    open_weights: FactOut[bool] | None = None
    modalities_in: FactOut[list[str]] | None = None
    modalities_out: FactOut[list[str]] | None = None
    tool_call: FactOut[bool] | None = None
    structured_output: FactOut[bool] | None = None
    reasoning: FactOut[bool] | None = None
    disputed: dict[str, list[FactOut[Any]]] = {}


class ModelOut(EntryOut):
    """A model, what is known of it, and who serves it."""

    family: str | None = None
    descriptor: DescriptorOut = DescriptorOut()
    offers: list[OfferOut] = []
