"""Laws of fusing."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from toolcrib_embeddings.hits import DENSE, LEARNED, LEXICAL, NAME, SERVER
from toolcrib_embeddings.options import Fusion
from toolcrib_embeddings.ranking.fusion import (
    SERVER_WEIGHT,
    Evidence,
    combine,
    fuse,
    reciprocal_ranks,
    server_shares,
)


def _matrix(lines: int, columns: int, low: float, high: float) -> st.SearchStrategy[np.ndarray]:
    return arrays.arrays(np.float32, (lines, columns), elements=st.floats(low, high, width=32))


@st.composite
def _evidence(draw: st.DrawFn, *, servers: int = 3) -> Evidence:
    columns, lines = draw(st.integers(0, 12)), draw(st.integers(1, 4))
    signals = {
        DENSE: draw(_matrix(lines, columns, -1, 1)),
        LEXICAL: draw(_matrix(lines, columns, 0, 50)),
        NAME: draw(_matrix(lines, columns, 0, 1)),
    }
    owners = draw(arrays.arrays(np.int32, columns, elements=st.integers(0, servers - 1)))
    return Evidence(signals, owners)


@given(_evidence(servers=1))
def test_better_in_every_signal_is_at_least_as_good_in_the_sum(evidence: Evidence):
    scores = fuse(evidence).scores
    assert np.isfinite(scores).all()
    lines = np.concatenate(list(evidence.signals.values()))
    for a in range(len(scores)):
        for b in range(len(scores)):
            if (lines[:, a] >= lines[:, b]).all():
                assert scores[a] >= scores[b] - 1e-4


@given(_evidence())
def test_the_order_of_candidates_does_not_matter(evidence: Evidence):
    turned = Evidence(
        {name: lines[:, ::-1] for name, lines in evidence.signals.items()}, evidence.servers[::-1]
    )
    assert np.allclose(fuse(turned).scores[::-1], fuse(evidence).scores, atol=1e-3)


@given(_evidence())
def test_the_summands_are_the_score(evidence: Evidence):
    fused = fuse(evidence)
    assert np.allclose(np.sum(list(fused.summands.values()), axis=0), fused.scores, atol=1e-5)
    assert len(fused.steps) == len(evidence.signals[DENSE]) - 1


@given(_evidence())
def test_what_a_server_adds_is_bounded(evidence: Evidence):
    added = fuse(evidence).summands[SERVER]
    assert ((added >= 0) & (added <= SERVER_WEIGHT + 1e-6)).all()


def test_a_candidate_that_answers_one_step_fully_beats_one_that_half_answers_all():
    signals = {
        DENSE: np.array(
            [[0.5, 0.6, 0.1, 0.1], [0.9, 0.4, 0.1, 0.1], [0.1, 0.2, 0.4, 0.1]], dtype=np.float32
        ),
        LEXICAL: np.zeros((3, 4), dtype=np.float32),
        NAME: np.zeros((3, 4), dtype=np.float32),
    }
    servers = np.arange(4, dtype=np.int32)
    whole = Evidence({name: lines[:1] for name, lines in signals.items()}, servers)
    assert np.argmax(fuse(whole).scores) == 1
    assert np.argmax(fuse(Evidence(signals, servers)).scores) == 0


def test_the_server_that_owns_the_good_candidates_is_preferred():
    scores = np.array([2.0, 1.9, 2.0, -1, -1, -1, -1], dtype=np.float32)
    shares = server_shares(scores, np.array([0, 0, 1, 2, 3, 4, 5], dtype=np.int32))
    assert shares[0] == shares[1] > shares[2] > shares[3]


def test_a_server_that_owns_most_candidates_says_nothing():
    scores = np.array([2.0, 1.0, 0.0], dtype=np.float32)
    assert server_shares(scores, np.array([0, 0, 1], dtype=np.int32))[0] == 0


def test_what_was_learned_moves_a_score_by_as_much():
    evidence = Evidence(
        {name: np.zeros((1, 2), dtype=np.float32) for name in (DENSE, LEXICAL, NAME)},
        np.zeros(2, dtype=np.int32),
        np.array([0.0, 0.7], dtype=np.float32),
    )
    fused = fuse(evidence)
    assert np.allclose(fused.scores, [0, 0.7])
    assert np.allclose(fused.summands[LEARNED], [0, 0.7])


def test_reciprocal_ranks_are_summed_over_the_lists_that_found_it():
    fused = reciprocal_ranks(
        [np.array([0.9, 0.5, 0.1], dtype=np.float32), np.array([0.0, 7.0, 0.0], dtype=np.float32)]
    )
    assert np.allclose(fused, [1 / 61, 1 / 62 + 1 / 61, 1 / 63])


def test_a_baseline_uses_the_whole_query_alone():
    lines = {
        DENSE: np.array([[0.25, 0.5], [0.9, 0]], dtype=np.float32),
        LEXICAL: np.array([[3.0, 0], [0, 9]], dtype=np.float32),
    }
    evidence = Evidence(lines, np.zeros(2, dtype=np.int32))
    assert combine(Fusion.DENSE, evidence).scores.tolist() == [0.25, 0.5]
    assert combine(Fusion.LEXICAL, evidence).scores.tolist() == [3.0, 0]
    assert np.argmax(combine(Fusion.RRF, evidence).scores) == 0
