"""What an evaluation found, as data, and the stable names it is written under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from toolcrib_registry.types import JsonObject

from .configurations import Configuration
from .measures import MEASURES
from .sets import LeftOut
from .significance import CONFIDENCE, RESAMPLES, Estimate
from .trial import Trial

FORMAT = "toolcrib-retrieval-evaluation/1"


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds a stage takes. ``queries`` is how many were timed; none when it is zero."""

    p50_ms: float
    p95_ms: float
    queries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One configuration on one set, or on average over the sets."""

    measures: Mapping[str, Estimate]
    recall_curve: tuple[float, ...]
    """Mean recall at 1, 2, … k."""
    encode: Latency
    search: Latency
    """Without encoding."""
    whole: Latency
    reranked: float
    """The share of queries whose ranking the second stage ordered."""
    abstained: float
    """The share of queries that were told that nothing fits."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better one configuration is than another, by one measure, over the same queries."""

    mean: float
    low: float
    high: float
    p: float
    p_corrected: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One configuration against another: ``other`` less ``baseline``, by set and measure."""

    baseline: str
    other: str
    sets: Mapping[str, Mapping[str, Difference]]
    macro: Mapping[str, Difference]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetResult:
    """One set: what was in it, what every configuration scored, and every ranking."""

    name: str
    folder: str
    data_hash: str
    tools: int
    queries: Mapping[str, str]
    relevant: float
    """Relevant tools a query, on average."""
    left_out: LeftOut
    index_bytes: int
    index_ms: float
    rss_indexed_bytes: int
    rss_searched_bytes: int
    scores: Mapping[str, Score]
    trials: tuple[Trial, ...]
    values: Mapping[str, tuple[tuple[float, ...], ...]]
    """By configuration: a row of measures for each query."""
    missed: Mapping[str, tuple[tuple[str, ...], ...]]
    """By configuration: for each query, the relevant tools that it did not get."""
    judgements: str
    """As TREC's qrels, of the judged queries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """All that one run of the command found."""

    command: str
    at: datetime
    version: str
    encoder: str
    representation: str
    """How documents became vectors: weights by component."""
    machine: str
    k: int
    limit: int | None
    seed: int
    fold: bool
    configurations: tuple[Configuration, ...]
    sets: tuple[SetResult, ...]
    macro: Mapping[str, Score]
    comparisons: tuple[Comparison, ...]
    ablation: bool
    """Whether the comparisons are of the shipped configuration with each of its stages off."""
    rss_start_bytes: int
    rss_encoder_bytes: int
    seconds: float

    @property
    def queries(self) -> int:
        """How many were judged, over all sets."""
        return sum(len(each.queries) for each in self.sets)


def render_results(evaluation: Evaluation) -> JsonObject:
    """Render it as JSON: figures, without rankings. Shares are from 0 to 1."""
    return {
        "format": FORMAT,
        "command": evaluation.command,
        "date": evaluation.at.isoformat(timespec="seconds"),
        "seconds": round(evaluation.seconds, 1),
        "version": evaluation.version,
        "encoder": evaluation.encoder,
        "representation": evaluation.representation,
        "machine": evaluation.machine,
        "k": evaluation.k,
        "limit": evaluation.limit,
        "seed": evaluation.seed,
        "fold": evaluation.fold,
        "confidence": CONFIDENCE,
        "resamples": RESAMPLES,
        "measures": list(MEASURES),
        "configurations": [
            {"name": each.name, "options": asdict(each.options)}
            for each in evaluation.configurations
        ],
        "memory": {
            "startBytes": evaluation.rss_start_bytes,
            "encoderBytes": evaluation.rss_encoder_bytes,
        },
        "sets": [_set(each) for each in evaluation.sets],
        "macro": {name: _score(score) for name, score in evaluation.macro.items()},
        "comparisons": [_comparison(each) for each in evaluation.comparisons],
    }


def _set(result: SetResult) -> JsonObject:
    left_out = result.left_out
    return {
        "name": result.name,
        "folder": result.folder,
        "dataHash": result.data_hash,
        "tools": result.tools,
        "queries": len(result.queries),
        "relevantPerQuery": round(result.relevant, 3),
        "leftOut": {
            "tools": left_out.tools,
            "queriesWithoutJudgement": left_out.queries_without_judgement,
            "queriesBeyondLimit": left_out.queries_beyond_limit,
            "judgementsOfUnknownQueries": left_out.judgements_of_unknown_queries,
        },
        "judgementsOfUnknownTools": left_out.judgements_of_unknown_tools,
        "problems": list(left_out.problems),
        "index": {"bytes": result.index_bytes, "buildMs": round(result.index_ms, 1)},
        "memory": {
            "indexedBytes": result.rss_indexed_bytes,
            "searchedBytes": result.rss_searched_bytes,
        },
        "scores": {name: _score(score) for name, score in result.scores.items()},
    }


def _score(score: Score) -> JsonObject:
    return {
        "measures": {
            name: {"mean": _share(e.mean), "low": _share(e.low), "high": _share(e.high)}
            for name, e in score.measures.items()
        },
        "recallCurve": [_share(value) for value in score.recall_curve],
        "latency": {
            "encode": _latency(score.encode),
            "search": _latency(score.search),
            "whole": _latency(score.whole),
        },
        "reranked": _share(score.reranked),
        "abstained": _share(score.abstained),
    }


def _latency(latency: Latency) -> JsonObject:
    if not latency.queries:
        return {"p50Ms": None, "p95Ms": None, "queries": 0}
    return {
        "p50Ms": round(latency.p50_ms, 3),
        "p95Ms": round(latency.p95_ms, 3),
        "queries": latency.queries,
    }


def _comparison(comparison: Comparison) -> JsonObject:
    return {
        "baseline": comparison.baseline,
        "other": comparison.other,
        "sets": {name: _differences(each) for name, each in comparison.sets.items()},
        "macro": _differences(comparison.macro),
    }


def _differences(differences: Mapping[str, Difference]) -> JsonObject:
    return {
        name: {
            "difference": _share(each.mean),
            "low": _share(each.low),
            "high": _share(each.high),
            "p": round(each.p, 6),
            "pCorrected": round(each.p_corrected, 6),
        }
        for name, each in differences.items()
    }


def _share(value: float) -> float:
    return round(value, 6)
