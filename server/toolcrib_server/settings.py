"""Settings: the environment and command line as values. Imports nothing of ours.

Read once, in the command line; everything else is handed what it needs.
"""

from __future__ import annotations

import ipaddress
import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_cache_path, user_data_path
from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

DEFAULT_PORT = 8321
MIN_KEY_LENGTH = 16
MIN_STATE_KEY_LENGTH = 32
_EXAMPLES = {
    "document_weights": '{"document": 1, "questions": 1}',
    "model_budgets": '{"key-1": 5, "*": 1}',
    "call_policy": '{"*": {"retries": 1}, "weather": {"cache_s": 60}}',
    "verifiers": '{"unit-tests": ["python", "check.py"]}',
}


class Settings(BaseSettings):
    """Every setting, its environment variable (``TOOLCRIB_`` + the name) and its default."""

    model_config = SettingsConfigDict(
        env_prefix="TOOLCRIB_", env_nested_delimiter="__", frozen=True, extra="ignore"
    )

    data_dir: Path = Field(
        default_factory=lambda: user_data_path("toolcrib", appauthor=False),
        description="Folder of the database, the index snapshot and the secrets file.",
    )
    database_url: str | None = Field(
        default=None,
        description="Where the registry lives; SQLite in the data folder unless given.",
    )
    cache_dir: Path = Field(
        default_factory=lambda: user_cache_path("toolcrib", appauthor=False),
        description="Folder of the exported encoders; safe to delete.",
    )
    encoder: Path | None = Field(
        default=None,
        description=(
            "Folder of a sentence-transformers model, or a .safetensors delta of the bundled one; "
            "`base` is the bundled one as published. Unless given, the bundled one tuned to tools."
        ),
    )
    token_head: Path | None = Field(
        default=None,
        description=(
            "A .safetensors head of the second stage, as `python -m toolcrib_embeddings.training "
            "late` makes it for this encoder. Unless given, the one that Toolcrib has for it."
        ),
    )
    document_weights: Annotated[dict[str, float], NoDecode] = Field(
        default={},
        description="What parts of an entry weigh in its vector, as JSON: "
        '{"document": 1, "questions": 1, "written": 0.25} unless given.',
    )
    config: Path | None = Field(
        default=None,
        description="An mcpServers file whose servers are registered at every start.",
    )
    host: str = Field(default="127.0.0.1", description="Address that `serve` binds.")
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535, description="Port that `serve` binds.")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Further Host names clients may use, comma-separated.",
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Web origins that may call, comma-separated, as https://app.example.com.",
    )
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(),
        description="Keys that may search, select, call and read, comma-separated.",
    )
    admin_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(),
        description="Keys that may do everything, comma-separated.",
    )
    state_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(),
        description=(
            "Keys that seal what clients carry between the parts of a call, comma-separated: the "
            "first seals, each opens. Replicas need the same. Unless given, one is made and kept "
            "in the data folder."
        ),
    )
    allow_stdio_registration: bool = Field(
        default=False,
        description="Let admin keys register servers that run a command on this machine.",
    )
    sync_interval_s: float = Field(
        default=300.0,
        ge=0,
        description=(
            "Seconds between syncs of a server while serving, with 20 % jitter; 0 turns them off. "
            "A server that says how long its lists stay true is asked then, within the next two."
        ),
    )
    sync_min_interval_s: float = Field(
        default=60.0, gt=0, description="However short-lived a server says that its lists are."
    )
    sync_max_interval_s: float = Field(
        default=3600.0,
        gt=0,
        description="However long-lived a server says that its lists are, or that it will tell.",
    )
    sync_concurrency: int = Field(
        default=32, ge=1, description="How many upstream servers are asked at once."
    )
    on_change: Literal["apply", "mark", "quarantine"] = Field(
        default="mark",
        description=(
            "What a change at a server does to its entries, where it names no policy: apply it, "
            "apply and mark it, or quarantine the entry until it is approved."
        ),
    )
    call_timeout_s: float = Field(
        default=60.0, gt=0, description="Deadline of a call whose server sets none."
    )
    call_policy: Annotated[dict[str, dict[str, Any]], NoDecode] = Field(
        default={},
        description="How calls are treated where that differs from the defaults, as JSON by server "
        'or tool, `*` for all: {"*": {"retries": 1}, "weather": {"cache_s": 60}}. See calls.md.',
    )
    calls_per_minute: int = Field(
        default=0, ge=0, description="How often each key may call, in a minute; 0 is no limit."
    )
    concurrent_calls: int = Field(
        default=0, ge=0, description="How many calls of each key may run at once; 0 is no limit."
    )
    idle_timeout_s: float = Field(
        default=600.0, gt=0, description="How long an unused upstream connection stays open."
    )
    private_idle_timeout_s: float = Field(
        default=300.0,
        gt=0,
        description=(
            "How long an unused upstream connection stays open that belongs to one client, as "
            "servers from before 2026-07-28 need them for clients that can be asked something."
        ),
    )
    private_connections: int = Field(
        default=256, ge=1, description="How many such connections there may be at once."
    )
    private_connections_per_server: int = Field(
        default=64, ge=1, description="How many of them to one upstream server."
    )
    max_processes: int = Field(
        default=100,
        ge=1,
        description=(
            "How many server processes run at once; for one more, the one that was idle for "
            "longest is ended."
        ),
    )
    process_memory_mb: int = Field(
        default=0,
        ge=0,
        description="Memory in MiB that all server processes may take together; 0 is no limit.",
    )
    server_memory_mb: int = Field(
        default=0,
        ge=0,
        description=(
            "Memory in MiB that one server may take, with all that it started, before it is ended "
            "and started again; 0 is no limit."
        ),
    )
    prewarm: int = Field(
        default=0,
        ge=0,
        description=(
            "How many of the servers that were called last are connected to as soon as Toolcrib "
            "serves, rather than when they are called."
        ),
    )
    listen_limit: int = Field(
        default=200,
        ge=0,
        description=(
            "How many upstream servers are listened to for changes at once, each over a connection "
            "that stays open; further ones are polled."
        ),
    )
    max_result_bytes: int = Field(
        default=8 * 1024 * 1024, gt=0, description="Largest message accepted from an upstream."
    )
    model_timeout_s: float = Field(
        default=600.0, gt=0, description="Deadline of a model's call, fallbacks included."
    )
    model_budgets: Annotated[dict[str, float], NoDecode] = Field(
        default={},
        description="USD that keys may spend on models in a UTC day, as JSON by the name of the "
        'key: {"key-1": 5, "*": 1}; `*` is every other.',
    )
    oauth_client_metadata_url: str | None = Field(
        default=None,
        description="Where a document about this Toolcrib is published, over https: its client id "
        "at authorization servers that take one (Client ID Metadata Documents). Without it it "
        "registers itself at each.",
    )
    verifiers: Annotated[dict[str, tuple[str, ...]], NoDecode] = Field(
        default={},
        description="Programs that may check answers of a cascade, as JSON: a name for callers and "
        'the command with its arguments, as {"unit-tests": ["python", "check.py"]}. Question and '
        "answer come as JSON on standard input; exit code 0 accepts.",
    )
    answer_cache: Literal["off", "exact", "semantic", "examples"] = Field(
        default="off",
        description=(
            "Whether answers of models are given again: off; exact, to the same request; semantic, "
            "also where its last message surely asks the same in other words; examples, that, and "
            "where none is, good answers to similar questions are shown to a smaller model. A "
            "request may ask for less."
        ),
    )
    answer_cache_ttl_s: float = Field(
        default=3600.0, gt=0, description="How long an answer may be given again."
    )
    answer_cache_mb: int = Field(
        default=64,
        ge=1,
        description="Memory in MiB that kept answers may take, of all keys together.",
    )
    answer_cache_similarity: float = Field(
        default=0.9,
        ge=0.8,
        le=1,
        description=(
            "How alike (cosine) two last messages must be before their words are compared."
        ),
    )
    answer_cache_sharing: Literal["principal", "everyone"] = Field(
        default="principal",
        description=(
            "Whose requests may be answered by whose answers: each API key's by its own, or all."
        ),
    )
    max_local_models: int = Field(
        default=2, ge=1, description="How many local model servers run at once."
    )
    learning: Literal["off", "feedback", "record", "on"] = Field(
        default="feedback",
        description=(
            "What search learns from: off; feedback that is sent on purpose; on, calls that follow "
            "a search too; record, both, without using them."
        ),
    )
    learning_sharing: Literal["principal", "everyone"] = Field(
        default="principal",
        description="Whose outcomes influence whose searches: each API key's its own, or all.",
    )
    learning_keep: int = Field(
        default=20_000, ge=1, le=1_000_000, description="Outcomes kept of each tenant."
    )
    routing: Literal["off", "record", "on"] = Field(
        default="on",
        description=(
            "Whether `select` uses what past outcomes let expect of models, once that passed its "
            "check: on; record, outcomes are only taken; off, not even that."
        ),
    )
    routing_sharing: Literal["principal", "everyone"] = Field(
        default="principal",
        description=(
            "Whose outcomes influence whose choice of a model: each API key's its own, or all. "
            "What an operator imports is everyone's unless a tenant is named."
        ),
    )
    routing_keep: int = Field(
        default=200_000, ge=1, le=1_000_000, description="Outcomes of models kept of each tenant."
    )
    routing_explore: float = Field(
        default=0.0,
        ge=0,
        le=0.2,
        description=(
            "The share of calls to `auto`, at most, that may go to a model of which too little is "
            "known, within every limit; 0 is never."
        ),
    )
    default_model: str | None = Field(
        default=None,
        description=(
            "The model that is kept unless another's expected gain exceeds its uncertainty; the "
            "one with the best mean score unless given."
        ),
    )
    writer_model: str | None = Field(
        default=None,
        description=(
            "The registered model that writes example questions of tools and reads queries in "
            "other languages or of several steps: its name, or auto. None does unless given: "
            "each call costs time, and may cost money. See writing.md."
        ),
    )
    writer_calls_per_hour: int = Field(
        default=600,
        ge=1,
        description=(
            "How often it is asked in an hour, at most, to write questions in the background; and "
            "as often to read queries: by all processes that share the registry."
        ),
    )
    writer_budget_ms: float = Field(
        default=1000.0,
        ge=0,
        description=(
            "How long a search waits for it to read the query; what comes later is there the next "
            "time. 0 sends it no query."
        ),
    )
    log_level: str = Field(default="warning", description="debug, info, warning or error.")

    @field_validator(
        "allowed_hosts", "allowed_origins", "api_keys", "admin_keys", "state_keys", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("document_weights", "model_budgets", "verifiers", "call_policy", mode="before")
    @classmethod
    def _decode(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value or "{}")
        except ValueError as error:
            shown = _EXAMPLES[str(info.field_name)]
            raise ValueError(f"not a JSON object, as {shown}") from error

    @field_validator("model_budgets")
    @classmethod
    def _not_negative(cls, budgets: dict[str, float]) -> dict[str, float]:
        if not all(0 <= value < math.inf for value in budgets.values()):
            raise ValueError("a budget is 0 USD or more")
        return budgets

    @field_validator("verifiers")
    @classmethod
    def _named_commands(cls, verifiers: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        if not all(name.strip() and command for name, command in verifiers.items()):
            raise ValueError("a verifier is a name with a command, a list of at least one word")
        return verifiers

    @field_validator("api_keys", "admin_keys")
    @classmethod
    def _long_enough(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(key.get_secret_value()) < MIN_KEY_LENGTH for key in keys):
            raise ValueError(f"a key needs at least {MIN_KEY_LENGTH} characters")
        return keys

    @field_validator("state_keys")
    @classmethod
    def _hard_to_guess(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(key.get_secret_value()) < MIN_STATE_KEY_LENGTH for key in keys):
            raise ValueError(
                f"a key of states needs at least {MIN_STATE_KEY_LENGTH} characters, chosen by "
                "chance: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        return keys

    @property
    def store_url(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.data_dir / 'toolcrib.db'}"

    @property
    def base_url(self) -> str:
        """Where this machine reaches what `serve` serves."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def has_keys(self) -> bool:
        """Whether callers must present a key."""
        return bool(self.api_keys or self.admin_keys)

    @property
    def binds_loopback(self) -> bool:
        """Whether only this machine can reach the bound address."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
