"""Whether a model has changed since: its later outcomes against those before, as predicted.

What is compared is how far outcomes lie from predictions made without them, so that harder queries
are not taken for a worse model. Where it has changed, what it did before is left out of what is
expected of it, as ADWIN drops the older part of its window; see `selection.change`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from toolcrib_registry.types import ModelOutcome
from toolcrib_server.selection.change import find_change
from toolcrib_server.selection.routing.arrays import Floats

LATEST: Final = 30
"""Outcomes on either side of a change, at least: fewer are too few to expect anything from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A model whose later outcomes are not what the earlier ones let expect."""

    model: str
    since: datetime
    """Of the first of its later outcomes."""
    latest: int
    """Outcomes since."""
    shift: float
    """How much more it scores since than expected; below zero is worse."""
    errors: float
    """The shift in standard errors."""
    left_out: int = 0
    """Outcomes from before, that nothing is expected from any more."""

    @property
    def reason(self) -> str:
        """Say it in a sentence."""
        way = "better" if self.shift > 0 else "worse"
        return (
            f"{self.model} does {way} since {self.since:%Y-%m-%d} than its outcomes before let "
            f"expect: {self.shift:+.2f} on {self.latest} ({abs(self.errors):.1f} standard errors); "
            f"{self.left_out} from before are left out of what is expected of it"
        )


def find_drift(
    models: Sequence[str],
    predicted: Floats,
    scores: Floats,
    times: Sequence[datetime],
) -> tuple[Drift, ...]:
    """Compare each model's later outcomes with its earlier ones; ``times`` are of the rows."""
    return tuple(_drifts(models, predicted, scores, times))


def since_drift(outcomes: Sequence[ModelOutcome], drifts: Sequence[Drift]) -> list[ModelOutcome]:
    """Leave out what models did before they changed."""
    since = {drift.model: drift.since for drift in drifts}
    return [one for one in outcomes if one.model not in since or one.at >= since[one.model]]


def _drifts(
    models: Sequence[str], predicted: Floats, scores: Floats, times: Sequence[datetime]
) -> Iterator[Drift]:
    order = sorted(range(len(times)), key=times.__getitem__)
    residuals = (scores - predicted)[order]
    for column, model in enumerate(models):
        known = np.flatnonzero(~np.isnan(residuals[:, column])).tolist()
        at = [times[order[row]] for row in known]
        # What came all at once, as an import does, has no before.
        places = [place for place in range(1, len(at)) if at[place - 1] < at[place]]
        values: list[float] = residuals[known, column].tolist()
        change = find_change(values, fewest=LATEST, places=places)
        if change is not None:
            yield Drift(
                model=model,
                since=at[change.place],
                latest=len(at) - change.place,
                shift=change.shift,
                errors=change.errors,
                left_out=change.place,
            )
