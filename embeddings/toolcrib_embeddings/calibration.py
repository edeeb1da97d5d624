"""How likely it is that what a search found fits at all, and where to say that nothing does.

Weighs the signals of a search (`search_signals`). Where a registry's own scale lies is learned from
questions made of its own tools (`probes`), and the error rate of a threshold from questions that
are known to have an answer (split conformal prediction, arXiv 2107.07511). Knows arrays and
numbers alone. The shipped numbers come from ``benchmarks/abstention.py --fit``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

import numpy as np

from .encoder import FloatVector
from .search_signals import SearchSignals, joint_evidence

LEAST_PROBES: Final = 20
"""A registry of fewer is judged by the shipped scale."""
LEAST_CONFIRMED: Final = 50
"""Questions known to have an answer, below which the shipped error rates are better."""
_MOST_LOG_ODDS: Final = 30.0
_MOST_CONFIRMED: Final = 1_000


class Basis(StrEnum):
    """What a calibration rests on, from weak to strong."""

    SHIPPED = "shipped"
    """Handfuls of tools of the development sets."""
    REGISTRY = "registry"
    """Questions made from the registry's own tools: error rates are estimates."""
    CONFIRMED = "confirmed"
    """Real questions that were answered: error rates hold for questions like them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """What is learned on development sets; `SHIPPED_CONSTANTS` are those in use."""

    weights: tuple[float, float, float]
    """Log-odds for a unit of evidence, distinction, agreement; none is negative."""
    intercept: float
    level: float
    """The usual `Calibration.level`."""
    quantiles: tuple[tuple[float, float], ...]
    """Share of answerable questions, and the strength above the level that so many stay under."""
    unscaled_quantiles: tuple[tuple[float, float], ...]
    """The same above the usual level, for a registry whose own is not known."""
    hit: tuple[float, float, float]
    """Log-odds that a hit fits when anything does: constant, evidence, lead over the best."""


SHIPPED_CONSTANTS: Final = Constants(
    weights=(8.805, 0.214, 2.108),
    intercept=3.004,
    level=7.129,
    quantiles=(
        (0.01, -5.138),
        (0.02, -4.758),
        (0.05, -4.166),
        (0.1, -3.662),
        (0.15, -3.333),
        (0.2, -3.041),
        (0.3, -2.545),
        (0.5, -1.735),
        (0.7, -0.911),
        (0.9, 0.462),
    ),
    unscaled_quantiles=(
        (0.01, -5.132),
        (0.02, -4.703),
        (0.05, -3.891),
        (0.1, -3.173),
        (0.15, -2.527),
        (0.2, -2.097),
        (0.3, -1.468),
        (0.5, -0.467),
        (0.7, 0.573),
        (0.9, 1.831),
    ),
    hit=(-2.318, 3.913, 10.093),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Turns signals into probabilities.

    They count questions with and without an answer as equally frequent.
    """

    level: float
    """The strength halfway between probes with their tool in the registry and without it."""
    basis: Basis = Basis.SHIPPED
    confirmed: tuple[float, ...] = ()
    """Strengths of real questions that had an answer, ascending."""
    constants: Constants = field(default=SHIPPED_CONSTANTS, repr=False)

    @classmethod
    def shipped(cls, constants: Constants = SHIPPED_CONSTANTS) -> Calibration:
        """Return the calibration of a registry of which nothing is known."""
        return cls(level=constants.level, constants=constants)

    @classmethod
    def fit(
        cls,
        present: Collection[SearchSignals],
        absent: Collection[SearchSignals],
        *,
        constants: Constants = SHIPPED_CONSTANTS,
    ) -> Calibration:
        """Learn a registry's scale from its probes: their tool present, and taken away.

        Fewer than 20 of either give the shipped scale.
        """
        if min(len(present), len(absent)) < LEAST_PROBES:
            return cls.shipped(constants)
        found = np.mean([strength(each, constants) for each in present])
        missed = np.median([strength(each, constants) for each in absent])
        level = float(found + missed) / 2
        return cls(level=level, basis=Basis.REGISTRY, constants=constants)

    def confirmed_by(self, answered: Iterable[SearchSignals]) -> Calibration:
        """Return it with real questions that had an answer; from 50 on they set the threshold.

        The last 1,000 count.
        """
        strengths = sorted([strength(each, self.constants) for each in answered][-_MOST_CONFIRMED:])
        if len(strengths) < LEAST_CONFIRMED:
            return self
        return replace(self, confirmed=tuple(strengths), basis=Basis.CONFIRMED)

    def likelihood(self, signals: SearchSignals) -> float:
        """Return the probability that anything in the registry fits."""
        return self._likelihood(strength(signals, self.constants))

    def threshold(self, error_rate: float) -> float:
        """Return the likelihood under which to abstain, given the questions to abstain on wrongly.

        ``error_rate`` is their share among the questions that have an answer, 0 to 1. With
        `Basis.CONFIRMED` the expected share is at most that, for questions like the confirmed
        ones; else it is an estimate.

        Raises:
            ValueError: the rate is not between 0 and 1.
        """
        if not 0 <= error_rate <= 1:
            raise ValueError(f"An error rate is between 0 and 1, not {error_rate}.")
        if not self.confirmed:
            scaled = self.basis is Basis.REGISTRY
            learned = self.constants.quantiles if scaled else self.constants.unscaled_quantiles
            shares, above = zip(*learned, strict=True)
            return self._likelihood(self.level + float(np.interp(error_rate, shares, above)))
        place = math.floor(error_rate * (len(self.confirmed) + 1) + 1e-9)
        if not place:
            return 0.0
        return self._likelihood(self.confirmed[min(place, len(self.confirmed)) - 1])

    def hit_likelihoods(
        self,
        signals: SearchSignals,
        dense: FloatVector,
        lexical: FloatVector,
        *,
        possible: float,
    ) -> FloatVector:
        """Return the probability that each hit fits: never more than that anything does."""
        constant, for_evidence, for_lead = self.constants.hit
        evidence = joint_evidence(dense, lexical, possible=possible)
        lead = np.minimum(evidence - signals.evidence, 0)
        log_odds = constant + for_evidence * evidence + for_lead * lead
        odds_against = np.exp(-np.clip(log_odds, -_MOST_LOG_ODDS, _MOST_LOG_ODDS))
        return (self.likelihood(signals) / (1 + odds_against)).astype(np.float32)

    def _likelihood(self, value: float) -> float:
        log_odds = value - self.level + self.constants.intercept
        return 1 / (1 + math.exp(-min(max(log_odds, -_MOST_LOG_ODDS), _MOST_LOG_ODDS)))

    def dump(self) -> dict[str, Any]:
        """Render it as JSON data; of the constants only the weights, to be known by."""
        return {
            "level": self.level,
            "basis": self.basis.value,
            "confirmed": list(self.confirmed),
            "weights": list(self.constants.weights),
        }

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> Calibration:
        """Read what `dump` gave.

        Raises:
            ValueError: the data is not that, or of a release with other constants: fit it anew.
        """
        try:
            level, confirmed = float(data["level"]), tuple(map(float, data["confirmed"]))
            basis, weights = Basis(data["basis"]), tuple(map(float, data["weights"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no calibration: {error}") from error
        if not np.isfinite([level, *confirmed]).all():
            raise ValueError("a calibration holds finite numbers only")
        if weights != SHIPPED_CONSTANTS.weights:
            raise ValueError("this calibration was fitted with other constants")
        return cls(level=level, basis=basis, confirmed=tuple(sorted(confirmed)))


def strength(signals: SearchSignals, constants: Constants = SHIPPED_CONSTANTS) -> float:
    """Weigh the signals: larger speaks for an answer, on a scale of the registry's own."""
    weighed: Sequence[float] = (signals.evidence, signals.distinction, signals.agreement)
    return math.fsum(w * x for w, x in zip(constants.weights, weighed, strict=True))
