"""What is learned from use: outcomes of searches, and what tools need."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from .names import EntryId, JsonObject, hash_query


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
class Forgotten:
    """What was forgotten."""

    outcomes: int
    tenants: frozenset[str]
    """Those of which any outcome went, and with it all that they had learned."""
