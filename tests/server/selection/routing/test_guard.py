"""The guard: in a domain or not, of which, and a threshold that keeps the share it promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.selection.routing.guard import DomainGuard, conformal_threshold

CENTRES = np.random.default_rng(5).normal(size=(3, 24))


def some(kind: int, count: int, *, seed: int = 0):
    random = np.random.default_rng([seed, kind])
    vectors = CENTRES[kind] + 0.7 * random.normal(size=(count, 24))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return ["Is this allowed?"] * count, vectors.astype(np.float32)


@pytest.fixture(scope="module")
def guard() -> DomainGuard:
    return DomainGuard.fit({"law": some(0, 60), "finance": some(1, 60)})


def test_a_query_near_the_examples_is_of_their_domain(guard):
    verdicts = guard.check(*some(1, 50, seed=1))
    assert sum(verdict.domain == "finance" for verdict in verdicts) > 40
    assert all(verdict.nearest == "finance" for verdict in verdicts)
    assert "in domain finance" in next(v for v in verdicts if v.domain).reason


def test_a_query_far_from_every_example_is_outside(guard):
    verdicts = guard.check(*some(2, 50, seed=1))
    assert sum(verdict.domain is None for verdict in verdicts) > 45
    refused = next(verdict for verdict in verdicts if verdict.domain is None)
    assert "outside every domain" in refused.reason
    assert refused.share < 0.2


def test_calibrated_it_keeps_the_share_that_was_asked_for(guard):
    texts, vectors = some(0, 600, seed=2)
    kept = []
    for start in range(0, 300, 30):
        here = slice(start, start + 30)
        calibrated = guard.calibrate(texts[here], vectors[here], keep=0.8)
        verdicts = calibrated.check(texts[300:], vectors[300:])
        kept.append(np.mean([verdict.domain is not None for verdict in verdicts]))
        assert calibrated.calibrated_on == 30
    assert np.mean(kept) == pytest.approx(0.8, abs=0.06)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=60),
    st.floats(0.05, 0.95),
)
def test_a_threshold_lies_among_the_calibrating_scores(scores, keep):
    ordered = np.sort(np.array(scores))
    threshold = conformal_threshold(ordered, keep=keep)
    assert ordered[0] <= threshold <= ordered[-1]
    assert threshold >= conformal_threshold(ordered, keep=min(keep + 0.04, 0.99))


def test_what_cannot_be_learned_from_is_refused(guard):
    with pytest.raises(InvalidInput, match="at least one domain"):
        DomainGuard.fit({})
    with pytest.raises(InvalidInput, match="'law'"):
        DomainGuard.fit({"law": ([], np.zeros((0, 24), dtype=np.float32))})
    with pytest.raises(InvalidInput, match="at least 10"):
        guard.calibrate(*some(0, 3))
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        guard.calibrate(*some(0, 30), keep=1.0)


def test_one_example_is_a_domain():
    tiny = DomainGuard.fit({"law": some(0, 1)})
    (verdict,) = tiny.check(*some(0, 1))
    assert verdict.nearest == "law"
