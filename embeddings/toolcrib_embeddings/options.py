"""How to search: which stages run. Values alone; the stages read them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Fusion(StrEnum):
    """How the signals of a candidate become one score."""

    WEIGHTED = "weighted"
    """The shipped sum of standardised signals."""
    RRF = "rrf"
    """Reciprocal-rank fusion of the two retrievers, k = 60: a baseline."""
    DENSE = "dense"
    """Meaning alone: a baseline."""
    LEXICAL = "lexical"
    """Words alone: a baseline."""


class Rerank(StrEnum):
    """Whether the second stage reorders the best candidates."""

    OFF = "off"
    ON = "on"
    """Where any of them have token vectors; the others count as the average of these."""
    AUTO = "auto"
    """Where most of the best candidates have token vectors: entries new or changed, or of an
    encoder that makes none, have none for a while, or ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """Which stages of a search run."""

    fusion: Fusion = Fusion.WEIGHTED
    rerank: Rerank = Rerank.AUTO
    split: bool = True
    """Split a task of several steps, and cover each step."""
    fold: bool = True
    """Put near-duplicates under the best of them."""
    dependencies: bool = True
    """Bring along what the tools found depend on."""


DEFAULT_OPTIONS: Final = SearchOptions()
