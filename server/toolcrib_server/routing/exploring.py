"""Trying a model of which too little is known, within a stated share of calls and never beyond.

Knows no model: it is handed those that meet every limit, and names one of them or none.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolcrib_server.selection.routing.choice import RoutedChoice


class Explorer:
    """Keeps the budget: of all routed calls, at most a share goes where more is to be learned."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._lock = threading.Lock()
        self._routed = 0
        self.explored = 0

    def explore(self, choice: RoutedChoice) -> RoutedChoice:
        """Give the choice, or one in its place that could turn out better than it is expected to.

        Only what is within the caller's own budget is tried, and only where its upper end reaches
        above what the choice is expected to score.
        """
        chosen = next((one for one in choice.ranked if one.model == choice.model), None)
        if chosen is None or not self._may():
            return choice
        able = [e for e in choice.ranked if e.within_budget and e.high > chosen.quality]
        tried = max(
            (e for e in able if e.model != chosen.model), key=lambda e: e.high, default=None
        )
        if tried is None:
            return choice
        with self._lock:
            self.explored += 1
        said = f"Tried to learn more of it ({self._share:.1%} of calls may be): {tried.reason}"
        return replace(choice, model=tried.model, reasons=(said, *choice.reasons))

    def _may(self) -> bool:
        with self._lock:
            self._routed += 1
            return self.explored + 1 <= self._share * self._routed
