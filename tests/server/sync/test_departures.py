"""What leads to a server that went is closed, whoever removed it or turned it off."""

import pytest

from toolcrib_registry.types import ServerName
from toolcrib_server.sync.departures import Departures

pytestmark = pytest.mark.anyio

A, B = ServerName("a"), ServerName("b")


async def test_what_went_is_dropped_once_and_what_stays_is_left_alone():
    dropped: list[ServerName] = []

    async def drop(name: ServerName) -> None:
        dropped.append(name)

    departures = Departures(drop)
    await departures.note([A, B])
    await departures.note([B, A])
    assert dropped == []
    await departures.note([A])
    await departures.note([A])
    assert dropped == [B]
    await departures.note([A, B])
    await departures.note([])
    assert dropped == [B, A, B]


async def test_one_that_was_off_before_is_not_touched():
    dropped: list[ServerName] = []

    async def drop(name: ServerName) -> None:
        dropped.append(name)

    departures = Departures(drop)
    await departures.note([A])
    await departures.note([A])
    assert dropped == []
