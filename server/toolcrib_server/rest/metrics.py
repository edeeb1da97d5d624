"""What monitors read, in the text format of Prometheus. Made anew for each reading; keeps nothing.

The series are named in docs/sync.md. Labels are closed sets, but for servers: of these, the ones
with the most lag are listed, up to a limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from toolcrib_registry.types import ChangeAction, EntryKind, Revision, ServerStatus
from toolcrib_server.answers.lookup import AnswerTotals, CacheOutcome
from toolcrib_server.invocation.traffic.breakers import BreakerState
from toolcrib_server.invocation.traffic.meter import PathReading
from toolcrib_server.selection.meter import BOUNDS_S, SearchTotals
from toolcrib_server.sync.health import IndexHealth
from toolcrib_server.sync.meter import SyncTotals
from toolcrib_server.sync.states import SyncState

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
MOST_SERVERS: Final = 200
"""With a series of their own."""
_BREAKERS: Mapping[BreakerState, int] = {
    BreakerState.CLOSED: 0,
    BreakerState.HALF_OPEN: 1,
    BreakerState.OPEN: 2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Everything that is measured, at one moment."""

    version: str
    head: Revision
    index_revision: Revision | None
    entries: Mapping[EntryKind, int]
    states: Sequence[SyncState]
    syncs: SyncTotals
    changes: Mapping[ChangeAction, int]
    index: IndexHealth | None
    mended: int
    searches: SearchTotals
    calls: Mapping[str, int]
    call_seconds: float
    readers: int
    path: PathReading = field(default_factory=PathReading)
    answers: AnswerTotals = field(default_factory=AnswerTotals)


def render_metrics(reading: Reading) -> bytes:
    """Render a reading as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(tuple(_families(reading))))
    return generate_latest(registry)


class _Collected(Collector):
    """Hands over what was collected already."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _families(reading: Reading) -> Iterator[Metric]:
    yield _gauge("toolcrib_info", "The release that runs.", {reading.version: 1}, label="version")
    kinds = {kind.value: number for kind, number in reading.entries.items()}
    yield _gauge("toolcrib_entries", "Entries in the registry, by kind.", kinds, label="kind")
    actions = {action.value: reading.changes.get(action, 0) for action in ChangeAction}
    yield _counter(
        "toolcrib_changes",
        "Changes committed since this process started, by any process.",
        actions,
        label="action",
    )
    yield from _syncing(reading)
    yield from _indexing(reading)
    yield from _searching(reading.searches)
    yield _counter(
        "toolcrib_calls",
        "Calls of tools, by what came of them: ok, tool-error or an error's code.",
        reading.calls,
        label="outcome",
    )
    yield _sum("toolcrib_call_seconds", "What calls took, added up.", reading.call_seconds)
    yield from _calling(reading.path)
    yield from _answering(reading.answers)
    yield _value("toolcrib_change_readers", "Who follows the change log now.", reading.readers)


def _syncing(reading: Reading) -> Iterator[Metric]:
    states = [state for state in reading.states if state.enabled]
    known = Counter(state.status for state in states)
    by_status = {status.value: known[status] for status in ServerStatus}
    yield _gauge("toolcrib_servers", "Enabled live servers, by status.", by_status, label="status")
    stale = sum(state.stale for state in states)
    yield _value("toolcrib_servers_stale", "Servers of which only old entries are left.", stale)
    latest = sorted(
        ((state.server, state.lag_s) for state in states if state.lag_s is not None),
        key=lambda pair: (-pair[1], pair[0]),
    )
    yield _gauge(
        "toolcrib_sync_lag_seconds",
        f"Since the registry last said what a server says; the {MOST_SERVERS} longest.",
        dict(latest[:MOST_SERVERS]),
        label="server",
    )
    longest = latest[0][1] if latest else 0.0
    yield _value("toolcrib_sync_lag_max_seconds", "The longest lag of all.", longest)
    done = reading.syncs
    outcomes = {
        "changed": done.syncs - done.unchanged - done.failed - done.skipped,
        "unchanged": done.unchanged,
        "failed": done.failed,
        "skipped": done.skipped,
    }
    yield _counter(
        "toolcrib_syncs", "Syncs in this process, by outcome.", outcomes, label="outcome"
    )
    yield _sum("toolcrib_sync_seconds", "What syncs took, added up.", done.seconds)


def _indexing(reading: Reading) -> Iterator[Metric]:
    yield _value("toolcrib_registry_revision", "The head of the change log.", reading.head)
    revision = reading.index_revision
    yield _value(
        "toolcrib_index_revision",
        "How far the index is; -1 until it is open.",
        -1 if revision is None else revision,
    )
    health = reading.index
    gaps: Mapping[str, int] = {}
    if health is not None:
        gaps = {
            "missing": len(health.missing),
            "outdated": len(health.outdated),
            "surplus": len(health.surplus),
            "unembedded": len(health.unembedded),
        }
        yield _value("toolcrib_index_entries", "Entries in the index.", health.indexed)
    yield _gauge(
        "toolcrib_index_gaps", "Entries that are not in the index as they should be.", gaps,
        label="kind",
    )  # fmt: skip
    yield _sum("toolcrib_index_mended", "Gaps that were closed.", reading.mended)
    wordy = health is not None and health.lexical_only is not None
    yield _value("toolcrib_lexical_only", "1 while texts cannot be encoded.", int(wordy))


def _searching(searches: SearchTotals) -> Iterator[Metric]:
    outcomes = {outcome.value: number for outcome, number in searches.by_outcome.items()}
    yield _counter("toolcrib_searches", "Searches, by outcome.", outcomes, label="outcome")
    yield _sum(
        "toolcrib_searches_lexical_only",
        "Searches that found entries by their words alone.",
        searches.lexical_only,
    )
    bounds = [*map(str, BOUNDS_S), "+Inf"]
    histogram = HistogramMetricFamily("toolcrib_search_seconds", "What searches took.")
    counted = list(zip(bounds, map(float, accumulate(searches.buckets)), strict=True))
    histogram.add_metric([], counted, searches.seconds)
    yield histogram


def _calling(path: PathReading) -> Iterator[Metric]:
    running = {name: crowd.running for name, crowd in path.crowds.items()}
    waiting = {name: crowd.waiting for name, crowd in path.crowds.items()}
    breakers = {name: _BREAKERS[state] for name, state in path.breakers.items()}
    for name, about, now in (
        ("toolcrib_calls_running", "Calls that a server answers now.", running),
        ("toolcrib_calls_waiting", "Calls that wait for their turn at a server.", waiting),
        ("toolcrib_breaker", "2 where a server is left alone, 1 where one may try.", breakers),
    ):
        yield _gauge(name, about, _most(now.items()), label="server")
    sums = path.sums
    for name, about, so_far in (
        ("toolcrib_call_retries", "Further tries of calls.", sums.retries),
        ("toolcrib_call_hedges", "Second tries beside slow ones.", sums.hedges),
        ("toolcrib_cache_hits", "Calls answered from the cache.", sums.cache_hits),
        ("toolcrib_cache_misses", "Calls that the cache could not answer.", sums.cache_misses),
        ("toolcrib_results_cut", "Results too large to hand on at once.", sums.cuts),
        ("toolcrib_results_misfit", "Results that break their own schema.", sums.misfits),
    ):
        yield _counter(name, about, _most(so_far.items()), label="server")
    yield _value("toolcrib_kept_results", "Large results that can be read on.", path.kept_results)
    yield _value("toolcrib_kept_results_bytes", "Their bytes in memory.", path.kept_bytes)
    yield _value("toolcrib_cache_bytes", "Bytes of cached results in memory.", path.cached_bytes)


def _answering(answers: AnswerTotals) -> Iterator[Metric]:
    outcomes = {outcome.value: answers.outcomes.get(outcome, 0) for outcome in CacheOutcome}
    for name, about, so_far, label in (
        ("toolcrib_answer_cache", "Chats, by what the cache knew.", outcomes, "outcome"),
        (
            "toolcrib_answer_cache_refused",
            "Similar questions that ask something else, by what differs.",
            answers.refusals,
            "reason",
        ),
    ):
        yield _counter(name, about, so_far, label=label)
    yield _sum("toolcrib_answer_cache_saved_usd", "What hits had cost.", answers.saved_usd)
    yield _sum("toolcrib_answer_cache_examples", "Answers shown to others.", answers.examples)
    yield _value("toolcrib_answer_cache_answers", "Answers that are kept.", answers.answers)
    yield _value("toolcrib_answer_cache_bytes", "Their bytes in memory.", answers.bytes)


def _most(values: Iterable[tuple[str, int]]) -> Mapping[str, int]:
    """Keep the largest, of as many servers as have series of their own."""
    ranked = sorted(values, key=lambda pair: (-pair[1], pair[0]))
    return dict(ranked[:MOST_SERVERS])


def _gauge(name: str, about: str, values: Mapping[str, float], *, label: str) -> Metric:
    family = GaugeMetricFamily(name, about, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _counter(name: str, about: str, values: Mapping[str, float], *, label: str) -> Metric:
    family = CounterMetricFamily(name, about, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _value(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value=value)


def _sum(name: str, about: str, value: float) -> Metric:
    return CounterMetricFamily(name, about, value=value)
