"""What a search answers with. Values alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from toolcrib_registry.types import EntryId, NeedSource

from .abstention.calibration import Grounds

DENSE: Final = "dense"
"""Cosine of the query with the document."""
LEXICAL: Final = "lexical"
"""BM25 of the query's words in the document."""

NAME: Final = "name"
"""How much of the entry's name the query speaks of, from 0 to 1."""
STEP: Final = "step"
"""The best of the steps that the query was split into."""
SERVER: Final = "server"
"""How much of the good candidates the entry's server owns, from 0 to 1."""
TOKENS: Final = "tokens"
"""How much of the entry's text the query speaks of, token by token: the second stage."""
LEARNED: Final = "learned"
"""What past outcomes say."""


class Signal(NamedTuple):
    """Where one retriever put an entry. ``rank`` counts from 1."""

    rank: int
    score: float
    contribution: float | None = None
    """What it gave to the hit's score; None where scores are not a sum."""


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry found.

    ``score`` says how many standard deviations it stands above the average candidate for this
    query: it orders one answer, and means nothing across queries. ``signals`` has a key for each
    retriever that found it, ``dense`` (cosine) and ``lexical`` (BM25), whose scores are absolute.
    """

    id: EntryId
    score: float
    signals: Mapping[str, Signal]
    alternatives: tuple[EntryId, ...] = ()
    """Near-duplicates that stand under this one, best first."""
    required_by: tuple[EntryId, ...] = ()
    """Hits that depend on it, when that is why it is here."""
    required_how: NeedSource | None = None
    """How that is known."""
    required_why: str = ""
    """The same in words, where it was learned."""
    steps: tuple[int, ...] = ()
    """Which steps of the query it answers, as places in ``Ranking.steps``."""
    likelihood: float | None = None
    """Calibrated probability that it fits the query or a step; None while nothing is calibrated."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The answer to one query: hits, best first, and what is known of the answer as a whole."""

    hits: tuple[Hit, ...] = ()
    steps: tuple[str, ...] = ()
    """The steps that the query was split into; empty when it is one step."""
    unanswered: tuple[int, ...] = ()
    """Those of the steps, by place, for which nothing seems to fit."""
    step_likelihoods: tuple[float, ...] = ()
    """Calibrated probability that anything fits each step; empty while nothing is calibrated."""
    likelihood: float | None = None
    """Calibrated probability that anything here fits; None while nothing is calibrated."""
    abstained: bool = False
    """Whether nothing seems to fit: the hits are the nearest there are, and unlikely."""
    grounds: Grounds | None = None
    """How often it abstains wrongly, and what says so; None while nothing is calibrated."""
    reranked: bool = False
    """Whether the second stage ordered them."""
    unwanted: tuple[str, ...] = ()
    """What the query says is not wanted: it was not searched for."""
    lexical_only: str | None = None
    """Why entries were found by their words alone, all or some of them; None when none were."""

    @property
    def ids(self) -> list[EntryId]:
        """The ids of the hits, best first."""
        return [hit.id for hit in self.hits]
