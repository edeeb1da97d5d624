"""A query as one point: its vector, its form beside it, and how models are guessed to differ on it.

The last is what makes neighbours of queries that suit the same models, whatever they are about:
the guess of a linear ridge, which for past queries never saw their own outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from .arrays import Floats, Integers, Singles
from .features import read_features
from .linear import Ridge, held_out_ridge
from .targets import Targets

FORM_WEIGHT: Final = 0.1
"""Of a form's standard deviation, against a vector of length 1."""
_LINEAR_FORM_WEIGHT: Final = 0.15
_FURTHEST: Final = 3.0
"""Standard deviations; one odd text must not be alone in the world."""
_LEAST_SPREAD: Final = 0.02
_MOST_DIFFERENCES: Final = 32


@dataclass(frozen=True, slots=True)
class FormScale:
    """How forms are spread over past queries."""

    centre: Floats
    spread: Floats

    @classmethod
    def of(cls, forms: Floats) -> FormScale:
        """Measure it."""
        return cls(forms.mean(axis=0), forms.std(axis=0) + _LEAST_SPREAD)

    def scale(self, forms: Floats) -> Floats:
        """Bring forms to standard deviations from the middle, at most 3."""
        return np.clip((forms - self.centre) / self.spread, -_FURTHEST, _FURTHEST)


@dataclass(frozen=True, slots=True)
class Points:
    """Queries in the three views that the parts of a prediction take."""

    linear: Singles
    plain: Singles
    """Vector and form."""
    taught: Singles
    """Vector, form and guessed differences between models."""
    guess: Floats
    """What the ridge makes of the targets."""

    def take(self, rows: Integers) -> Points:
        """Keep some of them."""
        return Points(self.linear[rows], self.plain[rows], self.taught[rows], self.guess[rows])


@dataclass(frozen=True, slots=True)
class Map:
    """Places queries: learned from past ones, then the same for new ones."""

    scale: FormScale
    ridge: Ridge
    targets: Targets
    axes: Floats

    @classmethod
    def learn(
        cls, texts: Sequence[str], vectors: Singles, targets: Targets, *, parts: Integers
    ) -> tuple[Map, Points]:
        """Learn the map from past queries, and place them on it without their own outcomes."""
        forms = read_features(texts)
        scale = FormScale.of(forms)
        scaled = scale.scale(forms)
        linear = _join(vectors, _LINEAR_FORM_WEIGHT * scaled)
        guess = held_out_ridge(linear, targets.values, parts=parts)
        axes = _axes(targets.differences(guess))
        made = cls(scale, Ridge.fit(linear, targets.values), targets, axes)
        return made, made.points(vectors, scaled, linear, guess)

    def place(self, texts: Sequence[str], vectors: Singles) -> Points:
        """Place new queries."""
        scaled = self.scale.scale(read_features(texts))
        linear = _join(vectors, _LINEAR_FORM_WEIGHT * scaled)
        return self.points(vectors, scaled, linear, self.ridge.predict(linear))

    def points(self, vectors: Singles, scaled: Floats, linear: Singles, guess: Floats) -> Points:
        """Put the views together."""
        plain = _join(vectors, FORM_WEIGHT * scaled)
        return Points(
            linear, plain, _join(plain, self.targets.differences(guess) @ self.axes), guess
        )


def _axes(differences: Floats) -> Floats:
    """Keep every model's difference, or with many models the 32 directions that say most."""
    count = differences.shape[1]
    if count <= _MOST_DIFFERENCES:
        return np.eye(count)
    _, axes = np.linalg.eigh(differences.T @ differences)
    return axes[:, -_MOST_DIFFERENCES:]


def _join(vectors: Singles, more: Floats) -> Singles:
    return np.hstack([vectors, more]).astype(np.float32)
