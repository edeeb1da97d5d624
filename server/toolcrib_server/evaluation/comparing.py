"""Two configurations over the same queries: how much better one is, and if that is an accident."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from .measures import MEASURES
from .results import Comparison, Difference
from .significance import Estimate, Floats, correct, estimate, flip_signs, p_values


def compare(
    baseline: str, other: str, values: Mapping[str, tuple[Floats, Floats]], *, seed: int
) -> Comparison:
    """Compare by set and on average over sets.

    ``values`` has, for each set, the differences by query and measure, and their resampled means.
    The p-values of one measure are corrected over the sets; the average is one test.
    """
    shuffled = {
        name: flip_signs(differences, seed=seed, name=name)
        for name, (differences, _) in values.items()
    }
    observed = {name: differences.mean(axis=0) for name, (differences, _) in values.items()}
    p = np.array([p_values(observed[name], shuffled[name]) for name in values])
    corrected = np.array([correct(column) for column in p.T.tolist()]).T
    sets = {
        name: _differences(estimate(observed[name], values[name][1]), p[row], corrected[row])
        for row, name in enumerate(values)
    }
    mean = np.mean(list(observed.values()), axis=0)
    means = np.mean([resampled for _, resampled in values.values()], axis=0)
    p_macro = np.array(p_values(mean, np.mean(list(shuffled.values()), axis=0)))
    macro = _differences(estimate(mean, means), p_macro, p_macro)
    return Comparison(baseline, other, sets, macro)


def correct_averages(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """Correct the average's p-values for how many comparisons were made."""
    corrected = {
        measure: correct([each.macro[measure].p for each in comparisons]) for measure in MEASURES
    }
    return tuple(
        replace(
            each,
            macro={
                measure: replace(difference, p_corrected=corrected[measure][place])
                for measure, difference in each.macro.items()
            },
        )
        for place, each in enumerate(comparisons)
    )


def _differences(
    estimates: list[Estimate], p: Floats, corrected: Floats
) -> Mapping[str, Difference]:
    return {
        measure: Difference(e.mean, e.low, e.high, float(a), float(b))
        for measure, e, a, b in zip(MEASURES, estimates, p, corrected, strict=True)
    }
