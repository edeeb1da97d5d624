"""Runs configurations over sets and puts figures together: the one entry to an evaluation."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import psutil

from toolcrib_embeddings.documents.representation import DEFAULT_REPRESENTATION, Representation
from toolcrib_embeddings.encoding.encoder import Encoder
from toolcrib_embeddings.vectors import FloatMatrix
from toolcrib_registry.errors import InvalidInput

from .comparing import compare, correct_averages
from .configurations import Configuration
from .judgements import render_judgements
from .measures import DEEPEST, MEASURES, Judged, check_available, judge, not_found
from .meter import MeteredEncoder
from .progress import Bar, ShowProgress
from .results import Comparison, Evaluation, Latency, Score, SetResult
from .sets import RetrievalSet, find_sets, read_set
from .significance import Floats, estimate, resample_means
from .trial import Trial, build_index, measure_bytes, run_trial
from .vectors import VectorCache

MAX_K: Final = 1_000
_TIMED_QUERIES: Final = 100
"""A set; encoding them all again each time would be most of the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run, on what, and what to compare."""

    paths: tuple[Path, ...]
    configurations: tuple[Configuration, ...]
    comparisons: tuple[tuple[str, str], ...] = ()
    """Pairs of a baseline and what is held against it."""
    ablation: bool = False
    k: int = DEEPEST
    limit: int | None = None
    seed: int = 7
    fold: bool = False
    representation: Representation = DEFAULT_REPRESENTATION


@dataclass(slots=True)
class _Measured:
    """One set, searched by every configuration."""

    set: RetrievalSet
    trials: tuple[Trial, ...]
    judged: dict[str, Judged]
    index_bytes: int
    index_ms: float
    rss_indexed: int
    rss_searched: int
    means: dict[str, Floats] = field(default_factory=dict[str, Floats])
    """Resampled means by configuration; every configuration meets the same draws."""


def evaluate(
    plan: Plan,
    open_encoder: Callable[[], Encoder],
    *,
    cache: Path | None,
    show_progress: ShowProgress,
    command: str,
    version: str,
) -> Evaluation:
    """Run a plan. Vectors are kept in the folder ``cache``, so that the next time is quick.

    Raises:
        InvalidInput: A folder or file is not as it should be, or a library is not installed.
        EncoderError: The encoder cannot be opened.
    """
    began = time.perf_counter()
    _check(plan)
    check_available()
    found = find_sets(plan.paths)
    sets = [read_set(n, f, limit=plan.limit, seed=plan.seed) for n, f in found.items()]
    rss_start = _rss()
    encoder = open_encoder()
    encoder.encode(["warm up"])
    rss_encoder = _rss()
    with VectorCache(encoder, cache) as vectors:
        measured = [_measure(each, plan, encoder, vectors, show_progress) for each in sets]
    with show_progress("Resampling") as bar:
        for done, each in enumerate(measured, start=1):
            each.means = _resampled(each, plan.seed)
            bar(done, len(measured))
    return Evaluation(
        command=command,
        at=datetime.now(UTC),
        version=version,
        encoder=encoder.id,
        representation=plan.representation.id,
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}",
        k=plan.k,
        limit=plan.limit,
        seed=plan.seed,
        fold=plan.fold,
        configurations=plan.configurations,
        sets=tuple(_result(each) for each in measured),
        macro={c.name: _macro(measured, c.name) for c in plan.configurations},
        comparisons=correct_averages(
            [_compared(measured, pair, plan.seed) for pair in plan.comparisons]
        ),
        ablation=plan.ablation,
        rss_start_bytes=rss_start,
        rss_encoder_bytes=rss_encoder,
        seconds=time.perf_counter() - began,
    )


def _check(plan: Plan) -> None:
    if not DEEPEST <= plan.k <= MAX_K:
        raise InvalidInput(
            f"k is {plan.k}; it must be from {DEEPEST}, for the measures look at {DEEPEST} results,"
            f" to {MAX_K}."
        )
    if plan.limit is not None and plan.limit < 1:
        raise InvalidInput(f"The limit is {plan.limit}; at least one query must be asked.")
    if plan.seed < 0:
        raise InvalidInput(f"The seed is {plan.seed}; it must be a whole number from 0.")


def _measure(
    each: RetrievalSet,
    plan: Plan,
    encoder: Encoder,
    vectors: VectorCache,
    show_progress: ShowProgress,
) -> _Measured:
    with show_progress(f"{each.name}: encoding") as bar:
        tokens = vectors.tokens([d.text for d in each.documents], on_progress=bar)
        rows = _embed(each, plan.representation, vectors, bar)
    meter = MeteredEncoder(encoder, vectors)
    began = time.perf_counter()
    index = build_index(meter, plan.representation, each.documents, rows, tokens)
    index_ms = 1e3 * (time.perf_counter() - began)
    rss_indexed = _rss()
    trials: list[Trial] = []
    for configuration in plan.configurations:
        with show_progress(f"{each.name}: searching, {configuration.name}") as bar:
            trials.append(
                run_trial(
                    index,
                    meter,
                    configuration,
                    each.queries,
                    ids=each.ids,
                    k=plan.k,
                    timed=_TIMED_QUERIES,
                    on_progress=bar,
                )
            )
    rss_searched = _rss()
    judged = {t.configuration.name: judge(t.answers, each.judgements, k=plan.k) for t in trials}
    size = measure_bytes(index)
    return _Measured(each, tuple(trials), judged, size, index_ms, rss_indexed, rss_searched)


def _embed(
    each: RetrievalSet, representation: Representation, vectors: VectorCache, bar: Bar
) -> FloatMatrix:
    """Give the documents their vectors, from those of their parts."""
    parts = [representation.parts(document) for document in each.documents]
    texts = {part.text_hash: part.text for some in parts for part in some}
    rows = vectors.encode(list(texts.values()), on_progress=bar)
    known = dict(zip(texts, rows, strict=True))
    return np.array([representation.combine(some, known) for some in parts])


def _resampled(each: _Measured, seed: int) -> dict[str, Floats]:
    values = np.concatenate([judged.values for judged in each.judged.values()], axis=1)
    means = resample_means(values, seed=seed, name=each.set.name)
    parts = np.split(means, len(each.judged), axis=1)
    return dict(zip(each.judged, parts, strict=True))


def _result(each: _Measured) -> SetResult:
    judgements = each.set.judgements
    relevant = [sum(grade > 0 for grade in grades.values()) for grades in judgements.values()]
    names = [trial.configuration.name for trial in each.trials]
    return SetResult(
        name=each.set.name,
        folder=str(each.set.folder),
        data_hash=each.set.data_hash,
        tools=len(each.set.documents),
        queries=each.set.queries,
        relevant=float(np.mean(relevant)),
        left_out=each.set.left_out,
        index_bytes=each.index_bytes,
        index_ms=each.index_ms,
        rss_indexed_bytes=each.rss_indexed,
        rss_searched_bytes=each.rss_searched,
        scores={name: _score([each], name) for name in names},
        trials=each.trials,
        values={
            name: tuple(tuple(row) for row in each.judged[name].values.tolist()) for name in names
        },
        missed={
            t.configuration.name: tuple(tuple(not_found(a, judgements)) for a in t.answers)
            for t in each.trials
        },
        judgements=render_judgements(judgements, each.set.queries),
    )


def _macro(measured: Sequence[_Measured], name: str) -> Score:
    return _score(measured, name)


def _score(measured: Sequence[_Measured], name: str) -> Score:
    """Average over sets, each of the same weight; latencies are of all queries together."""
    mean = np.mean([each.judged[name].values.mean(axis=0) for each in measured], axis=0)
    means = np.mean([each.means[name] for each in measured], axis=0)
    answers = [
        answer
        for each in measured
        for trial in each.trials
        if trial.configuration.name == name
        for answer in trial.answers
    ]
    timed = [(a.encode_ms, a.search_ms) for a in answers if a.encode_ms is not None]
    return Score(
        measures=dict(zip(MEASURES, estimate(mean, means), strict=True)),
        recall_curve=tuple(np.mean([e.judged[name].curve for e in measured], axis=0).tolist()),
        encode=_latency([encode for encode, _ in timed]),
        search=_latency([answer.search_ms for answer in answers]),
        whole=_latency([encode + search for encode, search in timed]),
        reranked=float(np.mean([answer.reranked for answer in answers])),
        abstained=float(np.mean([answer.abstained for answer in answers])),
    )


def _latency(times_ms: Sequence[float]) -> Latency:
    if not times_ms:
        return Latency(0.0, 0.0, 0)
    p50, p95 = np.percentile(times_ms, [50, 95])
    return Latency(float(p50), float(p95), len(times_ms))


def _compared(measured: Sequence[_Measured], pair: tuple[str, str], seed: int) -> Comparison:
    baseline, other = pair
    values: Mapping[str, tuple[Floats, Floats]] = {
        each.set.name: (
            each.judged[other].values - each.judged[baseline].values,
            each.means[other] - each.means[baseline],
        )
        for each in measured
    }
    return compare(baseline, other, values, seed=seed)


def _rss() -> int:
    return psutil.Process().memory_info().rss
