"""What exists: servers, the entries they own, models with their offers, and every change to them.

Plain frozen data. Nothing here knows a database, a wire format, a protocol library or an index.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, ClassVar, Generic, NewType, TypeAlias, TypeVar

JsonObject: TypeAlias = Mapping[str, Any]
"""A decoded JSON object, exactly as its owner sent it."""

EntryId = NewType("EntryId", str)
"""``kind:name``, unique in the registry, as ``tool:time__convert`` or ``model:openai/gpt-4o``."""

ServerName = NewType("ServerName", str)
Revision = NewType("Revision", int)
"""A position in the change log. 0 is the empty registry; each committed change takes the next."""

NAME_SEPARATOR = "__"
MAX_NAME_LENGTH = 64
"""What the strictest model providers accept as a tool name."""

# Keys of ours in the ``_meta`` of a definition: what MCP has no field for.
TAGS_KEY = "io.toolcrib/tags"
"""Words to filter by."""
DEPENDS_ON_KEY = "io.toolcrib/dependsOn"
"""Names of the tools that must be called before it."""
QUESTIONS_KEY = "io.toolcrib/exampleQuestions"
"""What somebody would ask who needs it."""

T = TypeVar("T")


class EntryKind(StrEnum):
    """What an entry is. One index holds them all."""

    TOOL = "tool"
    PROMPT = "prompt"
    RESOURCE = "resource"
    MODEL = "model"


# --- servers ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StdioTransport:
    """A server run as a child process. Values of ``env`` may hold ``${…}`` references."""

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    cwd: str | None = None


@dataclass(frozen=True, slots=True)
class HttpTransport:
    """A server reached over Streamable HTTP. Values of ``headers`` may hold ``${…}`` references."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class SseTransport:
    """A server reached over the superseded HTTP+SSE transport."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class CatalogTransport:
    """No live server: entries imported from a file. They can be found, not called."""

    source: str


Transport: TypeAlias = StdioTransport | HttpTransport | SseTransport | CatalogTransport


class ServerStatus(StrEnum):
    """What the last attempt to reach a server showed."""

    NEW = "new"
    """Registered, never reached yet."""
    READY = "ready"
    """The last sync succeeded."""
    DEGRADED = "degraded"
    """The last sync succeeded, with some of its entries set aside."""
    UNREACHABLE = "unreachable"
    """The last sync failed; the last good entries are kept and are as old as ``synced_at``."""


class ChangePolicy(StrEnum):
    """What a change that a server makes to one of its entries does here."""

    APPLY = "apply"
    MARK = "mark"
    """It is applied, and shown as changed until somebody approves it."""
    QUARANTINE = "quarantine"
    """The entry is neither found nor callable until somebody approves it."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """One listed object that was set aside, and why. ``kind`` says what it claimed to be."""

    kind: EntryKind
    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHealth:
    """What is known of a server from talking to it. All times are aware UTC."""

    status: ServerStatus = ServerStatus.NEW
    attempted_at: datetime | None = None
    synced_at: datetime | None = None
    error: str | None = None
    protocol_version: str | None = None
    reported_name: str | None = None
    reported_version: str | None = None
    instructions: str | None = None
    malformed: tuple[Malformed, ...] = ()
    failures: int = 0
    """Attempts that failed since the last that succeeded."""
    next_attempt_at: datetime | None = None
    fresh_until: datetime | None = None
    """Until when the server said its lists stay true."""
    changed_at: datetime | None = None
    """The last sync that changed anything."""
    duration_ms: float | None = None
    """How long the last attempt took."""
    listing_digest: str | None = None
    """A hash over all that it listed last: an equal one need not be compared again."""
    cache_scope: str | None = None
    """``private`` when a list of it is for whoever asked alone, else ``public``, as it said."""
    capabilities: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A registered MCP server: how to reach it, and how it fares."""

    name: ServerName
    transport: Transport
    enabled: bool = True
    tags: tuple[str, ...] = ()
    on_change: ChangePolicy = ChangePolicy.MARK
    origin: str = "cli"
    """Who registered it: ``cli``, ``api``, ``config:FILE`` or ``import:FILE``."""
    start_timeout_s: float = 60.0
    call_timeout_s: float | None = None
    """The deadline of a call; None is the operator's setting."""
    health: ServerHealth = field(default_factory=ServerHealth)
    added_at: datetime | None = None

    @property
    def callable(self) -> bool:
        """Whether its tools can be called at all (a catalogue's cannot)."""
        return not isinstance(self.transport, CatalogTransport)


# --- capability descriptors --------------------------------------------------------------------


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


# --- entries -----------------------------------------------------------------------------------


class Trust(StrEnum):
    """Whether an entry may be used as it stands."""

    TRUSTED = "trusted"
    MARKED = "marked"
    """It may, and something about it wants a look."""
    QUARANTINED = "quarantined"
    """It is neither found nor callable until somebody approves it."""


class MarkReason(StrEnum):
    """Why an entry wants a look."""

    ADDED = "added"
    """Its server had been listed before, without it."""
    CHANGED = "changed"
    """It is not what was pinned."""
    DESTRUCTIVE = "destructive"
    """It was read-only, and may now destroy."""
    RENAMED = "renamed"
    SHADOWS = "shadows"
    """It imitates, or speaks for, an entry of another server."""
    INJECTION = "injection"
    """It gives orders to whoever reads it."""
    HIDDEN_TEXT = "hidden-text"
    LOOKALIKE = "lookalike"
    """Its name looks like another's and is not."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing to look at, in a sentence. What is hidden in a text is shown escaped."""

    reason: MarkReason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What every entry of the registry has. ``name`` is unique within its kind."""

    kind: ClassVar[EntryKind]

    name: str
    title: str | None = None
    description: str = ""
    tags: tuple[str, ...] = ()
    enabled: bool = True
    content_hash: str = ""
    """Of everything its owner said about it; see `hash_content`."""
    source_id: str | None = None
    """The id it had in the file it was imported from."""
    revision: Revision = Revision(0)
    """The change that last touched it."""
    added_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def id(self) -> EntryId:
        """Its id over all kinds."""
        return entry_id(self.kind, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedEntry(Entry):
    """An entry that an upstream server owns, with the object the server listed, untouched."""

    server: ServerName
    local_name: str
    """Its name at its server (the URI or URI template, for a resource)."""
    definition: JsonObject
    trust: Trust = Trust.TRUSTED
    marks: tuple[Mark, ...] = ()
    pinned_hash: str = ""
    """The content hash of what was first listed or last approved; empty is its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool(OwnedEntry):
    """A tool of an upstream server."""

    kind: ClassVar[EntryKind] = EntryKind.TOOL

    @property
    def input_schema(self) -> JsonObject:
        """JSON Schema of its arguments, as listed; empty when none was."""
        return self.definition.get("inputSchema") or {}

    @property
    def output_schema(self) -> JsonObject | None:
        """JSON Schema of its structured result, when it declares one."""
        return self.definition.get("outputSchema")

    @property
    def descriptor(self) -> ToolDescriptor:
        """Its annotations, as a capability descriptor."""
        annotations: JsonObject = self.definition.get("annotations") or {}
        seen_at = self.updated_at or self.added_at
        as_of = seen_at.date() if seen_at else date.min

        def claim(key: str) -> Known[bool] | None:
            value = annotations.get(key)
            return Known(value, "annotations", as_of) if isinstance(value, bool) else None

        return ToolDescriptor(
            read_only=claim("readOnlyHint"),
            destructive=claim("destructiveHint"),
            idempotent=claim("idempotentHint"),
            open_world=claim("openWorldHint"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt(OwnedEntry):
    """A prompt of an upstream server."""

    kind: ClassVar[EntryKind] = EntryKind.PROMPT


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource(OwnedEntry):
    """A resource or resource template of an upstream server."""

    kind: ClassVar[EntryKind] = EntryKind.RESOURCE

    @property
    def is_template(self) -> bool:
        """Whether ``local_name`` is a URI template rather than a URI."""
        return "uriTemplate" in self.definition


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Entry):
    """A model, apart from the offers that serve it."""

    kind: ClassVar[EntryKind] = EntryKind.MODEL

    family: str | None = None
    descriptor: ModelDescriptor = field(default_factory=ModelDescriptor)
    offers: tuple[Offer, ...] = ()


# --- changes -----------------------------------------------------------------------------------


class ChangeAction(StrEnum):
    """What happened to a subject."""

    ADDED = "added"
    UPDATED = "updated"
    REMOVED = "removed"
    ENABLED = "enabled"
    DISABLED = "disabled"
    QUARANTINED = "quarantined"
    """Added or updated, and set aside until approved."""
    APPROVED = "approved"
    WRITTEN = "written"
    """A model wrote example questions for it, or they were forgotten; it is as its owner said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One committed change: the unit of the change log."""

    revision: Revision
    at: datetime
    actor: str
    """Who did it: ``sync``, ``cli``, ``api`` or ``api:KEY-NAME``."""
    action: ChangeAction
    subject: str
    """An `EntryId`, or ``server:NAME``."""
    server: ServerName | None
    fields: tuple[str, ...] = ()
    """Which top-level fields of the definition differ, sorted; empty unless updated."""
    before: JsonObject | None = None
    after: JsonObject | None = None
    related: EntryId | None = None
    """What replaced it, of a removal; what it replaces, of an addition."""
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """What is left of an entry that was removed."""

    id: EntryId
    server: ServerName | None
    removed_at: datetime
    revision: Revision
    replaced_by: EntryId | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a listing; ``next_cursor`` is None on the last."""

    items: tuple[T, ...]
    next_cursor: str | None = None


# --- units of work -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryChanges:
    """What a sync found different at one server: a single transaction's worth."""

    server: ServerName
    upserts: tuple[OwnedEntry, ...] = ()
    removals: tuple[EntryId, ...] = ()
    renames: Mapping[EntryId, EntryId] = field(default_factory=dict[EntryId, EntryId])
    """Of removals, the upserts that are the same thing under another name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write what one server lists, held by one process at a time."""

    server: ServerName
    holder: str
    token: int
    """Grows with each holder; a write with an older one is refused."""
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Vectors:
    """Vectors of texts by the texts' hashes, as little-endian float32, by one encoder."""

    encoder_id: str
    by_hash: Mapping[str, bytes]
    tokens: Vectors | None = None
    """Those of the texts' tokens, under a name and in a form of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerWrite:
    """What a sync writes of one server."""

    changes: EntryChanges
    health: ServerHealth | None = None
    lease: Lease | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One audit record. ``argument_shape`` holds types and sizes, never values."""

    id: str
    at: datetime
    subject: EntryId
    server: ServerName | None
    face: str
    """Which face it came in by: ``mcp``, ``rest``, ``cli``."""
    principal: str
    outcome: str
    """``ok``, ``tool-error``, ``input-required``, ``cancelled``, or a `ToolcribError`'s code."""
    duration_ms: float
    argument_shape: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much the registry holds, and the revision it is at."""

    servers: int
    entries: Mapping[EntryKind, int]
    embeddings: int
    head: Revision


# --- learning from use -------------------------------------------------------------------------


class Verdict(StrEnum):
    """What came of an entry for a query."""

    WORKED = "worked"
    FAILED = "failed"
    CHOSEN = "chosen"
    """Taken from an answer, or named as the right one, without a word on whether it worked."""
    REJECTED = "rejected"
    """Looked at and found unfit."""

    @property
    def speaks_for(self) -> bool:
        """Whether it is a reason to rank the entry higher for such queries."""
        return self in {Verdict.WORKED, Verdict.CHOSEN}


class OutcomeSource(StrEnum):
    """How an outcome became known."""

    CALL = "call"
    """A call that followed a search."""
    FEEDBACK = "feedback"
    """Somebody said so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one entry for one query. Holds the query's text, never a call's arguments."""

    id: str
    at: datetime
    tenant: str
    """Whose searches it may influence."""
    principal: str
    """Who it comes from."""
    query: str
    entry: EntryId
    verdict: Verdict
    source: OutcomeSource
    weight: float = 1.0
    """How plausible search itself finds it: 1 for a hit it showed, less for one it never would."""

    @property
    def query_hash(self) -> str:
        """The key of its query's vector in the cache of embeddings."""
        return hash_query(self.query)


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What was learned from a tenant's outcomes with one encoder, and how it fared in replay."""

    tenant: str
    encoder_id: str
    at: datetime
    report: JsonObject
    """The verdict of the last replay, and what is in use because of it."""
    adapter: bytes | None = None
    """The trained adapter, when one is in use."""


class NeedSource(StrEnum):
    """How it is known that one entry needs another; the surest first."""

    DECLARED = "declared"
    """Its owner says so."""
    USE = "use"
    """Calls that worked came in that order, of several principals, or of one within a server."""
    SCHEMA = "schema"
    """It requires what the other gives, as schemas and descriptions say."""


@dataclass(frozen=True, slots=True)
class CallStep:
    """A call of a tool that worked, as one of several in a row."""

    at: datetime
    principal: str
    entry: EntryId
    server: ServerName | None


@dataclass(frozen=True, slots=True)
class ForgottenCalls:
    """Calls that nothing is learned from: those that fit all that is given."""

    tenant: str | None
    principal: str | None
    until: datetime


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was forgotten."""

    outcomes: int
    tenants: frozenset[str]
    """Those of which any outcome went, and with it all that they had learned."""


# --- routing -----------------------------------------------------------------------------------


class RatingSource(StrEnum):
    """How it became known how well a model answered."""

    IMPORT = "import"
    VERIFIER = "verifier"
    """A check of the answer: a schema, a test, a pattern."""
    FEEDBACK = "feedback"
    APTITUDE = "aptitude"
    """A short test that a new model was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOutcome:
    """How a model did on one query. Holds the query's text, never the answer's."""

    id: str
    at: datetime
    tenant: str
    """Whose selections it may influence."""
    principal: str
    """Who it comes from."""
    query: str
    model: str
    score: float | None = None
    """From 0 to 1; None when only cost and latency are known."""
    cost_usd: float | None = None
    latency_ms: float | None = None
    source: RatingSource = RatingSource.IMPORT


@dataclass(frozen=True, slots=True)
class Domain:
    """What an operator means a service to be for, by examples of its queries."""

    name: str
    examples: tuple[str, ...]


# --- written by a model ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenQuestions:
    """Example questions that a model wrote for a content; never its owner's words."""

    content_hash: str
    writer: str
    """The model, and the edition of what it was asked."""
    at: datetime
    questions: tuple[str, ...] = ()
    refusal: str | None = None
    """Why none of what it wrote was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenReading:
    """How a model read a query: in English, where it was not, and in steps. Not the query."""

    query_hash: str
    writer: str
    at: datetime
    english: str | None = None
    steps: tuple[str, ...] = ()


# --- views -------------------------------------------------------------------------------------


class ViewMode(StrEnum):
    """What a client of a view is shown."""

    AUTO = "auto"
    """The tools themselves when their definitions fit in the view's share of a context."""
    TOOLS = "tools"
    SEARCH = "search"
    """Tools that search the view, and those that are pinned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """Tools of any of these servers, with any of these tags, or of these names."""

    servers: tuple[ServerName, ...] = ()
    tags: tuple[str, ...] = ()
    """On the tool or on its server."""
    tools: tuple[str, ...] = ()
    """Their names in the registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOverride:
    """How a view shows and calls one of its tools; None is as its server says."""

    tool: str
    """Its name in the registry."""
    name: str | None = None
    title: str | None = None
    description: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Arguments that are sent where the caller gives none. The values are not shown."""
    fixed: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Arguments that are always sent; the caller neither sees nor gives them."""
    hidden: tuple[str, ...] = ()
    """Parameters that the caller neither sees nor gives."""

    @property
    def withheld(self) -> frozenset[str]:
        """The parameters that a caller does not know of."""
        return frozenset(self.hidden) | frozenset(self.fixed)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A saved subset of the registry, which is served as if it were a server of its own."""

    name: str
    title: str | None = None
    description: str = ""
    """Instructions for the model that uses it."""
    include: Members = field(default_factory=Members)
    exclude: Members = field(default_factory=Members)
    """What is excluded is out, however it was included."""
    overrides: tuple[ToolOverride, ...] = ()
    pinned: tuple[str, ...] = ()
    """Names in the registry of tools that are always shown, in this order."""
    mode: ViewMode = ViewMode.AUTO
    context_tokens: int = 200_000
    """How long a context is taken to be."""
    share: float = 0.05
    """Which part of a context the definitions may take."""
    revision: Revision = Revision(0)
    """The change that last touched it."""
    added_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def budget_tokens(self) -> int:
        """How many tokens the definitions of its tools may have, to be listed one by one."""
        return int(self.context_tokens * self.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An entry that a view selects, and whether it may be used."""

    id: EntryId
    server: ServerName
    revision: Revision
    absence: str | None = None
    """Why it is left out, in a sentence's end, as "it is disabled"."""

    @property
    def name(self) -> str:
        """Its name in the registry."""
        return split_id(self.id)[1]

    @property
    def kind(self) -> EntryKind:
        """What it is."""
        return split_id(self.id)[0]


# --- names and hashes --------------------------------------------------------------------------


def entry_id(kind: EntryKind, name: str) -> EntryId:
    """Join a kind and a name into an id."""
    return EntryId(f"{kind.value}:{name}")


def split_id(id: EntryId) -> tuple[EntryKind, str]:  # noqa: A002  # the domain's word
    """Split an id into its kind and name.

    Raises:
        ValueError: ``id`` is not ``kind:name``.
    """
    kind, separator, name = id.partition(":")
    if not separator:
        raise ValueError(f"not an entry id: {id!r}")
    return EntryKind(kind), name


def canonical_json(value: Any) -> str:
    """Render JSON one way only: keys sorted, no spaces, non-ASCII kept."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def hash_content(value: Any) -> str:
    """SHA-256 of the canonical JSON of ``value``, in hex."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()


def hash_query(query: str) -> str:
    """SHA-256 of a query's text, in hex."""
    return hashlib.sha256(query.encode("utf-8", "surrogatepass")).hexdigest()


_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


def qualified_name(server: str, local_name: str) -> str:
    """Name an upstream's entry outside its own server: ``server__name``.

    At most `MAX_NAME_LENGTH` characters of letters, digits, ``_``, ``-`` and ``.``. A name that had
    to be cut or cleaned ends in eight hex digits of a hash over the original pair, so that the
    result is stable and two originals do not meet.
    """
    plain = f"{server}{NAME_SEPARATOR}{local_name}"
    clean = _NOT_IN_A_NAME.sub("_", plain)
    if clean == plain and len(plain) <= MAX_NAME_LENGTH:
        return plain
    digest = hashlib.sha256(f"{server}\0{local_name}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"{clean[: MAX_NAME_LENGTH - 9]}-{digest[:8]}"
