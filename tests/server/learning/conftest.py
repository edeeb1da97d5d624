"""A store with tools about four errands, and queries whose words say nothing of the right one.

Each errand has its own vocabulary, which no tool's description shares: only use can teach it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from toolcrib_migrations import open_store
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    CatalogTransport,
    EntryChanges,
    EntryId,
    Outcome,
    OutcomeSource,
    Server,
    ServerName,
    Tool,
    Verdict,
    hash_content,
)

START = datetime(2026, 8, 1, tzinfo=UTC)
ERRANDS = {
    "invoice": ("ledger settle owed payable", "bill"),
    "weather": ("umbrella drizzle sunny gust", "forecast"),
    "travel": ("suitcase departure platform boarding", "ticket"),
    "garden": ("seedling prune mulch trellis", "plant"),
}
"""The words of each errand's queries, and those of its tool's description."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Open a store with a tool for each errand, and twenty others."""
    opened = open_store(f"sqlite:///{tmp_path}/toolcrib.db")
    opened.add_server(
        Server(name=ServerName("office"), transport=CatalogTransport("tests")), actor="test"
    )
    named = {**{name: says for name, (_, says) in ERRANDS.items()}}
    named |= {f"other{number}": f"matter number {number}" for number in range(20)}
    tools = tuple(_tool(name, says) for name, says in named.items())
    opened.apply(EntryChanges(server=ServerName("office"), upserts=tools), actor="test")
    yield opened
    opened.close()


def _tool(name: str, description: str) -> Tool:
    definition = {"name": name, "description": description}
    return Tool(
        name=f"office__{name}",
        description=description,
        server=ServerName("office"),
        local_name=name,
        definition=definition,
        content_hash=hash_content(definition),
    )


@pytest.fixture
def lived() -> list[Outcome]:
    """Two hundred outcomes of ten principals, in the order of time."""
    return [_outcome(number) for number in range(200)]


def _outcome(number: int) -> Outcome:
    errand = list(ERRANDS)[number % len(ERRANDS)]
    words = ERRANDS[errand][0].split()
    query = f"{words[number % 4]} {words[(number // 4) % 4]} case {number}"
    return Outcome(
        id=f"{number:04}",
        at=START + timedelta(minutes=number),
        tenant="everyone",
        principal=f"user-{number % 10}",
        query=query,
        entry=EntryId(f"tool:office__{errand}"),
        verdict=Verdict.WORKED,
        source=OutcomeSource.CALL,
        weight=0.5,
    )
