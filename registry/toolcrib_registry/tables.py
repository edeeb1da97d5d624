"""The rows of the database, and the column types that carry any text, JSON or time unharmed.

Knows nothing of domain types: `toolcrib_registry.store` maps between the two. The migrations must
build exactly these tables; a test compares them.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import Field, SQLModel

# --- column types ------------------------------------------------------------------------------

_ESCAPE = "\x1a"
_UNSTORABLE = re.compile("[\x00\x1a\ud800-\udfff]")
_ESCAPED = re.compile("\x1a([0-9a-f]{4})")
_compact = json.JSONEncoder(separators=(",", ":")).encode


def storable(text: str) -> str:
    """Escape what a database refuses in text (NUL, lone surrogates), so that nothing is lost.

    Each such character becomes U+001A and four hex digits, as does U+001A itself.
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNSTORABLE.sub(lambda found: f"{_ESCAPE}{ord(found[0]):04x}", text)


def restored(text: str) -> str:
    """Undo `storable`."""
    if _ESCAPE not in text:
        return text
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


class UnreadableValueError(ValueError):
    """A column holds something that Toolcrib never writes there."""


class PlainText(TypeDecorator[str]):
    """Text of any length with any code point, ordered as the database likes."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Escape on the way in."""
        return None if value is None else storable(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Unescape on the way out."""
        return None if value is None else restored(value)


class KeyText(PlainText):
    """`PlainText` that is compared by code point on every engine, so that listings agree."""

    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Override the database's own collation, which PostgreSQL takes from its locale."""
        if dialect.name != "postgresql":
            return dialect.type_descriptor(Text())
        from sqlalchemy.dialects.postgresql import TEXT  # noqa: PLC0415  # slow, and SQLite needs none

        return TEXT(collation="C")


class JsonText(TypeDecorator[Any]):
    """JSON kept as ASCII text: what PostgreSQL's own JSON types refuse or reorder survives too."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> str | None:
        """Write compactly, in the order of the keys."""
        return None if value is None else _compact(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any | None:
        """Read what was written.

        Raises:
            UnreadableValueError: the text is not JSON.
        """
        try:
            return None if value is None else json.loads(value)
        except ValueError as error:
            raise UnreadableValueError("a JSON column does not hold JSON") from error


class UtcTime(TypeDecorator[datetime]):
    """An aware time, kept and given back in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive time; SQLite drops the zone, so all are brought to UTC first."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give back an aware time."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# --- rows --------------------------------------------------------------------------------------
# Wide columns come last: SQLite then finds the narrow ones without walking overflow pages.


def _named(table: str) -> Any:
    """Name a table. Typed as Any because SQLModel declares ``__tablename__`` as a descriptor."""
    return table


def _default(value: str) -> dict[str, Any]:
    """Give rows that were written before the column was there a value, as SQL, for it."""
    return {"server_default": text(value)}


class ServerRow(SQLModel, table=True):
    """A registered server with its health."""

    __tablename__ = _named("servers")

    name: str = Field(primary_key=True, sa_type=KeyText)
    enabled: bool
    origin: str = Field(sa_type=PlainText)
    start_timeout_s: float = Field(sa_type=Double)
    call_timeout_s: float = Field(sa_type=Double)
    """0 where the server sets none."""
    added_at: datetime | None = Field(sa_type=UtcTime)
    status: str = Field(sa_type=PlainText)
    attempted_at: datetime | None = Field(sa_type=UtcTime)
    synced_at: datetime | None = Field(sa_type=UtcTime)
    error: str | None = Field(sa_type=PlainText)
    protocol_version: str | None = Field(sa_type=PlainText)
    reported_name: str | None = Field(sa_type=PlainText)
    reported_version: str | None = Field(sa_type=PlainText)
    tags: list[str] = Field(sa_type=JsonText)
    transport: dict[str, Any] = Field(sa_type=JsonText)
    instructions: str | None = Field(sa_type=PlainText)
    quarantined: list[dict[str, str]] = Field(sa_type=JsonText)
    on_change: str = Field(sa_type=PlainText, sa_column_kwargs=_default("'mark'"))
    failures: int = Field(sa_column_kwargs=_default("0"))
    next_attempt_at: datetime | None = Field(sa_type=UtcTime)
    fresh_until: datetime | None = Field(sa_type=UtcTime)
    changed_at: datetime | None = Field(sa_type=UtcTime)
    duration_ms: float | None = Field(sa_type=Double)
    listing_digest: str | None = Field(sa_type=PlainText)
    cache_scope: str | None = Field(sa_type=PlainText)
    capabilities: dict[str, Any] | None = Field(sa_type=JsonText)


class EntryRow(SQLModel, table=True):
    """An entry of any kind: an owned one has a server and a definition, a model a descriptor."""

    __tablename__ = _named("entries")
    __table_args__ = (
        Index("entries_by_name", "kind", "name", unique=True),
        # Covers the question each sync asks: which entries of this server, with which hashes?
        Index("entries_by_server", "server", "id", "content_hash"),
        # Covers the question of what search should know, and since when.
        Index("entries_by_state", "enabled", "trust", "server", "id", "revision"),
    )

    id: str = Field(primary_key=True, sa_type=KeyText)
    kind: str = Field(sa_type=KeyText)
    name: str = Field(sa_type=KeyText)
    server: str | None = Field(sa_type=KeyText, sa_column_args=[ForeignKey("servers.name")])
    enabled: bool
    content_hash: str = Field(sa_type=PlainText)
    revision: int = Field(sa_type=BigInteger)
    added_at: datetime | None = Field(sa_type=UtcTime)
    updated_at: datetime | None = Field(sa_type=UtcTime)
    local_name: str | None = Field(sa_type=PlainText)
    source_id: str | None = Field(sa_type=PlainText)
    family: str | None = Field(sa_type=PlainText)
    title: str | None = Field(sa_type=PlainText)
    tags: list[str] = Field(sa_type=JsonText)
    description: str = Field(sa_type=PlainText)
    definition: dict[str, Any] | None = Field(sa_type=JsonText)
    descriptor: dict[str, Any] | None = Field(sa_type=JsonText)
    trust: str = Field(sa_type=KeyText, sa_column_kwargs=_default("'trusted'"))
    pinned_hash: str = Field(sa_type=PlainText, sa_column_kwargs=_default("''"))
    marks: list[dict[str, str]] = Field(sa_type=JsonText, sa_column_kwargs=_default("'[]'"))


class OfferRow(SQLModel, table=True):
    """One provider's terms for a model; ``position`` keeps the order they were given in."""

    __tablename__ = _named("offers")

    entry_id: str = Field(
        primary_key=True, sa_type=KeyText, sa_column_args=[ForeignKey("entries.id")]
    )
    position: int = Field(primary_key=True)
    provider: str = Field(sa_type=PlainText)
    remote_model: str = Field(sa_type=PlainText)
    endpoint: str | None = Field(sa_type=PlainText)
    api_key: str | None = Field(sa_type=PlainText)
    terms: dict[str, Any] = Field(sa_type=JsonText)


class ChangeRow(SQLModel, table=True):
    """One committed change. Rows are only ever added."""

    __tablename__ = _named("changes")
    __table_args__ = (
        Index("changes_by_server", "server", "revision"),
        Index("changes_by_subject", "subject", "revision"),
    )

    revision: int = Field(
        primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False}
    )
    at: datetime = Field(sa_type=UtcTime)
    actor: str = Field(sa_type=PlainText)
    action: str = Field(sa_type=PlainText)
    subject: str = Field(sa_type=PlainText)
    server: str | None = Field(sa_type=KeyText)
    fields: list[str] = Field(sa_type=JsonText)
    before: dict[str, Any] | None = Field(sa_type=JsonText)
    after: dict[str, Any] | None = Field(sa_type=JsonText)
    related: str | None = Field(sa_type=KeyText)
    marks: list[dict[str, str]] = Field(sa_type=JsonText, sa_column_kwargs=_default("'[]'"))


class LogHeadRow(SQLModel, table=True):
    """The last revision given out: one row. Whoever locks it writes next."""

    __tablename__ = _named("log_head")

    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    revision: int = Field(sa_type=BigInteger)


class LeaseRow(SQLModel, table=True):
    """Who may write what a server lists, and until when. A row outlives its lease."""

    __tablename__ = _named("leases")

    server: str = Field(primary_key=True, sa_type=KeyText)
    holder: str = Field(sa_type=PlainText)
    token: int = Field(sa_type=BigInteger)
    expires_at: datetime = Field(sa_type=UtcTime)


class EmbeddingRow(SQLModel, table=True):
    """The vector of one text by one encoder, as bytes."""

    __tablename__ = _named("embeddings")

    encoder_id: str = Field(primary_key=True, sa_type=KeyText)
    text_hash: str = Field(primary_key=True, sa_type=KeyText)
    vector: bytes = Field(sa_type=LargeBinary)


class CallRow(SQLModel, table=True):
    """One audit record."""

    __tablename__ = _named("calls")
    __table_args__ = (Index("calls_by_time", "at", "id"),)

    id: str = Field(primary_key=True, sa_type=KeyText)
    at: datetime = Field(sa_type=UtcTime)
    subject: str = Field(sa_type=PlainText)
    server: str | None = Field(sa_type=KeyText)
    face: str = Field(sa_type=PlainText)
    principal: str = Field(sa_type=PlainText)
    outcome: str = Field(sa_type=PlainText)
    duration_ms: float = Field(sa_type=Double)
    argument_shape: dict[str, Any] = Field(sa_type=JsonText)


class OutcomeRow(SQLModel, table=True):
    """What came of one entry for one query."""

    __tablename__ = _named("outcomes")
    __table_args__ = (
        Index("outcomes_by_time", "at", "id"),
        Index("outcomes_by_tenant", "tenant", "at", "id"),
    )

    id: str = Field(primary_key=True, sa_type=KeyText)
    at: datetime = Field(sa_type=UtcTime)
    tenant: str = Field(sa_type=KeyText)
    principal: str = Field(sa_type=KeyText)
    entry: str = Field(sa_type=KeyText)
    verdict: str = Field(sa_type=PlainText)
    source: str = Field(sa_type=PlainText)
    weight: float = Field(sa_type=Double)
    query: str = Field(sa_type=PlainText)


class LearnedRow(SQLModel, table=True):
    """What was learned from a tenant's outcomes with one encoder."""

    __tablename__ = _named("learned")

    tenant: str = Field(primary_key=True, sa_type=KeyText)
    encoder_id: str = Field(primary_key=True, sa_type=KeyText)
    at: datetime = Field(sa_type=UtcTime)
    report: dict[str, Any] = Field(sa_type=JsonText)
    adapter: bytes | None = Field(sa_type=LargeBinary)


class ModelOutcomeRow(SQLModel, table=True):
    """How a model did on one query."""

    __tablename__ = _named("model_outcomes")
    __table_args__ = (Index("model_outcomes_by_tenant", "tenant", "at", "id"),)

    id: str = Field(primary_key=True, sa_type=KeyText)
    at: datetime = Field(sa_type=UtcTime)
    tenant: str = Field(sa_type=KeyText)
    principal: str = Field(sa_type=KeyText)
    model: str = Field(sa_type=KeyText)
    score: float | None = Field(sa_type=Double)
    cost_usd: float | None = Field(sa_type=Double)
    latency_ms: float | None = Field(sa_type=Double)
    source: str = Field(sa_type=PlainText)
    query: str = Field(sa_type=PlainText)


class DomainRow(SQLModel, table=True):
    """One example of a domain's queries."""

    __tablename__ = _named("domain_examples")

    name: str = Field(primary_key=True, sa_type=KeyText)
    position: int = Field(primary_key=True)
    example: str = Field(sa_type=PlainText)


class ViewRow(SQLModel, table=True):
    """A view. What it selects and how it shows it is one document."""

    __tablename__ = _named("views")

    name: str = Field(primary_key=True, sa_type=KeyText)
    revision: int = Field(sa_type=BigInteger)
    added_at: datetime | None = Field(sa_type=UtcTime)
    updated_at: datetime | None = Field(sa_type=UtcTime)
    title: str | None = Field(sa_type=PlainText)
    description: str = Field(sa_type=PlainText)
    body: dict[str, Any] = Field(sa_type=JsonText)


class WrittenQuestionsRow(SQLModel, table=True):
    """What a model wrote for one content: example questions, or why none of them was kept."""

    __tablename__ = _named("written_questions")

    content_hash: str = Field(primary_key=True, sa_type=KeyText)
    writer: str = Field(primary_key=True, sa_type=KeyText)
    at: datetime = Field(sa_type=UtcTime)
    refusal: str | None = Field(sa_type=PlainText)
    questions: list[str] = Field(sa_type=JsonText)


class WrittenReadingRow(SQLModel, table=True):
    """How a model read one query. The query itself is not kept, only its hash."""

    __tablename__ = _named("written_readings")
    __table_args__ = (Index("written_readings_by_time", "at"),)

    query_hash: str = Field(primary_key=True, sa_type=KeyText)
    writer: str = Field(primary_key=True, sa_type=KeyText)
    at: datetime = Field(sa_type=UtcTime)
    english: str | None = Field(sa_type=PlainText)
    steps: list[str] = Field(sa_type=JsonText)


class RefusedNeedRow(SQLModel, table=True):
    """Something a person does not want to come along with an entry, whatever was learned."""

    __tablename__ = _named("refused_needs")

    entry: str = Field(primary_key=True, sa_type=KeyText)
    needed: str = Field(primary_key=True, sa_type=KeyText)
    at: datetime = Field(sa_type=UtcTime)
    actor: str = Field(sa_type=PlainText)


class ForgottenCallsRow(SQLModel, table=True):
    """Calls that nothing is learned from: a tenant's, a principal's or, where empty, anybody's."""

    __tablename__ = _named("forgotten_calls")

    tenant: str = Field(primary_key=True, sa_type=KeyText)
    principal: str = Field(primary_key=True, sa_type=KeyText)
    until: datetime = Field(sa_type=UtcTime)


class SpendingRow(SQLModel, table=True):
    """What a key has spent on models in a UTC day."""

    __tablename__ = _named("spending")

    principal: str = Field(primary_key=True, sa_type=KeyText)
    day: date = Field(primary_key=True, sa_type=Date)
    spent_usd: float = Field(sa_type=Double)


class ReservationRow(SQLModel, table=True):
    """What is set aside for a call under way; after its time it counts for nothing."""

    __tablename__ = _named("reservations")
    __table_args__ = (Index("reservations_by_key", "principal", "day"),)

    id: str = Field(primary_key=True, sa_type=KeyText)
    principal: str = Field(sa_type=KeyText)
    day: date = Field(sa_type=Date)
    usd: float = Field(sa_type=Double)
    expires_at: datetime = Field(sa_type=UtcTime)


class PaceRow(SQLModel, table=True):
    """How often something was done lately: pairs of a minute, since 1970, and a number."""

    __tablename__ = _named("paces")

    name: str = Field(primary_key=True, sa_type=KeyText)
    taken: list[list[int]] = Field(sa_type=JsonText)
