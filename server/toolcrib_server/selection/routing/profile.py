"""What a model's descriptor lets one expect of it, and which other models it is like.

For models of which no or few outcomes are known. A guess, said to be one by a wide interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from .arrays import Floats

PRIOR_SPREAD: Final = 0.2
"""Standard deviation of what a model turns out to score around what its descriptor promises."""
_UNMEASURED: Final = 0.5
_TILT: Final = 0.05
"""Score expected for a standard deviation of size or price where no model is measured at all."""
_PENALTY: Final = 4.0
_SAME_FAMILY: Final = 3.0
_UNKNOWN_DISTANCE: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The part of a descriptor that says something of quality. None is unknown."""

    name: str
    family: str | None = None
    parameters_b: float | None = None
    price_usd: float | None = None
    """Per million tokens."""
    evaluation: float | None = None
    """Mean of published evaluations, or the operator's own tier, from 0 to 1."""

    @property
    def axes(self) -> tuple[float, float, float]:
        """Size, price and evaluation on comparable scales; NaN where unknown."""
        return (_log(self.parameters_b), _log(self.price_usd), _scaled(self.evaluation))


def expect_means(profiles: Sequence[Profile], measured: Floats) -> Floats:
    """Expect each model's mean score; ``measured`` has NaN for those that have none.

    Learned across the measured models, by size, price and evaluations.
    """
    axes = _filled(profiles)
    known = ~np.isnan(measured)
    if not known.any():
        published = np.array(
            [p.evaluation if p.evaluation is not None else np.nan for p in profiles]
        )
        tilted = _UNMEASURED + _TILT * axes[:, :2].mean(axis=1)
        return np.clip(np.where(np.isnan(published), tilted, published), 0.05, 0.95)
    middle = float(measured[known].mean())
    here = axes[known]
    gram = here.T @ here + _PENALTY * np.eye(axes.shape[1])
    goal = here.T @ (measured[known] - middle)
    slopes = np.asarray(np.linalg.solve(gram, goal), dtype=np.float64)
    return np.clip(middle + axes @ slopes, 0.05, 0.95)


def weigh_likeness(profiles: Sequence[Profile], others: Sequence[Profile]) -> Floats:
    """Tell how like each of ``others`` each profile is; rows sum to 1."""
    likeness = np.array([[_likeness(one, other) for other in others] for one in profiles])
    return likeness / likeness.sum(axis=1, keepdims=True)


def _likeness(one: Profile, other: Profile) -> float:
    steps = [
        _UNKNOWN_DISTANCE if math.isnan(a) or math.isnan(b) else (a - b) ** 2
        for a, b in zip(one.axes, other.axes, strict=True)
    ]
    is_family = one.family is not None and one.family == other.family
    return (_SAME_FAMILY if is_family else 1.0) * math.exp(-sum(steps) / len(steps))


def _filled(profiles: Sequence[Profile]) -> Floats:
    axes = np.array([profile.axes for profile in profiles], dtype=np.float64)
    known = ~np.isnan(axes)
    counts = np.maximum(known.sum(axis=0), 1)
    means = np.where(known, axes, 0).sum(axis=0) / counts
    centred = np.where(known, axes - means, 0.0)
    return centred / (np.sqrt((centred**2).sum(axis=0) / counts) + 0.1)


def _log(value: float | None) -> float:
    return math.nan if value is None or value <= 0 else math.log(value) / math.log(4)


def _scaled(value: float | None) -> float:
    return math.nan if value is None else 5 * value
