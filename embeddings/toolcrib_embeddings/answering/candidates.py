"""Which entries are looked at for a question, and what speaks for each of them.

Rows stand for entries: they are in the order of ids. Knows no ranking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.hits import DENSE, LEXICAL, NAME
from toolcrib_embeddings.indexing.index import ScoredRows
from toolcrib_embeddings.indexing.scope import Scope
from toolcrib_embeddings.ranking.fusion import Evidence
from toolcrib_embeddings.vectors import FloatMatrix
from toolcrib_registry.types import EntryId

from .question import Asked, Question
from .state import State

SPARE: Final = 20
"""Candidates beyond those asked for, which may fold away."""
_RECALLED: Final = 100
"""Candidates from each retriever, at least; more when more are asked for."""
_RECALLED_FOR_STEP: Final = 20
"""Further ones for each step that the asker gave, which the whole need not speak of."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What was recalled, and where the two retrievers put it."""

    rows: NDArray[np.intp]
    """Ascending."""
    found: Mapping[str, ScoredRows]
    """What each retriever found."""
    recalled: NDArray[np.bool_] | None = None
    """Which of them retrieval found; the others are there for what was learned. None is all."""


def recall(
    question: Question, asked: Asked, state: State, learned: Mapping[EntryId, float]
) -> Candidates:
    """Take the best by meaning and by words, and what past outcomes speak for."""
    depth, scope = max(_RECALLED, question.k + SPARE), question.scope
    by_meaning = _by_meaning(asked, 0, state, k=depth, scope=scope)
    by_words = state.lexical.best(asked.texts[0], k=depth, scope=scope)
    found = [by_meaning[0], by_words[0]]
    if asked.given:
        for line, text in enumerate(asked.texts[1:], start=1):
            found.append(_by_meaning(asked, line, state, k=_RECALLED_FOR_STEP, scope=scope)[0])
            found.append(state.lexical.best(text, k=_RECALLED_FOR_STEP, scope=scope)[0])
    is_found = np.zeros(len(state.dense), dtype=np.bool_)
    is_found[np.concatenate(found)] = True
    is_heeded = is_found.copy()
    is_heeded[_spoken_for(scope, state, learned)] = True
    rows = np.flatnonzero(is_heeded)
    recalled = is_found[rows]
    by_retriever = {DENSE: by_meaning, LEXICAL: by_words}
    return Candidates(rows, by_retriever, None if recalled.all() else recalled)


def take_all(scope: Scope, state: State) -> Candidates:
    """Take all of a scope: what a recall as deep as the corpus would find."""
    mask = state.dense.roster.mask(scope)
    rows = np.arange(len(state.dense)) if mask is None else np.flatnonzero(mask)
    return Candidates(rows, {})


def weigh(
    asked: Asked, candidates: Candidates, state: State, learned: Mapping[EntryId, float]
) -> Evidence:
    """Gather what speaks for each candidate, in their order."""
    rows, roster = candidates.rows, state.dense.roster
    words = state.lexical.count_words(asked.texts)
    signals = {
        DENSE: _neutral(state.dense.score_rows(asked.vectors, rows), state.dense.missing[rows]),
        LEXICAL: state.lexical.score_rows(words, rows),
        NAME: state.lexical.cover_names(words, rows),
    }
    worth = [learned.get(id_, 0.0) for id_ in roster.take_ids(rows)] if learned else []
    moved = np.array(worth, dtype=np.float32) if any(worth) else None
    return Evidence(signals, roster.server_codes(rows), moved, candidates.recalled)


def _spoken_for(scope: Scope, state: State, learned: Mapping[EntryId, float]) -> NDArray[np.intp]:
    known, mask = state.dense.roster.rows, state.dense.roster.mask(scope)
    rows = [known[id_] for id_, worth in learned.items() if worth > 0 and id_ in known]
    return np.array([row for row in rows if mask is None or mask[row]], dtype=np.intp)


def _by_meaning(asked: Asked, line: int, state: State, *, k: int, scope: Scope) -> ScoredRows:
    """Recall by a vector; what has none is near to nothing, whatever its zeros come to."""
    if asked.unencoded:
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.float32)
    rows, scores = state.dense.nearest(asked.vectors[line], k=k, scope=scope)
    sound = ~state.dense.missing[rows]
    return rows[sound], scores[sound]


def _neutral(scores: FloatMatrix, missing: NDArray[np.bool_]) -> FloatMatrix:
    """Give what has no vector the mean of the others: nothing is known for or against it."""
    if missing.any():
        known = scores[:, ~missing]
        scores[:, missing] = known.mean(axis=1, keepdims=True) if known.size else 0
    return scores
