"""Who was just shown what: ties a call to the search before it. Short, bounded, never stored.

Knows no store and no outcome. Belongs to one event loop.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from toolcrib_registry.types import EntryId

_SEARCHES: Final = 20
"""Remembered for each principal."""
_PRINCIPALS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Shown:
    """One answer that somebody was shown, best first."""

    at: datetime
    query: str
    ids: tuple[EntryId, ...]


class RecentSearches:
    """The last answers of each principal, for a while."""

    def __init__(self, *, window: timedelta) -> None:
        self._window = window
        self._shown: OrderedDict[str, deque[Shown]] = OrderedDict()

    def note(self, principal: str, query: str, ids: Sequence[EntryId], *, at: datetime) -> None:
        """Remember an answer."""
        shown = self._shown.setdefault(principal, deque(maxlen=_SEARCHES))
        shown.append(Shown(at, query, tuple(ids)))
        self._shown.move_to_end(principal)
        if len(self._shown) > _PRINCIPALS:
            self._shown.popitem(last=False)

    def find(self, principal: str, entry: EntryId, *, at: datetime) -> Shown | None:
        """Find the latest answer of the principal that listed the entry, if it is recent."""
        for shown in reversed(self._shown.get(principal, ())):
            if at - shown.at > self._window:
                return None
            if entry in shown.ids:
                return shown
        return None

    def forget(self, principal: str | None = None) -> None:
        """Forget the answers of one principal, or of all."""
        if principal is None:
            self._shown.clear()
        else:
            self._shown.pop(principal, None)
