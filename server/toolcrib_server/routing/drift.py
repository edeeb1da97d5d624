"""Whether a model has changed since: its latest outcomes against those before, as predicted.

What is compared is how far outcomes lie from predictions made without them, so that harder queries
are not taken for a worse model. Welch's test; a wide bound, for every model is asked each time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from toolcrib_server.selection.routing.arrays import Floats

LATEST: Final = 30
"""Outcomes that are recent, or a tenth where there are more."""
_SHARE: Final = 10
BOUND: Final = 4.0
"""Standard errors between latest and earlier before it counts as drift."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A model whose latest outcomes are not what the earlier ones let expect."""

    model: str
    since: datetime
    """Of the first of its latest outcomes."""
    latest: int
    shift: float
    """How much more it scores lately than expected; below zero is worse."""
    errors: float
    """The shift in standard errors."""

    @property
    def reason(self) -> str:
        """Say it in a sentence."""
        way = "better" if self.shift > 0 else "worse"
        return (
            f"{self.model} does {way} than its outcomes before {self.since:%Y-%m-%d} let expect: "
            f"{self.shift:+.2f} on its latest {self.latest} ({abs(self.errors):.1f} standard "
            "errors)"
        )


def find_drift(
    models: Sequence[str],
    predicted: Floats,
    scores: Floats,
    times: Sequence[datetime],
) -> tuple[Drift, ...]:
    """Compare each model's latest outcomes with its earlier ones; ``times`` are of the rows."""
    return tuple(_drifts(models, predicted, scores, times))


def _drifts(
    models: Sequence[str], predicted: Floats, scores: Floats, times: Sequence[datetime]
) -> Iterator[Drift]:
    order = sorted(range(len(times)), key=times.__getitem__)
    residuals = (scores - predicted)[order]
    for column, model in enumerate(models):
        known = np.flatnonzero(~np.isnan(residuals[:, column]))
        latest = max(LATEST, len(known) // _SHARE)
        if len(known) < 2 * latest:
            continue
        before, after = known[:-latest], known[-latest:]
        first, last = times[order[int(after[0])]], times[order[int(before[-1])]]
        if first <= last:
            continue  # all at once, as an import is: there is no before
        shift, errors = _welch(residuals[after, column], residuals[before, column])
        if abs(errors) > BOUND:
            yield Drift(model=model, since=first, latest=latest, shift=shift, errors=errors)


def _welch(after: Floats, before: Floats) -> tuple[float, float]:
    shift = float(after.mean() - before.mean())
    # A scored query tells at most so much: identical scores are no proof of certainty.
    error = np.sqrt(
        max(float(after.var()), 0.01) / len(after) + max(float(before.var()), 0.01) / len(before)
    )
    return shift, float(shift / error)
