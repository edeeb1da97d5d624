"""No more than so often in any hour, whoever asks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from toolcrib_migrations import open_store
from toolcrib_registry.store import Store
from toolcrib_server.writing.pace import Pace

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'toolcrib.db'}")
    yield opened
    opened.close()


async def test_an_hour_holds_so_many_and_gives_them_back_by_the_minute(store: Store):
    now = NOON
    pace = Pace(store, "a", 2, now=lambda: now)
    assert await pace.waits_s() == 0
    assert await pace.take()
    now += timedelta(minutes=10, seconds=30)
    assert await pace.waits_s() == 0
    assert [await pace.take(), await pace.take()] == [True, False]
    # The first minute's are over when the last of them is an hour ago.
    assert await pace.waits_s() == 3_600 + 60 - 630
    now = NOON + timedelta(minutes=61)
    assert [await pace.take(), await pace.take()] == [True, False]


async def test_another_process_has_the_same_hour_and_another_name_one_of_its_own(
    store: Store, tmp_path: Path
):
    other = open_store(f"sqlite:///{tmp_path / 'toolcrib.db'}")
    assert await Pace(store, "a", 1).take()
    assert not await Pace(other, "a", 1).take()
    assert await Pace(other, "a", 2).take(), "its own limit, held against what all have done"
    assert await Pace(other, "b", 1).take()
    other.close()
