"""One empty store on each engine: every test that takes it holds for both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from toolcrib_migrations import open_store
from toolcrib_registry.store import Store


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/toolcrib.db"
    return request.getfixturevalue("new_postgres_url")()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """Open an empty store."""
    opened = open_store(url)
    yield opened
    opened.close()
