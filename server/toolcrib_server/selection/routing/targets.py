"""Scores as what is to be predicted: how easy a query is, and how far each model is from that.

The two are learned apart, because the first varies much and decides nothing, and the second varies
little and decides everything. Where most scores are missing, each model is learned by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from .arrays import Floats, contrast

_FILLED: Final = 0.1
"""The share of missing scores that may be filled in; beyond it models are learned apart."""
_FULL_TRUST: Final = 8.0
"""Outcomes at which a model's own mean weighs as much as what its descriptor says."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What is predicted: columns around zero, NaN where unknown, and the way back to scores."""

    values: Floats
    means: Floats
    """Of each model, drawn to its prior where outcomes are few."""
    is_split: bool
    """Whether the first column is how easy a query is, and the others differences."""

    @classmethod
    def of(cls, scores: Floats, priors: Floats) -> Targets:
        """Split scores; ``priors`` are means that are expected before anything is known."""
        known = ~np.isnan(scores)
        counts = known.sum(axis=0)
        sums = np.where(known, scores, 0.0).sum(axis=0)
        means = (sums + _FULL_TRUST * priors) / (counts + _FULL_TRUST)
        # With many outcomes the prior must not bend what is measured.
        own = np.divide(sums, counts, out=priors.copy(), where=counts > 0)
        means = np.where(counts >= _FULL_TRUST**2, own, means)
        residuals = scores - means
        if scores.shape[1] == 1 or (1 - known.mean()) > _FILLED:
            return cls(residuals, means, is_split=False)
        filled = _fill(residuals)
        ease = filled.mean(axis=1, keepdims=True)
        return cls(np.hstack([ease, contrast(filled)]), means, is_split=True)

    @property
    def groups(self) -> tuple[slice, ...]:
        """Columns that share their weights."""
        return (slice(0, 1), slice(1, None)) if self.is_split else (slice(0, None),)

    def differences(self, predicted: Floats) -> Floats:
        """Take from predictions what tells models apart."""
        return predicted[:, 1:] if self.is_split else contrast(predicted)

    def scores(self, predicted: Floats) -> Floats:
        """Turn predictions back into expected scores, from 0 to 1."""
        raw = predicted[:, :1] + predicted[:, 1:] if self.is_split else predicted
        return np.clip(raw + self.means, 0.0, 1.0)


def _fill(residuals: Floats) -> Floats:
    rows = np.nanmean(np.where(np.isnan(residuals).all(axis=1, keepdims=True), 0.0, residuals), 1)
    return np.where(np.isnan(residuals), rows[:, None], residuals)
