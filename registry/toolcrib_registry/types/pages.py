"""Parts of what is stored: a page of a listing, and how much there is of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from .names import EntryKind, Revision

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a listing; ``next_cursor`` is None on the last."""

    items: tuple[T, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much the registry holds, and the revision it is at."""

    servers: int
    entries: Mapping[EntryKind, int]
    embeddings: int
    head: Revision
