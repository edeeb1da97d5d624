"""One question to one ranking: recall, weigh, fold, bring what is depended on. Changes nothing.

Reads what an index holds at one revision; knows neither how it came there nor who remembers the
answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np

from toolcrib_embeddings.abstention.judging import Verdict
from toolcrib_embeddings.encoding.encoder import Encoder
from toolcrib_embeddings.hits import Ranking
from toolcrib_embeddings.indexing.index import FaissIndex
from toolcrib_embeddings.ranking.fusion import Fused, combine
from toolcrib_embeddings.ranking.rerank import rerank
from toolcrib_registry.types import EntryId

from .arrangement import arrange
from .candidates import recall, take_all, weigh
from .hit_list import HitList
from .likelihoods import Likelihoods, measure_line
from .question import Asked, Question, ask
from .state import State

_WORTH_COVERING: Final = 0.5
"""Likelihood that anything fits a step, from which the best for it has a place in the answer."""


def answer(question: Question, *, encoder: Encoder, state: State) -> Ranking:
    """Rank what fits the question, best first, at most ``k``; ties by id."""
    asked = ask(question, encoder)
    learned = _learned(question, asked)
    asked = asked.turned(question.lessons)
    candidates = recall(question, asked, state, learned)
    if not len(candidates.rows):
        return _say_nothing(asked, state)
    roster, judge = state.dense.roster, state.judge
    evidence = weigh(asked, candidates, state, learned)
    fused = combine(question.options.fusion, evidence)
    ids, how = roster.take_ids(candidates.rows), question.options.rerank
    reranked = rerank(fused, ids, how=how, asked=asked.tokens, tokens=state.tokens)
    fused = reranked or fused
    confirmed = question.lessons and question.lessons.confirmed
    # Likelihoods are calibrated on meaning and words together: of words alone there are none.
    likely = (
        None if asked.unencoded else Likelihoods.judge(asked, evidence, fused, judge, confirmed)
    )
    steps = likely.steps if likely else ()
    best = _best_of(fused, steps, given=asked.given)
    abstained = likely is not None and likely.abstained
    placed = arrange(
        question,
        candidates.rows,
        fused,
        state.dense,
        wanted={int(candidates.rows[column]) for column in best},
        brings=question.options.dependencies and not abstained,
    )
    return Ranking(
        HitList(candidates, evidence, fused, likely, roster).make(placed),
        asked.texts[1:],
        tuple(step for step, one in enumerate(steps) if one.abstained),
        tuple(step.likelihood for step in steps),
        None if likely is None else likely.search,
        abstained,
        None if likely is None else judge.grounds(confirmed),
        reranked=reranked is not None,
        lexical_only=asked.unencoded or _say_gap(state.dense),
    )


def score_all(question: Question, *, encoder: Encoder, state: State) -> dict[EntryId, float]:
    """Score what fits the question, without order, reasons or a second stage."""
    asked = ask(question, encoder)
    if asked.unencoded or state.dense.unembedded:
        candidates = recall(question, asked, state, {})
    else:
        candidates = take_all(question.scope, state)
    if not len(candidates.rows):
        return {}
    fused = combine(question.options.fusion, weigh(asked, candidates, state, {}))
    ids = state.dense.roster.take_ids(candidates.rows)
    return dict(zip(ids, fused.scores.tolist(), strict=True))


def measure(question: Question, *, encoder: Encoder, state: State) -> float | None:
    """Measure a question as `answer` does, and rank nothing: the strength of its search.

    None where its words alone can be asked, and where nothing is recalled.
    """
    asked = ask(question, encoder).turned(question.lessons)
    candidates = recall(question, asked, state, {})
    if asked.unencoded or not len(candidates.rows):
        return None
    evidence = weigh(asked, candidates, state, {})
    return state.judge.strength(measure_line(asked, 0, evidence, state.judge))


def _learned(question: Question, asked: Asked) -> Mapping[EntryId, float]:
    """Ask past outcomes, with the query as it was asked: standard deviations by entry."""
    if question.lessons is None or asked.unencoded:
        return {}
    return question.lessons.evidence(asked.vectors[0], now=datetime.now(UTC))


def _say_nothing(asked: Asked, state: State) -> Ranking:
    nothing = None if asked.unencoded else 0.0
    return Ranking(
        steps=asked.texts[1:],
        step_likelihoods=() if nothing is None else (nothing,) * len(asked.texts[1:]),
        likelihood=nothing,
        abstained=nothing is not None,
        lexical_only=asked.unencoded or _say_gap(state.dense),
    )


def _say_gap(dense: FaissIndex) -> str | None:
    missing = len(dense.unembedded)
    if not missing:
        return None
    return f"{missing} of {len(dense)} entries have no vector yet: these are found by their words."


def _best_of(fused: Fused, steps: Sequence[Verdict], *, given: bool) -> list[int]:
    """Return the best candidate of each step that something fits, by its column.

    What the asker gave is a step; what was cut from a task may be no more than a remark.
    """
    return [
        int(np.argmax(scores))
        for scores, step in zip(fused.steps, steps, strict=False)
        if step.likelihood >= _WORTH_COVERING or (given and not step.abstained)
    ]
