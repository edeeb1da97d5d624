"""Which tools want example questions, and how many have them. Reads the store, asks nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    QUESTIONS_KEY,
    EntryId,
    EntryKind,
    MarkReason,
    ServerName,
    Tool,
)

from .cleaning import fold

_SUSPECT: Final = frozenset({MarkReason.INJECTION, MarkReason.HIDDEN_TEXT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """How many tools there are, by where their example questions come from."""

    tools: int
    declared: int
    """Their owner gave some, and these are used."""
    written: int
    refused: int
    """A model wrote, and nothing of it could be kept."""
    suspect: int
    """What they say of themselves gives orders or hides text: no model is given it to read."""
    waiting: Mapping[str, EntryId]
    """Contents that are still to be written for, each with an entry that has it."""


def survey(store: Store, *, writer: str | None, server: ServerName | None = None) -> Survey:
    """Look at every live tool, or at a server's. What ``writer`` has written for does not wait."""
    dealt = store.written.list_contents(writer)
    counts = dict.fromkeys(("tools", "declared", "suspect"), 0)
    contents: dict[str, EntryId] = {}
    done: list[str] = []
    for entry in store.iter_entries(kind=EntryKind.TOOL, live=True):
        if not isinstance(entry, Tool) or (server is not None and entry.server != server):
            continue
        counts["tools"] += 1
        if declared_questions(entry):
            counts["declared"] += 1
        elif entry.content_hash in dealt:
            done.append(entry.content_hash)
        elif any(mark.reason in _SUSPECT for mark in entry.marks):
            counts["suspect"] += 1
        else:
            contents.setdefault(entry.content_hash, entry.id)
    found = store.written.find_questions(sorted(set(done)))
    written = sum(bool(found[key].questions) for key in done if key in found)
    return Survey(**counts, written=written, refused=len(done) - written, waiting=contents)


def declared_questions(entry: Tool) -> list[str]:
    """Give the example questions that its owner gave."""
    meta = entry.definition.get("_meta")
    if not isinstance(meta, Mapping):
        return []
    given = cast("Mapping[str, Any]", meta).get(QUESTIONS_KEY)
    listed = cast("list[object]", given) if isinstance(given, list) else []
    return [one for one in listed if isinstance(one, str) and one]


def names_of_servers(store: Store) -> frozenset[str]:
    """Give the names of all servers, folded."""
    return frozenset(fold(server.name) for server in store.iter_servers())
