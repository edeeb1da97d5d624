"""How likely it is that what a search found fits at all, and where to say that nothing does.

Weighs the signals of a search (`search_signals`). Where a registry's own scale lies is learned from
questions made of its own tools (`probes`); questions that are known to have had an answer move the
threshold (`confirmation`). Knows arrays and numbers alone. The shipped numbers come from
``benchmarks/abstention.py --fit``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import numpy as np

from toolcrib_embeddings.vectors import FloatVector

from .confirmation import Confirmation
from .signals import SearchSignals, joint_evidence

LEAST_PROBES: Final = 20
"""A registry of fewer is judged by the shipped scale."""
_MOST_LOG_ODDS: Final = 30.0


class Basis(StrEnum):
    """What an error rate rests on, from weak to strong."""

    SHIPPED = "shipped"
    """Handfuls of tools of the development sets."""
    REGISTRY = "registry"
    """Questions made from the registry's own tools: error rates are estimates."""
    CONFIRMED = "confirmed"
    """Real questions that were answered: error rates hold for questions like them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """How often a search abstains wrongly, and what says so."""

    error_rate: float
    """Of the questions that have an answer, the share that is said to have none."""
    basis: Basis
    questions: int = 0
    """How many were confirmed, where the error rate rests on them."""

    def __str__(self) -> str:
        said = {
            Basis.SHIPPED: "the shipped scale",
            Basis.REGISTRY: "the registry's own scale",
            Basis.CONFIRMED: f"confirmed questions, {self.questions}",
        }
        return said[self.basis]


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

    def likelihood(self, signals: SearchSignals) -> float:
        """Return the probability that anything in the registry fits."""
        return self._likelihood(strength(signals, self.constants))

    def threshold(self, error_rate: float, confirmed: Confirmation | None = None) -> float:
        """Return the likelihood under which to abstain, given the questions to abstain on wrongly.

        ``error_rate`` is their share among the questions that have an answer, 0 to 1. On the
        registry's own scale it is an estimate; ``confirmed`` questions, of the same rate, move it.

        Raises:
            ValueError: the rate is not between 0 and 1, or another than that of ``confirmed``.
        """
        if not 0 <= error_rate <= 1:
            raise ValueError(f"An error rate is between 0 and 1, not {error_rate}.")
        if confirmed is not None and confirmed.error_rate != error_rate:
            raise ValueError(f"These questions are for {confirmed.error_rate}, not {error_rate}.")
        scaled = self.basis is Basis.REGISTRY
        learned = self.constants.quantiles if scaled else self.constants.unscaled_quantiles
        shares, above = zip(*learned, strict=True)
        own = self.level + float(np.interp(error_rate, shares, above))
        return self._likelihood(own if confirmed is None else confirmed.bar(own))

    def grounds(self, error_rate: float, confirmed: Confirmation | None = None) -> Grounds:
        """Tell what an error rate rests on."""
        if confirmed is None:
            return Grounds(error_rate=error_rate, basis=self.basis)
        return Grounds(error_rate=error_rate, basis=Basis.CONFIRMED, questions=confirmed.questions)

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
            "weights": list(self.constants.weights),
        }

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> Calibration:
        """Read what `dump` gave.

        Raises:
            ValueError: the data is not that, or of a release with other constants: fit it anew.
        """
        try:
            level, basis = float(data["level"]), Basis(data["basis"])
            weights = tuple(map(float, data["weights"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no calibration: {error}") from error
        if not math.isfinite(level):
            raise ValueError("a calibration holds finite numbers only")
        if weights != SHIPPED_CONSTANTS.weights:
            raise ValueError("this calibration was fitted with other constants")
        return cls(level=level, basis=basis)


def strength(signals: SearchSignals, constants: Constants = SHIPPED_CONSTANTS) -> float:
    """Weigh the signals: larger speaks for an answer, on a scale of the registry's own."""
    weighed: Sequence[float] = (signals.evidence, signals.distinction, signals.agreement)
    return math.fsum(w * x for w, x in zip(constants.weights, weighed, strict=True))
