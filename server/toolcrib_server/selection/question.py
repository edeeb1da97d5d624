"""What is asked of a search: the words, what may be found, which stages run. Values, checked.

Says in its own words what the index takes as scope and options, because importing the index is
slow and a process that is never asked anything should not pay for it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import EntryId, EntryKind, ServerName

MAX_K: Final = 1_000
MAX_STEPS: Final = 16
MAX_QUERY_CHARS: Final = 100_000
"""Of all steps together."""

_UNREADABLE: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff\ufeff\u200b-\u200f\u2060]+")


class Rerank(StrEnum):
    """Whether a second stage orders the best."""

    AUTO = "auto"
    """Where most of the best have been prepared for it."""
    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What may be found; None is everything."""

    kinds: frozenset[EntryKind] | None = None
    servers: frozenset[ServerName] | None = None
    tags: frozenset[str] | None = None
    """All of them must be on the entry, or on its server."""
    read_only: bool = False
    """Only tools that say that they only read."""
    destructive: bool = True
    """False leaves tools that say that they destroy nothing, or only read."""
    ids: frozenset[EntryId] | None = None
    """Only these entries. Give the same set again: comparing two equal ones takes longer."""

    @classmethod
    def of(
        cls,
        *,
        kinds: Collection[EntryKind] | None = None,
        servers: Collection[str] | None = None,
        tags: Collection[str] | None = None,
        read_only: bool = False,
        destructive: bool = True,
    ) -> Filters:
        """Build them from any collections. No tag is no filter; no kind or server is none at all.

        Raises:
            InvalidInput: A tag is blank.
        """
        if any(not tag.strip() for tag in tags or ()):
            raise InvalidInput("A tag is blank: name one, or leave the filter out.")
        return cls(
            kinds=None if kinds is None else frozenset(kinds),
            servers=None if servers is None else frozenset(map(ServerName, servers)),
            tags=frozenset(tags) if tags else None,
            read_only=read_only,
            destructive=destructive,
        )

    @property
    def is_empty(self) -> bool:
        """Whether everything may be found."""
        return self == NO_FILTERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """Which stages of a search run."""

    rerank: Rerank = Rerank.AUTO
    split: bool = True
    """Split a task of several steps, and cover each."""
    fold: bool = True
    """Put near-duplicates under the best of them."""
    dependencies: bool = True
    """Bring along what the tools found depend on."""


NO_FILTERS: Final = Filters()
EVERY_STAGE: Final = Stages()


@dataclass(frozen=True, slots=True)
class Question:
    """One question, whole: equal questions have equal answers at one revision of the registry."""

    query: str | tuple[str, ...]
    k: int
    filters: Filters
    stages: Stages


def ask(query: str | Sequence[str], *, k: int, filters: Filters, stages: Stages) -> Question:
    """Check a question. Of a list, blank steps are passed over.

    Raises:
        InvalidInput: The query is blank or huge, there are too many steps, ``k`` is out of range.
    """
    steps = readable(query)
    if len(steps) > MAX_STEPS:
        raise InvalidInput(
            f"The query has {len(steps)} steps; the limit is {MAX_STEPS}. Ask for the first ones, "
            "then for the others."
        )
    _check_size(sum(map(len, steps)), k)
    return Question(steps[0] if len(steps) == 1 else steps, k, filters, stages)


def readable(query: str | Sequence[str]) -> tuple[str, ...]:
    """Give the steps of a query that say something.

    Raises:
        InvalidInput: None does.
    """
    steps = tuple(filter(_is_readable, (query,) if isinstance(query, str) else query))
    if not steps:
        raise InvalidInput(_nothing_said(query))
    return steps


def _check_size(chars: int, k: int) -> None:
    if chars > MAX_QUERY_CHARS:
        raise InvalidInput(
            f"The query has {chars} characters; the limit is {MAX_QUERY_CHARS}. "
            "Send the task, not the document."
        )
    if not 1 <= k <= MAX_K:
        raise InvalidInput(f"k is {k}; it must be from 1 to {MAX_K}.")


def _is_readable(text: str) -> bool:
    return not _UNREADABLE.fullmatch(text) and bool(text)


def _nothing_said(query: str | Sequence[str]) -> str:
    is_blank = not "".join(query).strip()
    fault = "is empty" if is_blank else "holds nothing that can be read"
    return f"The query {fault}: say what the task is, as you would to a person."
