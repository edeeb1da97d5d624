"""One question to one ranking: recall, weigh, fold, bring what is depended on. Changes nothing.

Reads what an index holds at one revision; knows neither how it came there nor who remembers the
answer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolcrib_registry.errors import EncoderError
from toolcrib_registry.types import EntryId

from .abstention.judging import Judge, Measured, Verdict
from .encoding.encoder import Encoder, Encoding
from .encoding.unencoded import NoEncoder
from .hits import DENSE, LEXICAL, NAME, Hit, Ranking, Signal
from .indexing.index import FaissIndex, Scored
from .indexing.lexical import Bm25Index
from .indexing.roster import Roster, Scope
from .indexing.token_table import TokenTable
from .learning.lessons import Lessons
from .options import SearchOptions
from .queries.steps import MAX_STEPS, Reading, Span, split_steps
from .ranking.companions import NO_COMPANIONS, Companions, bring_learned
from .ranking.fusion import Evidence, Fused, combine
from .ranking.rerank import AskedTokens, rerank
from .ranking.structure import Placed, bring_dependencies, cover, fold, most_dependencies
from .vectors import FloatMatrix, FloatVector

_RECALLED: Final = 100
"""Candidates from each retriever, at least; more when more are asked for."""
_RECALLED_FOR_STEP: Final = 20
"""Further ones for each step that the asker gave, which the whole need not speak of."""
_WORTH_COVERING: Final = 0.5
"""Likelihood that anything fits a step, from which the best for it has a place in the answer."""
_SPARE: Final = 20
"""Candidates beyond those asked for, which may fold away."""
_BETWEEN_STEPS: Final = ". "
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
    reading: Reading | None = None
    """How a model read the one text that is asked."""
    companions: Companions = NO_COMPANIONS
    """What was learned of entries that need each other, for whom it is asked."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question as the retrievers need it: a text and a vector for the whole and each step."""

    texts: tuple[str, ...]
    vectors: FloatMatrix
    given: bool
    """Whether the asker gave the steps."""
    unencoded: str | None = None
    """Why the vectors say nothing; None when they do."""
    tokens: AskedTokens | None = None
    """Token vectors of the whole; None where the encoder makes none."""


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
    tokens: TokenTable,
) -> Ranking:
    """Rank what fits the question, best first, at most ``k``; ties by id."""
    asked = _ask(question, encoder)
    learned = _learned(question, asked)
    asked = _turned(asked, question.lessons)
    candidates = _recall(question, asked, dense, lexical, learned)
    why = asked.unencoded or _say_gap(dense)
    if not candidates.ids:
        nothing = None if asked.unencoded else 0.0
        return Ranking(
            steps=asked.texts[1:],
            likelihood=nothing,
            abstained=nothing is not None,
            lexical_only=why,
        )
    evidence = _weigh(asked, candidates, dense, lexical, learned)
    # Likelihoods are calibrated on meaning and words together: of words alone there are none.
    measured = None if asked.unencoded else _measure(asked, 0, evidence, judge)
    confirmed = question.lessons and question.lessons.confirmed
    verdict = measured and judge.judge(measured, confirmed)
    fused = combine(question.options.fusion, evidence)
    how = question.options.rerank
    reranked = rerank(fused, candidates.ids, how=how, asked=asked.tokens, tokens=tokens)
    fused = reranked or fused
    steps = [] if asked.unencoded else _judge_steps(asked, evidence, judge)
    wanted = [candidates.ids[n] for n in _best_of(fused, steps, given=asked.given)]
    abstained = verdict is not None and verdict.abstained
    brings = question.options.dependencies and not abstained
    placed = _arrange(question, candidates.ids, fused, dense, wanted, brings=brings)
    likely = measured and judge.hit_likelihoods(measured)
    hits = _Hits(candidates, evidence, fused, likely, dense.roster).make(placed)
    return Ranking(
        hits,
        asked.texts[1:],
        tuple(step for step, one in enumerate(steps) if one.abstained),
        None if verdict is None else verdict.likelihood,
        abstained,
        None if verdict is None else judge.grounds(confirmed),
        reranked=reranked is not None,
        lexical_only=why,
    )


def score_all(
    question: Question, *, encoder: Encoder, dense: FaissIndex, lexical: Bm25Index
) -> dict[EntryId, float]:
    """Score what fits the question, without order, reasons or a second stage."""
    asked = _ask(question, encoder)
    if asked.unencoded or dense.unembedded:
        candidates = _recall(question, asked, dense, lexical, {})
    else:
        candidates = _everything(question.scope, dense)
    if not candidates.ids:
        return {}
    fused = combine(question.options.fusion, _weigh(asked, candidates, dense, lexical, {}))
    return dict(zip(candidates.ids, fused.scores.tolist(), strict=True))


def _say_gap(dense: FaissIndex) -> str | None:
    missing = len(dense.unembedded)
    if not missing:
        return None
    return f"{missing} of {len(dense)} entries have no vector yet: these are found by their words."


def measure(
    question: Question,
    *,
    encoder: Encoder,
    dense: FaissIndex,
    lexical: Bm25Index,
    judge: Judge,
) -> float | None:
    """Measure a question as `answer` does, and rank nothing: the strength of its search.

    None where its words alone can be asked, and where nothing is recalled.
    """
    asked = _turned(_ask(question, encoder), question.lessons)
    candidates = _recall(question, asked, dense, lexical, {})
    if asked.unencoded or not candidates.ids:
        return None
    evidence = _weigh(asked, candidates, dense, lexical, {})
    return judge.strength(_measure(asked, 0, evidence, judge))


def _measure(asked: _Asked, line: int, evidence: Evidence, judge: Judge) -> Measured:
    return judge.measure(
        asked.texts[line],
        asked.vectors[line],
        dense=evidence.signals[DENSE][line],
        lexical=evidence.signals[LEXICAL][line],
    )


# --- what is asked -------------------------------------------------------------------------------


def _ask(question: Question, encoder: Encoder) -> _Asked:
    text, *others = question.texts
    if question.reading is not None and not others:
        return _ask_read(question, question.reading, encoder)
    if others:
        texts = (_BETWEEN_STEPS.join(question.texts), *question.texts[:MAX_STEPS])
        return _encoded(texts, partial(_encode_apart, texts, encoder), encoder, given=True)
    spans = split_steps(text) if question.options.split else ()
    steps = tuple(text[start:end] for start, end in spans)
    encode = partial(encoder.encode_query, text, spans)
    return _encoded((text, *steps), encode, encoder, given=False)


def _ask_read(question: Question, reading: Reading, encoder: Encoder) -> _Asked:
    """Ask as somebody understood it: in English, and by its steps where it has several."""
    text = question.texts[0]
    # Beside its English the text itself: names survive there, and tools told in its language.
    whole = f"{reading.english}. {text}" if reading.english else text
    split = question.options.split and len(reading.steps) > 1
    steps = reading.steps[:MAX_STEPS] if split else ()
    texts = (whole, *steps)
    return _encoded(texts, partial(_encode_apart, texts, encoder), encoder, given=bool(steps))


def _encode_apart(texts: Sequence[str], encoder: Encoder) -> Encoding:
    """Encode a whole and its steps as texts of their own; of the whole, which tokens are whose."""
    whole, *steps = texts
    spans: list[Span] = []
    for step in steps:
        start = whole.find(step, spans[-1][1] if spans else 0)
        if start >= 0:
            spans.append((start, start + len(step)))
    read = encoder.encode_query(whole, spans)
    if not steps:
        return read
    vectors = np.concatenate((read.vectors[:1], encoder.encode(steps)))
    return Encoding(vectors, read.tokens, read.inside)


def _encoded(
    texts: tuple[str, ...], encode: Callable[[], Encoding], encoder: Encoder, *, given: bool
) -> _Asked:
    """Encode a question; where that fails its words are left, and are asked alone."""
    try:
        why = encoder.reason if isinstance(encoder, NoEncoder) else None
        read = encode()
        tokens = AskedTokens.of(read, encoder.rarity)
        return _Asked(texts, read.vectors, given, why, tokens)
    except EncoderError as error:
        nothing = np.zeros((len(texts), encoder.dimension), dtype=np.float32)
        return _Asked(texts, nothing, given, error.detail)


def _learned(question: Question, asked: _Asked) -> Mapping[EntryId, float]:
    """Ask past outcomes, with the query as it was asked: standard deviations by entry."""
    if question.lessons is None or asked.unencoded:
        return {}
    return question.lessons.evidence(asked.vectors[0], now=datetime.now(UTC))


def _turned(asked: _Asked, lessons: Lessons | None) -> _Asked:
    if lessons is None or lessons.adapter is None or asked.unencoded:
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
    by_meaning = _places(_by_meaning(asked, 0, dense, k=depth, scope=scope))
    by_words = _places(lexical.search(asked.texts[0], k=depth, scope=scope))
    ids = {*by_meaning, *by_words}
    if asked.given:
        for line, text in enumerate(asked.texts[1:], start=1):
            found = _by_meaning(asked, line, dense, k=_RECALLED_FOR_STEP, scope=scope)
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


def _everything(scope: Scope, dense: FaissIndex) -> _Candidates:
    """Take all of a scope: what a recall as deep as the corpus would find."""
    mask = dense.roster.mask(scope)
    ids = dense.roster.ids if mask is None else itertools.compress(dense.roster.ids, mask.tolist())
    ordered = tuple(sorted(ids))
    return _Candidates(ordered, np.ones(len(ordered), dtype=np.bool_), {})


def _by_meaning(
    asked: _Asked, line: int, dense: FaissIndex, *, k: int, scope: Scope
) -> list[Scored]:
    """Recall by a vector; what has none is near to nothing, whatever its zeros come to."""
    if asked.unencoded:
        return []
    found = dense.search(asked.vectors[line], k=k, scope=scope)
    missing = dense.unembedded
    return [one for one in found if one[0] not in missing] if missing else found


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
        DENSE: _neutral(dense.scores(asked.vectors, ids), ids, dense.unembedded),
        LEXICAL: lexical.scores(asked.texts, ids),
        NAME: lexical.name_coverage(asked.texts, ids),
    }
    worth = [learned.get(id_, 0.0) for id_ in ids]
    moved = np.array(worth, dtype=np.float32) if any(worth) else None
    return Evidence(signals, dense.roster.server_codes(rows), moved, candidates.recalled)


def _neutral(
    scores: FloatMatrix, ids: Sequence[EntryId], missing: frozenset[EntryId]
) -> FloatMatrix:
    """Give what has no vector the mean of the others: nothing is known for or against it."""
    unknown = [n for n, id_ in enumerate(ids) if id_ in missing] if missing else []
    if unknown:
        known = np.delete(scores, unknown, axis=1)
        scores[:, unknown] = known.mean(axis=1, keepdims=True) if known.size else 0
    return scores


# --- what is answered ----------------------------------------------------------------------------


def _judge_steps(asked: _Asked, evidence: Evidence, judge: Judge) -> list[Verdict]:
    """Judge each step on the registry's own scale: what was confirmed are whole questions."""
    lines = range(1, len(asked.texts))
    return [judge.judge(_measure(asked, line, evidence, judge)) for line in lines]


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
        within, kept = roster.mask(question.scope), {roster.rows[id_] for id_ in wanted}
        placed = bring_dependencies(placed, roster, k=k, within=within)
        companions = question.companions
        placed = bring_learned(placed, roster, companions, k=k, within=within, kept=kept)
    return placed[:k]


class _Hits:
    """Makes the hits of one answer."""

    def __init__(
        self,
        candidates: _Candidates,
        evidence: Evidence,
        fused: Fused,
        likely: FloatVector | None,
        roster: Roster,
    ) -> None:
        self._found = candidates.places
        self._evidence = evidence
        self._fused = fused
        self._likely = likely
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
                    required_how=each.how,
                    required_why=each.why,
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

    def _likelihood(self, column: int) -> float | None:
        return None if self._likely is None else float(self._likely[column])

    def _steps(self, column: int) -> tuple[int, ...]:
        return tuple(step for step, best in enumerate(self._best_of_step) if column in best)


def _rank(values: FloatVector, column: int) -> int:
    return 1 + int(np.count_nonzero(values > values[column]))
