"""Outcomes of queries that come in kinds: each kind suits one model, and nobody is told which."""

from collections.abc import Callable

import numpy as np
import pytest

from toolcrib_server.selection.routing.outcomes import OutcomeTable

MODELS = ("coder", "poet", "clerk")
DIMENSION = 16


def outcomes(
    count: int, *, seed: int = 0, kinds: int = 3, noise: float = 0.4, known: float = 1.0
) -> OutcomeTable:
    """Make outcomes: of kind k, model k is right in four of five cases, the others in two."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(3, DIMENSION))
    kind = random.integers(0, kinds, count)
    vectors = centres[kind] + noise * random.normal(size=(count, DIMENSION))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    likely = np.full((count, 3), 0.4)
    likely[np.arange(count), kind] = 0.8
    scores = (random.random((count, 3)) < likely).astype(np.float64)
    scores[random.random(scores.shape) >= known] = np.nan
    return OutcomeTable(
        queries=tuple(f"a query of kind {k}" for k in kind),
        vectors=vectors.astype(np.float32),
        models=MODELS,
        scores=scores,
        costs_usd=np.where(np.isnan(scores), np.nan, [0.03, 0.02, 0.001]),
        latencies_ms=np.where(np.isnan(scores), np.nan, [900.0, 500.0, 100.0]),
    )


@pytest.fixture(scope="session")
def make_outcomes() -> Callable[..., OutcomeTable]:
    return outcomes
