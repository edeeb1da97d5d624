"""What is known of tools, models and offers, with who said so and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Generic, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """A descriptor's field that is known: its value, who said so, and when.

    An unknown field is ``None`` in its descriptor. Unknown never passes a hard limit.
    """

    value: T
    source: str
    as_of: date


Disputed: TypeAlias = Mapping[str, tuple[Known[Any], ...]]
"""What other sources say of a field, where it is not what the better source says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One published result of a model."""

    benchmark: str
    metric: str
    score: float
    """As it was published: of some metrics from 0 to 1, of others in percent."""
    source: str
    as_of: date
    version: str | None = None
    """Of the benchmark: its configuration and split."""
    samples: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolDescriptor:
    """What a tool says of its own behaviour (its annotations: claims, not facts)."""

    read_only: Known[bool] | None = None
    destructive: Known[bool] | None = None
    idempotent: Known[bool] | None = None
    open_world: Known[bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescriptor:
    """What a model can do, wherever it is served. ``parameters_b`` is in billions."""

    license: Known[str] | None = None
    open_weights: Known[bool] | None = None
    parameters_b: Known[float] | None = None
    active_parameters_b: Known[float] | None = None
    """Those used for each token, of a mixture of experts."""
    modalities_in: Known[tuple[str, ...]] | None = None
    modalities_out: Known[tuple[str, ...]] | None = None
    languages: Known[tuple[str, ...]] | None = None
    context_tokens: Known[int] | None = None
    max_output_tokens: Known[int] | None = None
    tool_call: Known[bool] | None = None
    structured_output: Known[bool] | None = None
    reasoning: Known[bool] | None = None
    knowledge_cutoff: Known[str] | None = None
    release_date: Known[str] | None = None
    evaluations: tuple[Evaluation, ...] = ()
    disputed: Disputed = field(default_factory=dict[str, tuple[Known[Any], ...]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """The command that serves an offer on this machine: run when needed, ended when idle.

    ``{port}`` in arguments and in ``env`` is the port it must listen at: that of the offer's
    endpoint, or a free one. Both may hold ``${…}`` references.
    """

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    cwd: str | None = None
    health: str = "/health"
    """The path that answers 200 once it serves."""
    start_timeout_s: float = 300.0
    idle_timeout_s: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One provider's terms for a model. Prices are USD per million tokens."""

    provider: str
    remote_model: str
    """The model's name at this provider."""
    endpoint: str | None = None
    """Base URL of an OpenAI-compatible API; without it and ``launch`` it cannot be called."""
    api_key: str | None = None
    """A ``${…}`` reference, never a key."""
    launch: Launch | None = None
    """What serves it on this machine; without ``endpoint``, at ``/v1`` of a free port."""
    region: Known[str] | None = None
    data_policy: Known[str] | None = None
    quantization: Known[str] | None = None
    status: Known[str] | None = None
    price_in_usd: Known[float] | None = None
    price_out_usd: Known[float] | None = None
    price_cache_read_usd: Known[float] | None = None
    context_tokens: Known[int] | None = None
    max_output_tokens: Known[int] | None = None
    requests_per_minute: Known[int] | None = None
    tokens_per_minute: Known[int] | None = None
    deprecation_date: Known[str] | None = None
    """When it ends, as YYYY-MM-DD."""
    p95_first_token_ms: Known[float] | None = None
    """In 95 of 100 calls the answer begins within it, as somebody says; see `Candidate`."""
    p95_latency_ms: Known[float] | None = None
    """In 95 of 100 calls the whole answer is there within it."""
    error_rate: Known[float] | None = None
    """The share of calls that fail, from 0 to 1."""
    # What this provider serves where it differs from the model; these win over the model's.
    open_weights: Known[bool] | None = None
    modalities_in: Known[tuple[str, ...]] | None = None
    modalities_out: Known[tuple[str, ...]] | None = None
    tool_call: Known[bool] | None = None
    structured_output: Known[bool] | None = None
    reasoning: Known[bool] | None = None
    disputed: Disputed = field(default_factory=dict[str, tuple[Known[Any], ...]])

    @property
    def callable(self) -> bool:
        """Whether there is anything to call."""
        return self.endpoint is not None or self.launch is not None
