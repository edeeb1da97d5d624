"""The REST contract: what goes over the wire, shared by server and client.

Knows pydantic and the domain's closed sets, no domain object: the mapping stands in the REST face.
Names are camelCase on the wire; input takes either spelling and refuses unknown fields.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar, cast
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictBool,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from .complaints import complaints
from .errors import InvalidInput
from .numbers import tidy
from .types import (
    ChangeAction,
    ChangePolicy,
    EntryKind,
    NeedSource,
    RatingSource,
    ServerStatus,
    Trust,
    Verdict,
    ViewMode,
)

T = TypeVar("T")

MAX_JSON_DEPTH = 64
_MAX_NUMBER = 2**53
_REFERENCE = r"^\$\{(?:env:|secret:)?[A-Za-z_][A-Za-z0-9_./-]*\}$"


# --- words -------------------------------------------------------------------------------------


def _clean(text: str) -> str:
    """Refuse what a database or an answer cannot hold: NUL and half characters."""
    if "\0" in text:
        raise PydanticCustomError("nul", "must not contain a NUL character")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise PydanticCustomError("surrogate", "must not contain half a character (a surrogate)")
    return text


def _plain_json(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse what JSON cannot carry on: NaN, lone surrogates, NUL, nesting without end."""
    pending: list[tuple[object, int]] = [(value, 1)]
    while pending:
        item, depth = pending.pop()
        if depth > MAX_JSON_DEPTH:
            raise PydanticCustomError(
                "too_deep", "nests deeper than {limit} levels", {"limit": MAX_JSON_DEPTH}
            )
        if isinstance(item, dict):
            members = cast("dict[str, object]", item)
            pending += [(part, depth + 1) for pair in members.items() for part in pair]
        elif isinstance(item, list):
            pending += [(part, depth + 1) for part in cast("list[object]", item)]
        else:
            _check_scalar(item)
    return value


def _check_scalar(item: object) -> None:
    if isinstance(item, str):
        _clean(item)
    elif isinstance(item, float) and not math.isfinite(item):
        raise PydanticCustomError("not_finite", "contains a number that is not finite")


def _no_truth(value: object) -> object:
    """Refuse what is true or false where a number is wanted: to Python they are 1 and 0."""
    if isinstance(value, bool):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


Text = Annotated[str, AfterValidator(_clean)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(_clean)]
ServerNameText = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
]
JsonDict = Annotated[dict[str, Any], AfterValidator(_plain_json)]


def _parsable(url: str) -> str:
    try:
        urlsplit(url)
    except ValueError as error:
        raise PydanticCustomError("url", "is not a URL: {why}", {"why": str(error)}) from error
    return url


Url = Annotated[
    str,
    StringConstraints(max_length=4096, pattern=r"^https?://[^\s/]+"),
    AfterValidator(_clean),
    AfterValidator(_parsable),
]
Tags = Annotated[list[Name], Field(max_length=64)]
Question = Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(_clean)]
Price = Annotated[float, Field(ge=0, le=_MAX_NUMBER, allow_inf_nan=False, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]
Tokens = Annotated[int, Field(ge=1, le=_MAX_NUMBER, strict=True)]
Billions = Annotated[float, Field(gt=0, le=_MAX_NUMBER, allow_inf_nan=False, strict=True)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Words = Annotated[list[Name], Field(max_length=256)]


Figure = Annotated[float, PlainSerializer(tidy, return_type=float)]
"""A number that was worked out."""


class WireOut(BaseModel):
    """What is answered. A client takes fields it does not know, from a later server."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        frozen=True,
        extra="ignore",
    )


class WireIn(BaseModel):
    """What is asked. Unknown fields are refused: a misspelt limit must not pass for none."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
    )

    @classmethod
    def parse(cls, given: object) -> Self:
        """Check input, decoded from JSON or built by hand.

        Raises:
            InvalidInput: It does not fit; the sentence names each field and what is wrong.
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            found = complaints(error.errors(include_url=False, include_input=False))
            raise InvalidInput(f"{'; '.join(map(str, found))}.") from error

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_fields(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        given = cast("Mapping[object, object]", value)
        known = {f.alias or name for name, f in cls.model_fields.items()}
        fields = [str(key) for key in given]
        unknown = [f for f in fields if f not in known and f not in cls.model_fields]
        if unknown:
            near = difflib.get_close_matches(unknown[0], sorted(known), n=1)
            raise PydanticCustomError(
                "unknown_field",
                "has no field {field}{hint}; known fields: {known}",
                {
                    "field": repr(unknown[0][:80]),
                    "hint": f" (did you mean {near[0]!r}?)" if near else "",
                    "known": ", ".join(sorted(known)),
                },
            )
        return given


# --- facts -------------------------------------------------------------------------------------


class FactIn(WireIn, Generic[T]):
    """A field with who said so and when. A plain value may stand for it: source "api", today."""

    value: T
    source: Name = "api"
    as_of: date | None = None


class FactOut(WireOut, Generic[T]):
    """A field that is known. An unknown field is null."""

    value: T
    source: str
    as_of: date


# --- servers -----------------------------------------------------------------------------------


class StdioIn(WireIn):
    """A server run as a child process. An environment value may be a ``${…}`` reference."""

    type: Literal["stdio"]
    command: Annotated[Text, Field(min_length=1, max_length=4096)]
    args: Annotated[list[Text], Field(max_length=1024)] = []
    env: dict[Name, Text] = {}
    cwd: Text | None = None


class HttpIn(WireIn):
    """A server reached over Streamable HTTP (``http``) or the superseded HTTP+SSE (``sse``)."""

    type: Literal["http", "sse"]
    url: Url
    headers: dict[Name, Text] = {}

    @field_validator("headers")
    @classmethod
    def _one_line(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if any(char in part for part in (name, value) for char in "\r\n"):
                raise PydanticCustomError("header", "a header must not contain a line break")
        return headers


class CatalogIn(WireIn):
    """No live server: its tools are given by hand or imported. They are found, not called."""

    type: Literal["catalog"]
    source: Name = "api"


TransportIn = Annotated[StdioIn | HttpIn | CatalogIn, Field(discriminator="type")]


class ServerIn(WireIn):
    """A server to register, or to put in the place of one."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "issues",
                    "transport": {
                        "type": "http",
                        "url": "https://mcp.example.com/mcp",
                        "headers": {"Authorization": "Bearer ${ISSUES_TOKEN}"},
                    },
                    "tags": ["work"],
                }
            ]
        }
    )

    name: ServerNameText
    transport: TransportIn
    enabled: StrictBool = True
    tags: Tags = []
    start_timeout_s: Seconds = 60.0
    call_timeout_s: Seconds | None = None
    """The deadline of a call; the server's setting unless given."""
    on_change: ChangePolicy | None = None
    """What a change at the server does to its entries; the server's setting unless given."""


class ServerPatch(WireIn):
    """What to change of a server; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"tags": ["work", "beta"]}]})

    transport: TransportIn | None = None
    enabled: StrictBool | None = None
    tags: Tags | None = None
    start_timeout_s: Seconds | None = None
    call_timeout_s: Seconds | None = None
    on_change: ChangePolicy | None = None


class TransportOut(WireOut):
    """How a server is reached. Values of ``env`` and ``headers`` are masked; references show."""

    type: Literal["stdio", "http", "sse", "catalog"]
    command: str | None = None
    args: list[str] | None = None
    env: dict[str, str] | None = None
    cwd: str | None = None
    url: str | None = None
    headers: dict[str, str] | None = None
    source: str | None = None


class MalformedOut(WireOut):
    """One listed object that was set aside, and why."""

    kind: EntryKind
    name: str
    reason: str


class HealthOfServerOut(WireOut):
    """What the last attempt to reach a server showed."""

    status: ServerStatus
    attempted_at: datetime | None = None
    synced_at: datetime | None = None
    error: str | None = None
    protocol_version: str | None = None
    reported_name: str | None = None
    reported_version: str | None = None
    instructions: str | None = None
    malformed: list[MalformedOut] = []
    """What it lists that could not be read, and was left out."""


class ServerOut(WireOut):
    """A registered server."""

    name: str
    transport: TransportOut
    enabled: bool
    callable: bool
    tags: list[str]
    origin: str
    start_timeout_s: float
    call_timeout_s: float | None = None
    """The deadline of a call; none is the setting ``TOOLCRIB_CALL_TIMEOUT_S``."""
    on_change: ChangePolicy = ChangePolicy.MARK
    health: HealthOfServerOut
    added_at: datetime | None = None
    endpoint: str | None = None
    """The path at which it is served over MCP as it is; a catalogue is not."""


class StderrOut(WireOut):
    """What a server said on its standard error, in lines with their times, oldest first."""

    lines: list[str]


# --- entries -----------------------------------------------------------------------------------


class MarkOut(WireOut):
    """Why an entry is to be looked at: a reason, and a sentence. What cannot be seen is escaped."""

    reason: str
    detail: str = ""


class EntryOut(WireOut):
    """A tool, prompt, resource or model, as listings show it."""

    id: str
    kind: EntryKind
    name: str
    title: str | None = None
    description: str = ""
    server: str | None = None
    local_name: str | None = None
    tags: list[str] = []
    enabled: bool = True
    source_id: str | None = None
    revision: int = 0
    added_at: datetime | None = None
    updated_at: datetime | None = None
    stale_since: datetime | None = None
    """Its server could not be reached since it was last seen then: it may have changed."""
    trust: Trust = Trust.TRUSTED
    """``quarantined`` is neither found nor callable until it is approved."""
    marks: list[MarkOut] = []
    definition: dict[str, Any] | None = None
    """The object its server listed, untouched; only where one entry is asked for."""


class ToolOut(EntryOut):
    """A tool with its schemas and what it says of its behaviour."""

    input_schema: dict[str, Any] = {}
    output_schema: dict[str, Any] | None = None
    read_only: FactOut[bool] | None = None
    destructive: FactOut[bool] | None = None
    idempotent: FactOut[bool] | None = None
    open_world: FactOut[bool] | None = None


class ToolIn(WireIn):
    """A tool to add to a catalogue: a server of type ``catalog``."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "server": "handbook",
                    "name": "expense_report",
                    "description": "File an expense report for a trip.",
                    "inputSchema": {"type": "object", "properties": {"trip": {"type": "string"}}},
                    "tags": ["finance"],
                    "questions": ["How do I get back what the trip cost?"],
                }
            ]
        }
    )

    server: ServerNameText
    name: Name
    title: Name | None = None
    description: Annotated[Text, Field(max_length=100_000)] = ""
    input_schema: JsonDict = {"type": "object"}
    tags: Annotated[list[Name], Field(max_length=16)] = []
    """Words that filters know it by."""
    depends_on: Annotated[list[Name], Field(max_length=64)] = []
    """Names of tools of this catalogue that must be called before it."""
    questions: Annotated[list[Question], Field(max_length=16)] = []
    """What somebody would ask who needs it; one that shares no words with it is not heard."""


# --- models ------------------------------------------------------------------------------------


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


# --- search ------------------------------------------------------------------------------------


Query = Annotated[Text, Field(min_length=1, max_length=100_000)]


class SearchQuery(WireIn):
    """What is looked for."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"query": "what time is it in Tokyo", "k": 3}]}
    )

    query: Query | Annotated[list[Query], Field(min_length=1, max_length=16)]
    """The task, or its steps: the answer covers each of them."""
    k: Annotated[int, Field(ge=1, le=1000), BeforeValidator(_no_truth)] = 5
    kinds: list[EntryKind] | None = None
    servers: list[Name] | None = None
    tags: Tags | None = None
    """Each must be on the entry or on its server."""
    read_only: StrictBool = False
    """Only tools that say that they only read."""
    destructive: StrictBool = True
    """False: only tools that say that they destroy nothing, or that they only read."""
    detail: Literal["name", "brief", "full"] = "brief"
    """``name``: names and scores. ``brief``: descriptions, shortened. ``full``: definitions too."""
    max_tokens: Annotated[int, Field(ge=1, le=_MAX_NUMBER)] | None = None
    """Leave out the last hits when the hits together would have more tokens."""
    rerank: Literal["auto", "on", "off"] = "auto"
    """Whether a second stage orders the best: ``auto`` where there is time for it."""
    split: StrictBool = True
    """Split a task of several steps, and cover each."""
    fold: StrictBool = True
    """Put near-duplicates under the best of them, as its ``alternatives``."""
    dependencies: StrictBool = True
    """Bring along what the hits depend on."""
    explain: StrictBool = False
    """Say of every signal what it gave to the score, not only which retriever found a hit."""
    group_by: Literal["server"] | None = None


class SignalOut(WireOut):
    """Where one signal ranked a hit (1 is first), its own score, and its part of the hit's."""

    rank: int
    score: float
    contribution: float | None = None


class SearchHit(WireOut):
    """One found entry. ``signals`` says what found it."""

    id: str
    kind: EntryKind
    name: str
    score: float
    signals: dict[str, SignalOut] = {}
    server: str | None = None
    title: str | None = None
    description: str | None = None
    definition: dict[str, Any] | None = None
    model: ModelOut | None = None
    likelihood: float | None = None
    """Calibrated probability that it fits; null while nothing is calibrated."""
    alternatives: list[str] = []
    """Names of near-duplicates, best first."""
    required_by: list[str] = []
    """Names of the hits that depend on it, when that is why it is here."""
    required_how: NeedSource | None = None
    """How that is known: declared by its owner, learned from calls, or read off schemas."""
    required_why: str | None = None
    """The same in words, for what was learned, where an explanation is asked for."""
    steps: list[int] = []
    """Which steps it answers, as places in the results' ``steps``, from 0."""
    marked: list[str] = []
    """Why it wants a look, if it does."""
    stale_since: datetime | None = None
    """Its server could not be reached since it was last seen then: it may have changed."""


class SearchGroup(WireOut):
    """The hits of one server, by name, best first; null is none's."""

    server: str | None
    names: list[str]


class GroundsOut(WireOut):
    """How often a search says wrongly that nothing fits, and what says so."""

    error_rate: float
    """Of the questions that have an answer, the share that is said to have none."""
    basis: str
    """confirmed: questions that had an answer; registry: its own scale; shipped: neither."""
    questions: int = 0
    """How many were confirmed, where the error rate rests on them."""


class SearchResults(WireOut):
    """The hits, best first, true for a revision of the registry."""

    query: str | list[str]
    hits: list[SearchHit]
    revision: int
    searched: int
    left_out: int = 0
    """Hits dropped to stay within ``maxTokens``."""
    steps: list[str] = []
    """The steps of the task; empty when it is one."""
    unanswered: list[int] = []
    """Steps, as places in ``steps``, for which nothing seems to fit."""
    split_by: Literal["asker", "rules", "model"] | None = None
    """Who found the steps; null where it is one."""
    read_by: str | None = None
    """The model that read the query, where one did."""
    english: str | None = None
    """The query in English, as that model read it, where it was in another language."""
    notice: str | None = None
    """What to know of how the query was understood, as that its script is unknown."""
    unwanted: list[str] = []
    """What the query says is not wanted: it was not searched for."""
    likelihood: float | None = None
    """Calibrated probability that anything here fits; null while nothing is calibrated."""
    abstained: bool = False
    """Nothing seems to fit: the hits are the nearest there are, and unlikely."""
    grounds: GroundsOut | None = None
    """What ``abstained`` rests on; null while nothing is calibrated."""
    reranked: bool = False
    took_ms: float = 0.0
    """What finding them took; an answer that is asked for again is not found again."""
    lexical_only: bool = False
    """Entries were found by their words alone: all of them, or those that have no vector."""
    lexical_only_reason: str | None = None
    groups: list[SearchGroup] | None = None


# --- selection ---------------------------------------------------------------------------------


class ConstraintsIn(WireIn):
    """Hard limits on a model. An unknown field never passes one."""

    max_price_in_usd: Price | None = None
    max_price_out_usd: Price | None = None
    max_cost_usd: Price | None = None
    """Of one call of ``tokensIn`` and ``tokensOut``."""
    tokens_in: Annotated[int, Field(ge=0, le=_MAX_NUMBER, strict=True)] | None = None
    tokens_out: Annotated[int, Field(ge=0, le=_MAX_NUMBER, strict=True)] | None = None
    min_context_tokens: Tokens | None = None
    min_output_tokens: Tokens | None = None
    modalities_in: Words = []
    modalities_out: Words = []
    licenses: Words | None = None
    """SPDX identifiers, in any case."""
    open_weights: StrictBool | None = None
    regions: Words | None = None
    abilities: list[Literal["tool_call", "structured_output", "reasoning"]] = []
    max_parameters_b: Billions | None = None
    max_p95_first_token_ms: Price | None = None
    """In 95 of 100 calls the answer begins within it; measured over 20 calls, or as stated."""
    max_p95_latency_ms: Price | None = None
    max_error_rate: Share | None = None
    providers: Words | None = None
    without_providers: Words = []

    @field_validator("abilities", mode="before")
    @classmethod
    def _either_spelling(cls, value: object) -> object:
        spellings = {"toolCall": "tool_call", "structuredOutput": "structured_output"}
        if not isinstance(value, list):
            return value
        words = cast("list[object]", value)
        return [spellings.get(word, word) if isinstance(word, str) else word for word in words]


Weight = Annotated[float, Field(ge=0, le=_MAX_NUMBER, allow_inf_nan=False)]


class WeightsIn(WireIn):
    """What is weighed, where past outcomes say anything: quality, and cost and latency as shares of
    the dearest and the slowest model's. Budgets are for what one call is expected to take.
    """  # noqa: D205  # the sentences are one

    quality: Weight = 1.0
    cost: Weight = 0.0
    latency: Weight = 0.0
    max_cost_usd: Weight | None = None
    max_latency_ms: Weight | None = None
    default: Name | None = None
    """The model that is kept unless another's expected gain exceeds its uncertainty."""


class SelectQuery(WireIn):
    """What a model is wanted for, and under which limits."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "task": "summarise a contract",
                    "constraints": {"maxPriceInUsd": 1, "minContextTokens": 100000},
                    "objective": "relevance",
                }
            ]
        }
    )

    task: Annotated[Text, Field(min_length=1, max_length=100_000)]
    constraints: ConstraintsIn = ConstraintsIn()
    objective: Literal["relevance", "cost", "context", "latency"] = "relevance"
    weights: WeightsIn = WeightsIn()
    k: Annotated[int, Field(ge=1, le=1000)] = 5
    max_exclusions: Annotated[int, Field(ge=0, le=10_000)] = 20


class ViolationOut(WireOut):
    """One limit that was not met. A ``value`` of null is unknown."""

    field: str
    value: Any = None
    bound: str
    source: str | None = None
    as_of: date | None = None


class ExclusionOut(WireOut):
    """A model at a provider that was excluded, and why."""

    model: str
    provider: str | None = None
    violations: list[ViolationOut]
    reason: str


class ExpectationOut(WireOut):
    """What past outcomes let one expect of a model for this task, with its 90 % interval."""

    model: str
    quality: Figure
    low: Figure
    high: Figure
    outcomes: int
    """Of the model, that were learned from; 0: it is expected by what it resembles."""
    cost_usd: Figure | None = None
    latency_ms: Figure | None = None
    reliability: Figure = 1.0
    """The share of calls that is not sure to fail, by those that were measured."""
    ground: str | None = None
    """Which calls cost and latency were measured over; null: they are from outcomes, or prices."""
    utility: Figure
    on_front: bool
    """No other is at least as good in quality, cost and latency, and better in one."""
    within_budget: bool


class ForecastOut(WireOut):
    """What a call at an offer should cost and take, retries included; null is unknown."""

    tokens_in: int
    tokens_out: Figure
    cost_usd: Figure | None = None
    latency_ms: Figure | None = None
    calls: int
    """That were measured lately; 0: cost is from prices, latency from what is stated."""
    ground: str | None = None
    error_rate: Figure | None = None
    changed: str | None = None
    """What changed lately, where older calls are left out for it."""


class DomainVerdictOut(WireOut):
    """Whether a task is of a domain that the operator described."""

    name: str | None = None
    """Null: it is outside of all."""
    nearest: str
    in_domain: bool
    score: float
    threshold: float
    share: float
    """Of the calibrating queries, those no nearer than this one."""
    reason: str


class StageOut(WireOut):
    """One stage of a selection, and what came of it."""

    stage: str
    said: str


class RoutingOut(WireOut):
    """What past outcomes say among the models that meet every limit."""

    choice: str | None = None
    default: str | None = None
    """What was held against it."""
    gain: Figure | None = None
    uncertainty: Figure | None = None
    """What the gain had to exceed; null: nothing would have been enough."""
    domain: DomainVerdictOut | None = None
    reasons: list[str] = []
    ranked: list[ExpectationOut] = []
    stages: list[StageOut] = []


class ChoiceOut(WireOut):
    """One choice: a model at its best offer, and why it stands here."""

    model: str
    title: str | None = None
    relevance: Figure
    offer: OfferOut | None = None
    alternatives: list[str] = []
    """The other providers that meet every limit, best first."""
    reasons: list[str] = []
    expected: ExpectationOut | None = None
    forecast: ForecastOut | None = None


class SelectResults(WireOut):
    """The choices, best first, and what was excluded."""

    choices: list[ChoiceOut]
    exclusions: list[ExclusionOut]
    """The first ``maxExclusions`` of them."""
    excluded_by: dict[str, int]
    """How many candidates each field excludes."""
    considered: int
    passed: int
    notes: list[str] = []
    revision: int = 0
    routing: RoutingOut | None = None
    """Null while nothing was learned from outcomes, or where another objective was asked for."""


# --- calls, syncs, changes ---------------------------------------------------------------------


class CallIn(WireIn):
    """A tool to call, by its full name."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "time__get_current_time", "arguments": {"timezone": "Asia/Tokyo"}}
            ]
        }
    )

    name: Name
    arguments: JsonDict = {}
    timeout_s: Seconds | None = None


class CallOut(WireOut):
    """The tool's answer. ``isError`` is the tool's own word: the call itself went through."""

    name: str
    content: list[dict[str, Any]] = []
    structured_content: Any = None
    is_error: bool = False
    duration_ms: float


class ResultPageOut(WireOut):
    """A page of a result that was too large to hand on at once. The first page is 1."""

    text: str
    mime_type: str
    page: int
    pages: int
    bytes: int
    """Of the whole, which may be more than is kept."""
    next: str | None = None
    """Where the next page is; null on the last."""


class UsageOut(WireOut):
    """What a model's call took. ``estimated``: the provider did not say, or not plausibly."""

    tokens_in: int
    tokens_out: int
    estimated: bool = False
    cost_usd: float | None = None
    """Null when a price is unknown."""


class ChatOut(WireOut):
    """A model's answer, who gave it, and why it was asked."""

    model: str
    provider: str | None = None
    text: str = ""
    message: dict[str, Any] = {}
    finish_reason: str | None = None
    reasons: list[str] = []
    failed: list[dict[str, str]] = []
    """The offers that were asked before, and how each failed."""
    usage: UsageOut
    cascade: dict[str, Any] | None = None
    """Who was asked on the way up and what the checks said, where a cascade was asked for."""
    cache: dict[str, Any] | None = None
    """What came of looking for an earlier answer, where one was looked for."""
    examples: list[dict[str, Any]] = []
    """The earlier answers that were shown to the model."""
    answer: dict[str, Any] = {}
    """The whole answer, as the provider gave it."""


class SyncIn(WireIn):
    """Which servers to sync; all enabled ones unless named."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"servers": ["time"]}]})

    servers: Annotated[list[ServerNameText], Field(max_length=10_000)] | None = None


class SyncReportOut(WireOut):
    """What a sync of one server did. ``error`` is null when it succeeded."""

    server: str
    status: ServerStatus
    added: list[str] = []
    updated: list[str] = []
    removed: list[str] = []
    quarantined: list[str] = []
    """New or changed, and neither found nor callable until somebody approves."""
    marked: list[str] = []
    """Among those added, updated and quarantined: what somebody should look at."""
    unchanged: int = 0
    malformed: int = 0
    """Listed objects that could not be read, and were left out."""
    skipped: bool = False
    """Another process was at it; nothing was done here."""
    revision: int = 0
    duration_s: float = 0.0
    error: str | None = None


class SyncOut(WireOut):
    """The reports, in the order of the servers."""

    reports: list[SyncReportOut]


class SyncStatusOut(WireOut):
    """How far the registry and its index are. ``indexRevision`` is null until the index opens."""

    revision: int
    index_revision: int | None = None
    servers: int
    entries: dict[str, int]


class PieceOut(WireOut):
    """Some words in a row of a text that changed. What cannot be seen is escaped in ``text``."""

    fate: Literal["kept", "removed", "added"]
    text: str


class EditOut(WireOut):
    """One difference between what was said before and after, by its path."""

    path: str
    kind: Literal["added", "removed", "changed", "reworded", "members", "reordered", "more"]
    text: str
    """It in one line, for people: ``inputSchema.properties.limit: type integer -> string``."""
    words: list[PieceOut] | None = None
    """Of a text: what became of its words, with a few around each change."""
    gained: list[str] | None = None
    """Of a list of words, as ``required``: what it has now and had not."""
    lost: list[str] | None = None


class ChangeOut(WireOut):
    """One committed change."""

    revision: int
    at: datetime
    actor: str
    action: ChangeAction
    subject: str
    server: str | None = None
    fields: list[str] = []
    related: str | None = None
    """What replaced it, or what it replaces, when it was renamed."""
    marks: list[MarkOut] = []
    diff: list[EditOut] | None = None
    """How before and after differ, where that was asked for; at most 200 places."""
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


class ChangesOut(WireOut):
    """Changes after a revision, oldest first. Ask on from ``next`` until ``items`` is empty."""

    items: list[ChangeOut]
    next: int


class RevisionOut(WireOut):
    """An entry as one of its own revisions left it."""

    revision: int
    at: datetime
    actor: str
    action: ChangeAction
    subject: str
    server: str | None = None
    fields: list[str] = []
    related: str | None = None
    marks: list[MarkOut] = []
    diff: list[EditOut] | None = None
    definition: dict[str, Any] | None = None
    """What its owner said of it; of a removal, what was removed. Not in the list of them all."""


class RevisionsOut(WireOut):
    """The revisions of one entry that is or was there, oldest first."""

    subject: str
    items: list[RevisionOut]


class SyncServerOut(WireOut):
    """How one server's sync stands."""

    server: str
    status: ServerStatus
    enabled: bool = True
    stale: bool = False
    """Its last good entries are kept although it could not be reached since."""
    lag_s: float | None = None
    """Seconds since the registry last said what the server said; null before the first sync."""
    in_progress: bool = False
    failures: int = 0
    """Attempts that failed in a row."""
    error: str | None = None
    attempted_at: datetime | None = None
    synced_at: datetime | None = None
    changed_at: datetime | None = None
    fresh_until: datetime | None = None
    next_attempt_at: datetime | None = None
    duration_ms: float | None = None


class SyncRatesOut(WireOut):
    """How fast syncing went over the last minute in this process."""

    syncs_per_s: float = 0.0
    failures_per_s: float = 0.0
    changes_per_s: float = 0.0


class SyncServersOut(WireOut):
    """How every live server's sync stands, by name."""

    items: list[SyncServerOut]
    rates: SyncRatesOut = SyncRatesOut()


class PageOut(WireOut, Generic[T]):
    """One page; ``nextCursor`` is null on the last."""

    items: list[T]
    next_cursor: str | None = None


# --- problems and health -----------------------------------------------------------------------


class FieldProblemOut(WireOut):
    """One field that does not fit: a dotted path ('' is the whole), what is wrong, what fits."""

    path: str
    problem: str
    expected: str = ""


class ProblemOut(WireOut):
    """An error, after RFC 9457. ``data`` carries what the error's own class knows."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:toolcrib:problem:not-found",
                    "title": "Not found",
                    "status": 404,
                    "code": "not-found",
                    "detail": "No tool is named 'tiem'. Did you mean: time__now?",
                    "data": {"what": "tool", "name": "tiem", "near": ["time__now"]},
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str | None = None
    errors: list[FieldProblemOut] = []
    data: dict[str, Any] = {}


class RootOut(WireOut):
    """What this is, and what is where."""

    name: str = "toolcrib"
    version: str
    mcp: str = "/mcp"
    api: str = "/api/v1"
    openapi: str = "/openapi.json"
    health: str = "/healthz"


class HealthOut(WireOut):
    """The process is alive."""

    status: Literal["ok"] = "ok"
    version: str


class ReadyOut(WireOut):
    """Whether it serves, and what keeps it from doing so."""

    ready: bool
    blockers: list[str] = []
    degraded: list[str] = []
    """What does not work as it should while it serves, as search by words alone."""
    revision: int | None = None
    index_revision: int | None = None


# --- learning from use -------------------------------------------------------------------------


class FeedbackIn(WireIn):
    """What came of an entry for a query. ``name`` is the entry's, as search gave it."""

    query: Annotated[Text, Field(min_length=1, max_length=100_000)]
    """What was searched for; its first 4,000 characters are kept."""
    name: Name
    verdict: Verdict = Verdict.WORKED


class FeedbackOut(WireOut):
    """Feedback as it was recorded."""

    id: str
    at: datetime
    kind: EntryKind
    name: str
    verdict: Verdict
    weight: float
    """How plausible search finds it, 0 to 1: how much it counts while nobody else agrees."""


class ForgottenOut(WireOut):
    """How many outcomes were forgotten."""

    forgotten: int


class AnswerCacheOut(WireOut):
    """How the cache of answers stands, in the process that was asked."""

    mode: str
    """off, exact, semantic or examples: what the operator allows."""
    answers: int
    bytes: int
    outcomes: dict[str, int]
    """Chats since the process started: exact, near, miss, skipped."""
    refusals: dict[str, int]
    """Similar questions that were found to ask something else, by what differs."""
    saved_usd: float
    examples: int = 0
    """Earlier answers that were shown to smaller models."""


class LearningWait(WireOut):
    """Something that learning waits for."""

    what: str
    have: int
    needed: int


class TenantLearningOut(WireOut):
    """How learning stands with one tenant."""

    tenant: str
    outcomes: int
    in_use: str | None = None
    """What searches use of it; null is nothing."""
    reason: str
    judged_at: datetime | None = None
    confirmed: int = 0
    """Questions that are known to have had an answer, when it was last replayed."""
    abstains_by: str
    """What the error rate of abstaining rests on."""
    waits: list[LearningWait] = []
    """What is too little yet."""
    report: dict[str, Any] | None = None
    """The last replay: NDCG@10 before, and the gain of each way of using what was learned."""


class LearningOut(WireOut):
    """How learning is set, and how it stands with each tenant that has outcomes."""

    mode: str
    tenants: list[TenantLearningOut] = []


# --- outcomes of models, domains ---------------------------------------------------------------


class OutcomeIn(WireIn):
    """How a model did on a query: at least one of score, cost and latency."""

    query: Annotated[Text, Field(min_length=1, max_length=100_000)]
    """Its first 16,000 characters are kept."""
    model: Name
    score: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    cost_usd: Weight | None = None
    latency_ms: Weight | None = None


class OutcomesIn(WireIn):
    """Outcomes of models. ``tenant`` and ``source`` are for administrators."""

    outcomes: Annotated[list[OutcomeIn], Field(min_length=1, max_length=10_000)]
    tenant: Name | None = None
    """Whose selections they may influence: your own unless given; ``everyone`` is all."""
    source: RatingSource = RatingSource.FEEDBACK


class RefusalOut(WireOut):
    """An outcome that was not taken."""

    where: str
    reason: str


class RecordedOut(WireOut):
    """What became of outcomes that were sent."""

    added: int
    updated: int
    unchanged: int
    refused: list[RefusalOut] = []


class ModelOutcomeOut(WireOut):
    """An outcome as it is kept."""

    id: str
    at: datetime
    tenant: str
    principal: str
    query: str
    model: str
    score: float | None = None
    cost_usd: float | None = None
    latency_ms: float | None = None
    source: RatingSource


class ModelOutcomesOut(WireOut):
    """Outcomes, the latest first."""

    items: list[ModelOutcomeOut]


class TenantRoutingOut(WireOut):
    """How routing stands with one tenant."""

    tenant: str
    outcomes: int
    latest: datetime | None = None
    state: str
    """used, unjudged, refused, waiting, learning, failed or off."""
    reason: str
    queries: int = 0
    models: list[str] = []
    best_single: str | None = None
    domains: list[str] = []
    drifts: list[str] = []
    set_aside: list[str] = []
    """Principals whose outcomes are not heard, each with the reason."""
    learned_at: datetime | None = None
    took_s: float | None = None


class RoutingStateOut(WireOut):
    """How routing is set, and how it stands with each tenant that has outcomes."""

    mode: str
    tenants: list[TenantRoutingOut] = []


class DomainIn(WireIn):
    """Examples of a domain's queries."""

    examples: Annotated[
        list[Annotated[Text, Field(min_length=1, max_length=100_000)]],
        Field(min_length=1, max_length=2_000),
    ]


class DomainOut(WireOut):
    """A domain; ``*`` is the queries that set the threshold."""

    name: str
    examples: list[str]


class DomainsOut(WireOut):
    """Every domain, by name."""

    items: list[DomainOut]


# --- views -------------------------------------------------------------------------------------


ToolName = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(_clean)]


class MembersIn(WireIn):
    """Tools of any of these servers, with any of these tags, or of these names."""

    servers: Annotated[list[ServerNameText], Field(max_length=10_000)] = []
    tags: Tags = []
    tools: Annotated[list[ToolName], Field(max_length=20_000)] = []


class ToolOverrideIn(WireIn):
    """How a view shows and calls one of its tools; what is left out is as its server says."""

    tool: ToolName
    """Its name in the registry."""
    name: Name | None = None
    title: Name | None = None
    description: Annotated[Text, Field(max_length=100_000)] | None = None
    defaults: JsonDict = {}
    """Arguments that are sent where the caller gives none. The values are not shown."""
    fixed: JsonDict = {}
    """Arguments that are always sent; the caller neither sees nor gives them."""
    hidden: Words = []
    """Parameters that the caller neither sees nor gives."""


class ViewIn(WireIn):
    """A view: a subset of the registry, served as a server of its own at ``/mcp/v/NAME``."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "desk",
                    "title": "Desk work",
                    "description": "Use these tools for mail and time.",
                    "include": {"servers": ["time"], "tags": ["mail"]},
                    "exclude": {"tools": ["mail__delete_account"]},
                    "overrides": [
                        {
                            "tool": "time__convert_time",
                            "name": "convert_time",
                            "defaults": {"source_timezone": "Europe/Berlin"},
                        }
                    ],
                    "pinned": ["time__convert_time"],
                    "mode": "auto",
                }
            ]
        }
    )

    name: Name
    title: Name | None = None
    description: Annotated[Text, Field(max_length=100_000)] = ""
    """Instructions for the model that uses it."""
    include: MembersIn = MembersIn()
    exclude: MembersIn = MembersIn()
    """What is excluded is out, however it was included."""
    overrides: Annotated[list[ToolOverrideIn], Field(max_length=10_000)] = []
    pinned: Annotated[list[ToolName], Field(max_length=1_000)] = []
    """Names in the registry of tools that are always shown, in this order."""
    mode: ViewMode = ViewMode.AUTO
    context_tokens: Tokens = 200_000
    """How long a context is taken to be."""
    share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.05
    """Which part of a context the definitions may take, to be listed one by one."""


class MembersOut(WireOut):
    """What a view selects by."""

    servers: list[str] = []
    tags: list[str] = []
    tools: list[str] = []


class ToolOverrideOut(WireOut):
    """How a view shows and calls one of its tools. Values are shown to administrators alone."""

    tool: str
    name: str | None = None
    title: str | None = None
    description: str | None = None
    defaults: dict[str, Any] = {}
    fixed: dict[str, Any] = {}
    hidden: list[str] = []


class ViewOut(WireOut):
    """A view as it is kept, and where it is served."""

    name: str
    title: str | None = None
    description: str = ""
    include: MembersOut = MembersOut()
    exclude: MembersOut = MembersOut()
    overrides: list[ToolOverrideOut] = []
    pinned: list[str] = []
    mode: ViewMode = ViewMode.AUTO
    context_tokens: int = 200_000
    share: float = 0.05
    revision: int = 0
    added_at: datetime | None = None
    updated_at: datetime | None = None
    mcp: str = ""
    """The path of its MCP endpoint."""


class ListedToolOut(WireOut):
    """A tool as a client of the view is shown it."""

    name: str
    tool: str
    """Its name in the registry."""
    server: str
    title: str | None = None
    description: str = ""
    input_schema: dict[str, Any] = {}
    tokens: int


class ViewShownOut(WireOut):
    """What a client of a view is shown now."""

    name: str
    searches: bool
    """Whether its tools are searched for, because they are too many to list."""
    tools: int
    """How many tools it has."""
    prompts: int = 0
    resources: int = 0
    listed: list[ListedToolOut] = []
    """Those of its tools that are shown one by one, in order."""
    tokens: int
    """What a client is shown takes of a context, with the tools that search the view."""
    all_tokens: int
    """What all its tools would take."""
    budget_tokens: int
    problems: list[str] = []
    """What of the view does not hold any more."""
    notes: list[str] = []
    """What it selects without naming it and leaves out, as tools that are disabled."""
