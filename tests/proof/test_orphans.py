"""Six kills, one of each kind, and nobody left; ``benchmarks/orphans.py`` does it 200 times."""

from pathlib import Path

import pytest

from .orphans import Campaign, plan

_CACHE = Path(__file__).parents[2] / ".cache"


@pytest.mark.timeout(300)
def test_nobody_is_left_whoever_is_killed(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, _CACHE, allowed_s=60)  # a machine may be busy
    count = campaign.run([*plan(6, seed=3)], jobs=2, on_run=lambda: None)
    assert (count.orphans, count.unhealed, count.runs) == ([], [], 6)
