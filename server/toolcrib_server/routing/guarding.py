"""The operator's domains as a guard: learned from examples, its threshold set by other queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from toolcrib_registry.store import Store
from toolcrib_registry.types import Domain
from toolcrib_server.selection.routing.guard import DomainGuard

from .domains import CALIBRATION, FEWEST_CALIBRATING
from .library import kept_vectors

if TYPE_CHECKING:
    from toolcrib_embeddings import Encoder


def guard_of(store: Store, encoder: Encoder, domains: Sequence[Domain]) -> DomainGuard | None:
    """Learn the guard; None where no domain is described. Encodes what has no vector yet."""
    described = {domain.name: domain.examples for domain in domains if domain.examples}
    calibrating = described.pop(CALIBRATION, ())
    if not described:
        return None
    texts = [text for examples in described.values() for text in examples]
    vectors = kept_vectors(store, encoder, [*texts, *calibrating])
    guard = DomainGuard.fit(
        {
            name: (examples, np.stack([vectors[text] for text in examples]))
            for name, examples in described.items()
        }
    )
    if len(calibrating) < FEWEST_CALIBRATING:
        return guard
    return guard.calibrate(calibrating, np.stack([vectors[text] for text in calibrating]))
