"""What came of a test: right answers by area, with how far that can be trusted."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from toolcrib_registry.errors import ToolcribError
from toolcrib_server.invocation.figures.measured import Measured

from .suite import Task

_Z: Final = 1.6449
"""Two-sided 90 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One question's. Where the call failed nothing is known of the answer."""

    task: Task
    passed: bool | None = None
    detail: str = ""
    measured: Measured | None = None
    error: ToolcribError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many were right of how many, and where the true share lies (90 % Wilson interval)."""

    area: str
    right: int
    asked: int
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A model's test."""

    model: str
    results: tuple[Result, ...]
    stopped: str | None = None
    """Why the rest was not asked; None: all of it was."""

    @property
    def answered(self) -> tuple[Result, ...]:
        """Those of which something is known."""
        return tuple(result for result in self.results if result.passed is not None)

    @property
    def total(self) -> Share:
        """Over all areas."""
        return share_of("all", self.answered)

    @property
    def areas(self) -> tuple[Share, ...]:
        """Each area's, in the order of the suite."""
        names = dict.fromkeys(result.task.area for result in self.results)
        return tuple(
            share_of(name, [one for one in self.answered if one.task.area == name])
            for name in names
        )

    @property
    def cost_usd(self) -> float | None:
        """What it cost; None where a price is unknown."""
        costs = [one.measured.cost_usd for one in self.results if one.measured]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None


def share_of(area: str, results: Iterable[Result]) -> Share:
    """Count an area's right answers."""
    passed = [bool(result.passed) for result in results]
    low, high = wilson(sum(passed), len(passed))
    return Share(area=area, right=sum(passed), asked=len(passed), low=low, high=high)


def wilson(right: int, total: int) -> tuple[float, float]:
    """Return the 90 % Wilson interval of a share (Wilson, 1927); of nothing it is all there is."""
    if not total:
        return 0.0, 1.0
    share, z2 = right / total, _Z * _Z
    middle = share + z2 / (2 * total)
    spread = _Z * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    whole = 1 + z2 / total
    return max((middle - spread) / whole, 0.0), min((middle + spread) / whole, 1.0)
