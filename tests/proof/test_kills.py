"""SIGKILL at each named point of a sync, once; ``benchmarks/kills.py`` does it 200 times."""

from pathlib import Path

import pytest

from toolcrib_embeddings import SentenceTransformerEncoder
from toolcrib_server.sync.checkpoints import POINTS

from .killing import Campaign, Run
from .live import LiveUpstream

_CACHE = Path(__file__).parents[2] / ".cache"


@pytest.mark.timeout(300)
def test_a_sync_that_is_killed_anywhere_converges(tmp_path: Path) -> None:
    encoder = SentenceTransformerEncoder.open(_CACHE / "encoders")
    with LiveUpstream() as upstream:
        campaign = Campaign(tmp_path / "homes", _CACHE, upstream, encoder)
        runs = [Run(number, point) for number, point in enumerate(POINTS)]
        kills = campaign.run(runs, jobs=2, on_run=lambda: None)
    assert not kills.diverged, "\n".join(kills.diverged)
    assert kills.killed == dict.fromkeys(POINTS, 1)
