"""One question to one ranking: recall, weigh, fold, bring what is depended on. Changes nothing.

Reads what an index holds at one revision; knows neither how it came there nor who remembers the
answer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolcrib_registry.types import EntryId

from .encoder import Encoder, FloatMatrix, FloatVector
from .fusion import Evidence, Fused, add_signal, combine
from .hits import DENSE, LEXICAL, NAME, TOKENS, Hit, Ranking, Signal
from .index import FaissIndex, Scored
from .judging import Judge, Verdict
from .lessons import Lessons
from .lexical import Bm25Index
from .options import Rerank, SearchOptions
from .queries import MAX_STEPS, split_steps
from .rerank import MAX_RERANKED, WEIGHT, Reranker
from .roster import Roster, Scope
from .structure import Placed, bring_dependencies, cover, fold, most_dependencies

_RECALLED: Final = 100
"""Candidates from each retriever, at least; more when more are asked for."""
_RECALLED_FOR_STEP: Final = 20
"""Further ones for each step that the asker gave, which the whole need not speak of."""
_WORTH_COVERING: Final = 0.5
"""Likelihood that anything fits a step, from which the best for it has a place in the answer."""
_SPARE: Final = 20
"""Candidates beyond those asked for, which may fold away."""
_BEST_OF_STEP: Final = 2
"""A hit answers a step when it is among so many best for it."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: the texts are one task, or the steps of one that the asker split."""

    texts: tuple[str, ...]
    k: int
    scope: Scope
    options: SearchOptions
    lessons: Lessons | None = None
    """What was learned from use, for whom it is asked."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question as the retrievers need it: a text and a vector for the whole and each step."""

    texts: tuple[str, ...]
    vectors: FloatMatrix
    given: bool
    """Whether the asker gave the steps."""


@dataclass(frozen=True, slots=True)
class _Candidates:
    """What was recalled, ordered by id, and where the two retrievers put it."""

    ids: tuple[EntryId, ...]
    recalled: NDArray[np.bool_]
    """Which of them retrieval found; the others are there for what was learned."""
    places: Mapping[str, Mapping[EntryId, tuple[int, float]]]


def answer(
    question: Question,
    *,
    encoder: Encoder,
    dense: FaissIndex,
    lexical: Bm25Index,
    judge: Judge,
    reranker: Reranker,
) -> Ranking:
    """Rank what fits the question, best first, at most ``k``; ties by id."""
    began = time.perf_counter()
    asked = _ask(question, encoder)
    learned = _learned(question, asked.vectors[0])
    asked = _turned(asked, question.lessons)
    candidates = _recall(question, asked, dense, lexical, learned)
    if not candidates.ids:
        return Ranking(steps=asked.texts[1:], likelihood=0.0, abstained=True)
    evidence = _weigh(asked, candidates, dense, lexical, learned)
    verdict = judge.judge(
        asked.texts[0],
        asked.vectors[0],
        dense=evidence.signals[DENSE][0],
        lexical=evidence.signals[LEXICAL][0],
    )
    fused = combine(question.options.fusion, evidence)
    reranked = None
    if question.options.rerank is not Rerank.OFF:
        reranked = _rerank(
            asked,
            question.options,
            candidates.ids,
            fused,
            roster=dense.roster,
            reranker=reranker,
            began=began,
        )
    fused = reranked or fused
    steps = _judge_steps(asked, evidence, judge)
    wanted = [candidates.ids[n] for n in _best_of(fused, steps, given=asked.given)]
    brings = question.options.dependencies and not verdict.abstained
    placed = _arrange(question, candidates.ids, fused, dense, wanted, brings=brings)
    hits = _Hits(candidates, evidence, fused, verdict, dense.roster).make(placed)
    return Ranking(
        hits,
        asked.texts[1:],
        tuple(step for step, one in enumerate(steps) if one.abstained),
        verdict.likelihood,
        verdict.abstained,
        reranked=reranked is not None,
    )


# --- what is asked -------------------------------------------------------------------------------


def _ask(question: Question, encoder: Encoder) -> _Asked:
    text, *others = question.texts
    if others:
        texts = (". ".join(question.texts), *question.texts[:MAX_STEPS])
        return _Asked(texts, encoder.encode(texts), given=True)
    spans = split_steps(text) if question.options.split else ()
    steps = tuple(text[start:end] for start, end in spans)
    return _Asked((text, *steps), encoder.encode_spans(text, spans), given=False)


def _learned(question: Question, vector: FloatVector) -> Mapping[EntryId, float]:
    """Ask past outcomes, with the query as it was asked: standard deviations by entry."""
    if question.lessons is None:
        return {}
    return question.lessons.evidence(vector, now=datetime.now(UTC))


def _turned(asked: _Asked, lessons: Lessons | None) -> _Asked:
    if lessons is None or lessons.adapter is None:
        return asked
    return replace(asked, vectors=np.stack([lessons.turn(vector) for vector in asked.vectors]))


def _recall(
    question: Question,
    asked: _Asked,
    dense: FaissIndex,
    lexical: Bm25Index,
    learned: Mapping[EntryId, float],
) -> _Candidates:
    depth = max(_RECALLED, question.k + _SPARE)
    scope = question.scope
    by_meaning = _places(dense.search(asked.vectors[0], k=depth, scope=scope))
    by_words = _places(lexical.search(asked.texts[0], k=depth, scope=scope))
    ids = {*by_meaning, *by_words}
    if asked.given:
        for text, vector in zip(asked.texts[1:], asked.vectors[1:], strict=True):
            found = dense.search(vector, k=_RECALLED_FOR_STEP, scope=scope)
            found += lexical.search(text, k=_RECALLED_FOR_STEP, scope=scope)
            ids |= {id_ for id_, _ in found}
    mask, rows = dense.roster.mask(scope), dense.roster.rows
    spoken_for = [
        id_
        for id_, worth in learned.items()
        if worth > 0 and id_ in rows and (mask is None or mask[rows[id_]])
    ]
    ordered = tuple(sorted({*ids, *spoken_for}))
    recalled = np.array([id_ in ids for id_ in ordered], dtype=np.bool_)
    return _Candidates(ordered, recalled, {DENSE: by_meaning, LEXICAL: by_words})


def _places(scored: list[Scored]) -> dict[EntryId, tuple[int, float]]:
    return {id_: (rank, score) for rank, (id_, score) in enumerate(scored, start=1)}


def _weigh(
    asked: _Asked,
    candidates: _Candidates,
    dense: FaissIndex,
    lexical: Bm25Index,
    learned: Mapping[EntryId, float],
) -> Evidence:
    ids = candidates.ids
    rows = np.array([dense.roster.rows[id_] for id_ in ids], dtype=np.intp)
    signals = {
        DENSE: dense.scores(asked.vectors, ids),
        LEXICAL: lexical.scores(asked.texts, ids),
        NAME: lexical.name_coverage(asked.texts, ids),
    }
    worth = [learned.get(id_, 0.0) for id_ in ids]
    moved = np.array(worth, dtype=np.float32) if any(worth) else None
    return Evidence(signals, dense.roster.server_codes(rows), moved, candidates.recalled)


# --- what is answered ----------------------------------------------------------------------------


def _rerank(
    asked: _Asked,
    options: SearchOptions,
    ids: Sequence[EntryId],
    fused: Fused,
    *,
    roster: Roster,
    reranker: Reranker,
    began: float,
) -> Fused | None:
    """Add what the second stage says of the best; None when it has no time, or nothing to say."""
    best = np.argsort(-fused.scores, kind="stable")[:MAX_RERANKED]
    texts = [roster.label(roster.rows[ids[n]]).text for n in best.tolist()]
    spent_ms = 1e3 * (time.perf_counter() - began)
    depth = reranker.affordable(texts, options, spent_ms=spent_ms)
    spoken_of = reranker.scores(asked.texts[0], texts[:depth]) if depth > 1 else None
    if spoken_of is None:
        return None
    return add_signal(fused, TOKENS, spoken_of, best[:depth], WEIGHT)


def _judge_steps(asked: _Asked, evidence: Evidence, judge: Judge) -> list[Verdict]:
    return [
        judge.judge(
            asked.texts[line],
            asked.vectors[line],
            dense=evidence.signals[DENSE][line],
            lexical=evidence.signals[LEXICAL][line],
        )
        for line in range(1, len(asked.texts))
    ]


def _best_of(fused: Fused, steps: Sequence[Verdict], *, given: bool) -> list[int]:
    """Return the best candidate of each step that something fits, by its column.

    What the asker gave is a step; what was cut from a task may be no more than a remark.
    """
    return [
        int(np.argmax(scores))
        for scores, step in zip(fused.steps, steps, strict=False)
        if step.likelihood >= _WORTH_COVERING or (given and not step.abstained)
    ]


def _arrange(
    question: Question,
    ids: Sequence[EntryId],
    fused: Fused,
    dense: FaissIndex,
    wanted: Sequence[EntryId],
    *,
    brings: bool,
) -> list[Placed]:
    roster, k = dense.roster, question.k
    order: NDArray[np.intp] = np.argsort(-fused.scores, kind="stable")
    ranked = [roster.rows[ids[place]] for place in order.tolist()]
    placed = [Placed(row) for row in ranked]
    if question.options.fold:
        kept = {roster.rows[id_] for id_ in wanted}
        placed = fold(ranked, dense.vectors[ranked], roster, most=k + _SPARE, kept=kept)
    if wanted:
        needy = brings and any(roster.label(each.row).depends_on for each in placed[:k])
        room = k - most_dependencies(k) if needy else k
        placed = cover(placed, {roster.rows[id_] for id_ in wanted}, within=room)
    if brings:
        return bring_dependencies(placed, roster, k=k, within=roster.mask(question.scope))
    return placed[:k]


class _Hits:
    """Makes the hits of one answer."""

    def __init__(
        self,
        candidates: _Candidates,
        evidence: Evidence,
        fused: Fused,
        verdict: Verdict,
        roster: Roster,
    ) -> None:
        self._found = candidates.places
        self._evidence = evidence
        self._fused = fused
        self._verdict = verdict
        self._ids = roster.ids
        self._columns = {id_: n for n, id_ in enumerate(candidates.ids)}
        self._best_of_step = np.argsort(-fused.steps, axis=1, kind="stable")[:, :_BEST_OF_STEP]

    def make(self, placed: Sequence[Placed]) -> tuple[Hit, ...]:
        """Make a hit for each place; scores never rise from one to the next."""
        hits: list[Hit] = []
        for each in placed:
            id_ = self._ids[each.row]
            column = self._columns.get(id_)
            least = hits[-1].score if hits else float("inf")
            own = least if column is None else float(self._fused.scores[column])
            hits.append(
                Hit(
                    id_,
                    min(own, least),
                    {} if column is None else self._signals(column, id_),
                    alternatives=tuple(self._ids[row] for row in each.alternatives),
                    required_by=tuple(self._ids[row] for row in each.required_by),
                    steps=() if column is None else self._steps(column),
                    likelihood=None if column is None else self._likelihood(column),
                )
            )
        return tuple(hits)

    def _signals(self, column: int, id_: EntryId) -> dict[str, Signal]:
        signals: dict[str, Signal] = {}
        for name, values in self._fused.summands.items():
            gave = round(float(values[column]), 4)
            if name in self._found:
                if id_ in self._found[name]:
                    signals[name] = Signal(*self._found[name][id_], gave)
            elif gave:
                measured = self._evidence.signals.get(name)
                score = gave if measured is None else float(measured[0, column])
                signals[name] = Signal(_rank(values, column), score, gave)
        if not self._fused.summands:
            signals = {n: Signal(*at[id_]) for n, at in self._found.items() if id_ in at}
        return signals

    def _likelihood(self, column: int) -> float:
        return float(self._verdict.candidates[column])

    def _steps(self, column: int) -> tuple[int, ...]:
        return tuple(step for step, best in enumerate(self._best_of_step) if column in best)


def _rank(values: FloatVector, column: int) -> int:
    return 1 + int(np.count_nonzero(values > values[column]))
