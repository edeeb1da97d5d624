"""Random histories, a few hundred of the ten thousand that ``benchmarks/histories.py`` plays."""

from collections.abc import Callable
from pathlib import Path

import pytest

from . import campaign
from .campaign import Tally, write_history
from .houses import postgres_houses, sqlite_houses
from .scenes import live_scene
from .story import DEEDS, Seen

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

_LIMIT_S = 60.0
_REAL = 20_000
"""The first seed of the histories with real servers."""


def told(tally: Tally) -> str:
    return "\n".join(map(str, tally.found))


async def test_random_histories_never_diverge(tmp_path: Path) -> None:
    with sqlite_houses(tmp_path) as reset:
        tally = await campaign.run(reset, range(200), limit_s=_LIMIT_S)
    assert not tally.found, told(tally)
    # A campaign in which nothing goes wrong proves nothing; a busy machine plays fewer.
    assert tally.histories > 40
    assert tally.seen.deaths > 10
    assert tally.seen.takeovers > 3


async def test_random_histories_never_diverge_on_postgres(
    tmp_path: Path, new_postgres_url: Callable[[], str]
) -> None:
    with postgres_houses(new_postgres_url, tmp_path) as reset:
        tally = await campaign.run(reset, range(10_000, 10_010), limit_s=_LIMIT_S)
    assert not tally.found, told(tally)
    assert tally.histories > 2


async def test_histories_with_real_servers_never_diverge(tmp_path: Path) -> None:
    seen = Seen()
    with sqlite_houses(tmp_path) as reset:
        for seed in range(_REAL, _REAL + 4):
            async with live_scene(tmp_path) as scene:
                failed = await campaign.play(reset(), write_history(seed), seen, scene)
            assert failed is None, f"seed {seed}: {failed}"
    assert seen.checks > 15


def test_every_deed_is_in_some_history() -> None:
    done = {verb for seed in range(200) for verb, _ in write_history(seed)}
    assert done.issuperset(DEEDS)


def test_a_history_is_told_by_its_seed() -> None:
    assert write_history(7) == write_history(7)
    assert write_history(7) != write_history(8)
