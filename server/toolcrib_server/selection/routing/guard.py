"""Tells whether a query is of a domain that the operator described by examples, and of which.

How near the nearest examples are, against how near those lie to each other, and whether they agree
on the domain. The threshold is a split-conformal quantile (Vovk et al. 2005) of the operator's own
queries: it refuses about the chosen share of such queries, whatever their distribution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from toolcrib_registry.errors import InvalidInput

from .arrays import Floats, Integers, Singles, products
from .features import read_features
from .forms import FormScale

KEEP: Final = 0.88
"""The share of in-domain queries that should pass: near where wrong refusals cost as much as
wrong admissions."""
FEWEST_CALIBRATING: Final = 10
_NEAREST: Final = 8
_FORM_WEIGHT: Final = 0.07
_CROWDING: Final = 0.5
"""How far an example that lies among many near ones is discounted."""
_AGREEMENT: Final = 0.1
_AT_ONCE: Final = 512


@dataclass(frozen=True, slots=True)
class DomainVerdict:
    """What the guard says of one query. Without a domain it is outside of all of them."""

    domain: str | None
    nearest: str
    """The domain whose examples are nearest, also where they are too far."""
    score: float
    threshold: float
    share: float
    """Of the calibrating queries, those no nearer than this one (a conformal p-value)."""
    calibrated_on: int
    """How many queries set the threshold; 0: the examples themselves did."""

    @property
    def reason(self) -> str:
        """Say it in a sentence."""
        where = "at or above" if self.domain else "below"
        by = (
            f"{self.calibrated_on} of the operator's queries"
            if self.calibrated_on
            else "the examples themselves"
        )
        verdict = f"in domain {self.domain}" if self.domain else "outside every domain"
        return (
            f"The query is {verdict}: nearest to {self.nearest}, score {self.score:.3f}, {where} "
            f"the threshold {self.threshold:.3f} set on {by}."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainGuard:
    """Examples of each domain, and how near a query must be to them."""

    domains: tuple[str, ...]
    threshold: float
    calibration: Floats
    calibrated_on: int
    _scale: FormScale
    _points: Singles
    _labels: Integers
    _crowding: Floats

    @classmethod
    def fit(
        cls, examples: Mapping[str, tuple[Sequence[str], Singles]], *, keep: float = KEEP
    ) -> DomainGuard:
        """Learn domains from the texts and vectors of their examples; a few dozen each is well.

        Until it is calibrated, examples judged by the other examples set the threshold.

        Raises:
            InvalidInput: There is no domain, or one has no example.
        """
        _check(examples, keep)
        forms = read_features([text for texts, _ in examples.values() for text in texts])
        scale = FormScale.of(forms)
        points = _points(scale, forms, np.vstack([vectors for _, vectors in examples.values()]))
        labels = np.repeat(np.arange(len(examples)), [len(texts) for texts, _ in examples.values()])
        made = cls(
            domains=tuple(examples),
            threshold=0.0,
            calibration=np.zeros(0),
            calibrated_on=0,
            _scale=scale,
            _points=points,
            _labels=labels,
            _crowding=np.zeros(len(points)),
        )
        made = replace(made, _crowding=_similarity(*_nearest(points, points, own=True)))
        scores, _ = made._scored(points, own=True)
        return made._with(scores, keep, calibrated_on=0)

    def calibrate(
        self, texts: Sequence[str], vectors: Singles, *, keep: float = KEEP
    ) -> DomainGuard:
        """Set the threshold by in-domain queries that are no examples; thirty are enough.

        Raises:
            InvalidInput: There are fewer than ten, or ``keep`` is no share.
        """
        _check_keep(keep)
        if len(texts) < FEWEST_CALIBRATING:
            raise InvalidInput(
                f"{len(texts)} queries cannot set a threshold; give at least {FEWEST_CALIBRATING}."
            )
        scores, _ = self.score(texts, vectors)
        return self._with(scores, keep, calibrated_on=len(texts))

    def score(self, texts: Sequence[str], vectors: Singles) -> tuple[Floats, Integers]:
        """Score queries, the more the surer in a domain; and the place of the nearest domain."""
        return self._scored(_points(self._scale, read_features(texts), vectors), own=False)

    def check(self, texts: Sequence[str], vectors: Singles) -> tuple[DomainVerdict, ...]:
        """Judge queries."""
        scores, nearest = self.score(texts, vectors)
        return tuple(map(self._verdict, scores.tolist(), nearest.tolist()))

    def _verdict(self, score: float, place: int) -> DomainVerdict:
        name = self.domains[place]
        below = int(np.searchsorted(self.calibration, score, side="right"))
        return DomainVerdict(
            domain=name if score >= self.threshold else None,
            nearest=name,
            score=score,
            threshold=self.threshold,
            share=(below + 1) / (len(self.calibration) + 1),
            calibrated_on=self.calibrated_on,
        )

    def _scored(self, points: Singles, *, own: bool) -> tuple[Floats, Integers]:
        similar, places = _nearest(points, self._points, own=own)
        weights = np.maximum(similar, 0) + 1e-9
        votes = np.stack(
            [(weights * (self._labels[places] == d)).sum(axis=1) for d in range(len(self.domains))],
            axis=1,
        )
        agreement = votes.max(axis=1) / weights.sum(axis=1)
        crowding = self._crowding[places].mean(axis=1)
        scores = similar.mean(axis=1) - _CROWDING * crowding + _AGREEMENT * agreement
        return scores, votes.argmax(axis=1)

    def _with(self, scores: Floats, keep: float, *, calibrated_on: int) -> DomainGuard:
        ordered = np.sort(scores)
        return replace(
            self,
            calibration=ordered,
            threshold=conformal_threshold(ordered, keep=keep),
            calibrated_on=calibrated_on,
        )


def conformal_threshold(ordered: Floats, *, keep: float) -> float:
    """Find the score that a new query of the same kind reaches with probability ``keep``.

    Between two calibrating scores it is interpolated; with too few to promise it, the lowest.
    """
    place = (1 - keep) * (len(ordered) + 1) - 1
    low = math.floor(place)
    if low < 0:
        return float(ordered[0])
    if low + 1 >= len(ordered):
        return float(ordered[-1])
    return float(ordered[low] + (place - low) * (ordered[low + 1] - ordered[low]))


def _points(scale: FormScale, forms: Floats, vectors: Singles) -> Singles:
    joined = np.hstack([vectors, _FORM_WEIGHT * scale.scale(forms)])
    lengths = np.maximum(np.linalg.norm(joined, axis=1, keepdims=True), 1e-9)
    return (joined / lengths).astype(np.float32)


def _nearest(points: Singles, examples: Singles, *, own: bool) -> tuple[Floats, Integers]:
    """Find each point's nearest examples; ``own``: points are the examples, and not their own."""
    count = max(min(_NEAREST, len(examples) - own), 1)
    similar = np.zeros((len(points), count))
    places = np.zeros((len(points), count), dtype=np.int64)
    for start in range(0, len(points), _AT_ONCE):
        some = products(points[start : start + _AT_ONCE], examples)
        if own and len(examples) > 1:
            rows = np.arange(len(some))
            some[rows, start + rows] = -np.inf
        order = np.argpartition(-some, count - 1, axis=1)[:, :count]
        similar[start : start + _AT_ONCE] = np.take_along_axis(some, order, 1)
        places[start : start + _AT_ONCE] = order
    return similar, places


def _similarity(similar: Floats, _: Integers) -> Floats:
    return similar.mean(axis=1)


def _check(examples: Mapping[str, tuple[Sequence[str], Singles]], keep: float) -> None:
    _check_keep(keep)
    if not examples:
        raise InvalidInput("A guard needs examples of at least one domain.")
    for name, (texts, vectors) in examples.items():
        if not texts or len(texts) != len(vectors):
            raise InvalidInput(f"The domain {name!r} needs examples, each with its vector.")


def _check_keep(keep: float) -> None:
    if not 0 < keep < 1:
        raise InvalidInput(f"keep is {keep}; it must be between 0 and 1.")
