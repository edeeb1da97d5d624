"""An offer's calls put together: medians and tails, how surely it fails, and since when.

Calls from before a change of latency or of errors are left out. Failures weigh less by the hour, so
that an offer which nobody asks any more is asked again; calls are the oldest first.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from toolcrib_server.selection.change import Change, find_change, ranks
from toolcrib_server.selection.measured import Figures

from .measured import Measured

_FORGIVEN_S: Final = 6 * 3600.0
"""By then a failure, or an answer, weighs half of what it did."""
_FREE_CALLS: Final = 5.0
"""Calls without a failure that every offer is given credit for."""
_ONE_SIDED_90: Final = 1.28
_FEWEST_FOR_LINE: Final = 8


@dataclass(frozen=True, slots=True)
class _Kept:
    """The calls that count, and why not all do."""

    calls: tuple[Measured, ...]
    changed: str | None = None


def summarise(calls: Sequence[Measured], *, now: datetime) -> Figures:
    """Put an offer's calls together; there is at least one."""
    kept = _since_changed(tuple(calls))
    calls = kept.calls
    answered = [c for c in calls if c.outcome == "ok" and c.tokens_out]
    first = sorted(c.first_token_ms for c in answered if c.first_token_ms is not None)
    each = [c.per_token_ms for c in answered if c.per_token_ms is not None]
    took = sorted(c.duration_ms for c in answered)
    costs = [c.cost_usd for c in calls if c.cost_usd is not None]
    counted = [c for c in answered if c.guessed_in and not c.estimated]
    told = [c for c in answered if c.told_usd is not None]
    base, slope = _line(answered)
    failing, surely = _failing(calls, now)
    return Figures(
        calls=len(calls),
        error_rate=sum(c.failed for c in calls) / len(calls),
        first_token_ms_p50=statistics.median(first) if first else None,
        first_token_ms_p95=_p95(first),
        per_token_ms_p50=statistics.median(each) if each else None,
        tokens_in=sum(c.tokens_in for c in calls),
        tokens_out=sum(c.tokens_out for c in calls),
        cost_usd=math.fsum(costs) if costs else None,
        last_at=calls[-1].at,
        last_error=next((c.outcome for c in reversed(calls) if c.failed), None),
        answered=len(answered),
        streamed=len(first),
        latency_ms_p50=statistics.median(took) if took else None,
        latency_ms_p95=_p95(took),
        base_ms=base,
        slope_ms=slope,
        tokens_out_mean=statistics.fmean(c.tokens_out for c in answered) if answered else None,
        guessed_in=sum(c.guessed_in or 0 for c in counted),
        counted_in=sum(c.tokens_in for c in counted),
        priced_usd=math.fsum(c.priced_usd or 0.0 for c in told),
        told_usd=math.fsum(c.told_usd or 0.0 for c in told),
        told=len(told),
        told_tokens=sum(c.tokens_in + c.tokens_out for c in told),
        failing=failing,
        surely_failing=surely,
        since=calls[0].at,
        changed=kept.changed,
    )


def _since_changed(calls: tuple[Measured, ...]) -> _Kept:
    """Leave out what was before the last change; of two changes, the later counts."""
    kept = _Kept(calls)
    errors = find_change([float(c.failed) for c in calls])
    if errors is not None:
        kept = _after(calls, errors.place, "error rate", "rose" if errors.shift > 0 else "fell")
    timed = [(place, each) for place, c in enumerate(kept.calls) if (each := _pace(c)) is not None]
    slower: Change | None = find_change(ranks([each for _, each in timed]))
    if slower is not None:
        way = "rose" if slower.shift > 0 else "fell"
        kept = _after(kept.calls, timed[slower.place][0], "latency", way)
    return kept


def _after(calls: tuple[Measured, ...], place: int, what: str, way: str) -> _Kept:
    at = calls[place].at
    said = f"its {what} {way} at {at:%Y-%m-%d %H:%M} UTC: {place} older calls are left out"
    return _Kept(calls[place:], said)


def _pace(call: Measured) -> float | None:
    """Give what tells a slower offer from a longer answer."""
    if call.outcome != "ok":
        return None
    return call.first_token_ms if call.first_token_ms is not None else call.per_token_ms


def _line(answered: Sequence[Measured]) -> tuple[float | None, float]:
    """Tell what an answer takes by itself, and by the token; None where none was timed."""
    streamed = [c for c in answered if c.first_token_ms is not None]
    each = [c.per_token_ms for c in streamed if c.per_token_ms is not None]
    if len(each) * 2 >= len(answered) and each:
        first = statistics.median(c.first_token_ms or 0.0 for c in streamed)
        return first, statistics.median(each)
    if not answered:
        return None, 0.0
    middle = statistics.median(c.duration_ms for c in answered)
    if len(answered) < _FEWEST_FOR_LINE:
        return middle, 0.0
    return _fitted([c.tokens_out for c in answered], [c.duration_ms for c in answered])


def _fitted(tokens: Sequence[int], took: Sequence[float]) -> tuple[float, float]:
    """Fit a line by least squares, of which neither part is below zero."""
    cut = sorted(took)[-1 - len(took) // 20]  # one call that hung must not set the line
    took = [min(each, cut) for each in took]
    if len(set(tokens)) == 1:
        return statistics.fmean(took), 0.0
    slope, base = statistics.linear_regression(tokens, took)
    if slope <= 0:
        return statistics.fmean(took), 0.0
    if base < 0:
        return 0.0, math.fsum(took) / max(sum(tokens), 1)
    return base, slope


def _failing(calls: Sequence[Measured], now: datetime) -> tuple[float, float]:
    """Expect the share of failures, and what it surely is: Wilson's lower bound (1927)."""
    weights = [0.5 ** (max((now - c.at).total_seconds(), 0.0) / _FORGIVEN_S) for c in calls]
    count = math.fsum(weights)
    failed = math.fsum(w for w, c in zip(weights, calls, strict=True) if c.failed)
    if not failed:
        return 0.0, 0.0
    share, z = failed / count, _ONE_SIDED_90
    spread = z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    low = (share + z * z / (2 * count) - spread) / (1 + z * z / count)
    return failed / (count + _FREE_CALLS), max(low, 0.0)


def _p95(ordered: Sequence[float]) -> float | None:
    return ordered[min(len(ordered) * 95 // 100, len(ordered) - 1)] if ordered else None
