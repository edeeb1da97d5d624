"""What calls of each offer measured lately: latency, errors, tokens and cost, as rolling figures.

Filled by this process's calls and from the audit records, so that what one process measured is
known to the others.
"""

from __future__ import annotations

import threading
import time
from bisect import insort
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, Protocol

from toolcrib_registry.types import CallRecord
from toolcrib_server.selection.measured import NOTHING_MEASURED, Figures, Lengths, Measurements

from .measured import OFFER_KEY, Measured, measured_in

_WINDOW = 200
"""Calls of an offer that the figures are about."""
_RENEWED_S: Final = 1.0
"""How old figures may be that a selection is given, while calls go on."""
_AGED_S: Final = 60.0
"""And while none do: failures are forgiven as time passes."""
_MOST_IDS: Final = 50_000


class OfferFigures(Protocol):
    """Keeps what calls measured."""

    def note(self, key: str, measured: Measured) -> None:
        """Take note of one call; returns at once."""
        ...

    def find(self, key: str) -> Figures | None:
        """Give an offer's figures; None when it was never called."""
        ...


class RollingFigures:
    """Keeps the last calls of each offer, in memory. For any number of threads."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        renewed_s: float = _RENEWED_S,
    ) -> None:
        """Figures that `current` gives are at most ``renewed_s`` old while calls go on."""
        self._now = now
        self._renewed_s = renewed_s
        self._calls: dict[str, deque[Measured]] = {}
        self._ids: dict[str, None] = {}
        self._lock = threading.Lock()
        self._stale: set[str] = set()
        self._current = NOTHING_MEASURED
        self._made_s = -_AGED_S
        self.latest: datetime | None = None
        """When the latest call was that is known."""

    def note(self, key: str, measured: Measured) -> None:
        """Take note of one call; returns at once."""
        with self._lock:
            self._add(key, [measured])

    def recall(self, records: Iterable[CallRecord]) -> None:
        """Take up what audit records say, in any order; what is known already changes nothing."""
        found: dict[str, list[Measured]] = defaultdict(list)
        for record in records:
            key = record.argument_shape.get(OFFER_KEY)
            if isinstance(key, str):
                found[key].append(measured_in(record))
        with self._lock:
            for key, calls in found.items():
                self._add(key, calls)

    def unknown(self, ids: Iterable[str]) -> list[str]:
        """Keep the ids of audit records that were not taken up yet."""
        with self._lock:
            return [id_ for id_ in ids if id_ not in self._ids]

    def find(self, key: str) -> Figures | None:
        """Give an offer's figures; None when it was never called."""
        from .summary import summarise  # noqa: PLC0415  # only where figures are asked for

        with self._lock:
            calls = tuple(self._calls.get(key, ()))
        return summarise(calls, now=self._now()) if calls else None

    def current(self) -> Measurements:
        """Give all figures as they are now; worked out anew where calls or time made that due."""
        age_s = time.monotonic() - self._made_s
        if age_s < (self._renewed_s if self._stale else _AGED_S):
            return self._current
        with self._lock:
            keys = self._calls.keys() if age_s >= _AGED_S else self._stale
            due = {key: tuple(self._calls[key]) for key in keys}
            self._stale = set()
            self._made_s = time.monotonic()
        if due:
            self._current = _renewed(self._current, due, self._now())
        return self._current

    def _add(self, key: str, measured: Collection[Measured]) -> None:
        calls = list(self._calls.get(key, ()))
        for one in measured:
            if one.id and one.id in self._ids:
                continue
            if one.id:
                self._ids[one.id] = None
            insort(calls, one, key=lambda call: call.at)
            self.latest = one.at if self.latest is None else max(self.latest, one.at)
            self._stale.add(key)
        self._calls[key] = deque(calls, maxlen=_WINDOW)
        while len(self._ids) > _MOST_IDS:
            self._ids.pop(next(iter(self._ids)))


def _renewed(
    before: Measurements, due: Mapping[str, tuple[Measured, ...]], now: datetime
) -> Measurements:
    from .summary import summarise  # noqa: PLC0415  # only where figures are asked for

    by_offer = dict(before.by_offer) | {k: summarise(calls, now=now) for k, calls in due.items()}
    lengths: dict[str, Lengths] = {}
    for key, figures in by_offer.items():
        if figures.tokens_out_mean is not None:
            model = key.rpartition("@")[0]
            lengths[model] = _joined(lengths.get(model, Lengths()), figures)
    return Measurements(
        before.version + 1,
        by_offer,
        lengths,
        Lengths(
            sum(one.answers for one in lengths.values()),
            sum(one.tokens for one in lengths.values()),
        ),
    )


def _joined(known: Lengths, figures: Figures) -> Lengths:
    tokens = figures.answered * (figures.tokens_out_mean or 0.0)
    return Lengths(known.answers + figures.answered, known.tokens + tokens)
