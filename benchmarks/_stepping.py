"""Hits of tasks of several steps: how likely they are said to be, and how often they are right.

Searches as served, with a calibration that does not know the set. "By the whole" is what the text
as a whole says of a hit, from the same search with steps switched off.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from _calibrating import calibration_error
from _sets import SEED, RetrievalSet, VectorCache
from _tables import print_heads, print_row

from toolcrib_embeddings import Encoder, Ranking, Scope, SearchOptions
from toolcrib_embeddings.abstention.calibration import Calibration
from toolcrib_embeddings.answering.answer import answer
from toolcrib_embeddings.answering.question import Question
from toolcrib_embeddings.answering.state import State
from toolcrib_embeddings.indexing.index import FaissIndex
from toolcrib_embeddings.indexing.lexical import Bm25Index
from toolcrib_embeddings.indexing.token_table import TokenTable
from toolcrib_embeddings.queries.negation import read_query
from toolcrib_embeddings.queries.steps import split_steps
from toolcrib_registry.types import EntryId, Revision

MOST_ASKED = 200
MOST_WITHOUT = 100
"""Of each kind that has no answer, or half of one."""
JOINED = 60
SHOWN = 10
COMPARED = 80
"""Hits of the search without steps, among which those of the other are looked up."""
ALIKE = 0.6
LONGEST_PART = 200
WHOLE, STEPS = "by the whole", "by steps too"
ANSWERED = {
    "own": ("tasks", "one tool gone"),
    "joined": ("joined", "joined, one foreign"),
}
UNANSWERED = {
    "own": ("tools gone", "other sets", "foreign"),
    "joined": ("foreign, joined", "foreign, listed"),
}
FIGURES = ("right", "wrong", "brier", "ece")
_WITHOUT_STEPS = SearchOptions(split=False)


@dataclass(frozen=True, slots=True)
class Task:
    """A task of several steps, as a text or as a list, and what is right for it."""

    texts: tuple[str, ...]
    relevant: frozenset[EntryId] = frozenset()
    scope: Scope = field(default_factory=Scope)


@dataclass(slots=True)
class Said:
    """What was said of the hits of one kind of task, and what is true of them."""

    hits: dict[str, list[float]] = field(default_factory=lambda: {WHOLE: [], STEPS: []})
    searches: dict[str, list[float]] = field(default_factory=lambda: {WHOLE: [], STEPS: []})
    abstained: dict[str, list[bool]] = field(default_factory=lambda: {WHOLE: [], STEPS: []})
    right: list[bool] = field(default_factory=list[bool])

    def add(self, task: Task, whole: Ranking, steps: Ranking) -> None:
        before = {hit.id: hit.likelihood for hit in whole.hits}
        for name, ranking in ((WHOLE, whole), (STEPS, steps)):
            self.searches[name].append(ranking.likelihood or 0.0)
            self.abstained[name].append(ranking.abstained)
        for hit in steps.hits:
            told = before.get(hit.id)
            if hit.likelihood is not None and told is not None:
                self.hits[WHOLE].append(told)
                self.hits[STEPS].append(hit.likelihood)
                self.right.append(hit.id in task.relevant)


def measure_steps(
    each: RetrievalSet,
    calibration: Calibration,
    vectors: VectorCache,
    encoder: Encoder,
    *,
    elsewhere: Sequence[str],
    foreign: Sequence[str],
) -> dict[str, Any]:
    """Measure one set by a calibration that does not know it."""
    state = _state(each, calibration, vectors, encoder)
    said: dict[str, Said] = {}
    for kind, tasks in _tasks(each, state, elsewhere, foreign):
        said[kind] = Said()
        for task in tasks:
            whole = Question((". ".join(task.texts),), COMPARED, task.scope, _WITHOUT_STEPS)
            steps = Question(task.texts, SHOWN, task.scope, SearchOptions())
            found = (answer(one, encoder=encoder, state=state) for one in (whole, steps))
            said[kind].add(task, *found)
    return {
        "asked": {kind: float(len(one.searches[STEPS])) for kind, one in said.items()},
        "hits": {group: _hits(said, group) for group in ANSWERED},
        "searches": {kind: _means(one.searches) for kind, one in said.items()},
        "abstained": {kind: _means(one.abstained) for kind, one in said.items()},
    }


def _state(
    each: RetrievalSet, calibration: Calibration, vectors: VectorCache, encoder: Encoder
) -> State:
    documents = list(each.documents.values())
    texts = [document.text for document in documents]
    rows = list(zip(documents, vectors.encode(texts), strict=True))
    dense = FaissIndex.empty(encoder.dimension).updated(rows, ())
    known = zip((document.id for document in documents), vectors.tokens(texts), strict=False)
    return State(
        dense,
        Bm25Index.empty().updated(documents, ()),
        Revision(1),
        calibration,
        len(documents),
        tokens=TokenTable.empty().updated(dict(known)),
    )


def _tasks(
    each: RetrievalSet, state: State, elsewhere: Sequence[str], foreign: Sequence[str]
) -> Iterator[tuple[str, list[Task]]]:
    chance = random.Random(SEED)
    own = {
        query: frozenset(each.documents[tool].id for tool in each.relevant[query])
        for query in each.queries
    }
    texts = {query: read_query(text).text for query, text in each.queries.items()}
    several = [query for query in own if split_steps(texts[query])][:MOST_ASKED]
    yield "tasks", [Task((texts[query],), own[query]) for query in several]
    one_gone = (
        (query, chance.choice(sorted(own[query]))) for query in several if len(own[query]) > 1
    )
    yield "one tool gone", _without(one_gone, own, texts, state)
    all_gone = ((query, *sorted(own[query])) for query in several)
    yield "tools gone", _without(all_gone, {}, texts, state)
    for kind, strange in (("other sets", elsewhere), ("foreign", foreign)):
        split = (text for text in strange if split_steps(text))
        yield kind, [Task((text,)) for text in islice(split, MOST_WITHOUT)]
    single = [q for q, text in texts.items() if len(text) < LONGEST_PART and not split_steps(text)]
    plain = [text for text in foreign if len(text) < LONGEST_PART and not split_steps(text)]
    enough = len(single) >= SHOWN
    picks = [chance.sample(single, chance.choice((2, 3))) for _ in range(JOINED) if enough]
    yield "joined", [_join(pick, own, texts) for pick in picks]
    mixed = [_join(pick[:-1], own, texts, chance.choice(plain)) for pick in picks]
    yield "joined, one foreign", mixed
    groups = [tuple(chance.sample(plain, chance.choice((2, 3, 4)))) for _ in range(JOINED)]
    yield "foreign, joined", [Task((". ".join(group),)) for group in groups]
    yield "foreign, listed", [Task(group) for group in groups]


def _without(
    chosen: Iterator[tuple[str, ...]],
    own: Mapping[str, frozenset[EntryId]],
    texts: Mapping[str, str],
    state: State,
) -> list[Task]:
    """Take away some tools of each task, and what is like them; something right may be left."""
    found: list[Task] = []
    for query, *gone in islice(chosen, MOST_WITHOUT):
        rows = [state.dense.roster.rows[EntryId(id_)] for id_ in gone]
        left = (state.dense.vectors @ state.dense.vectors[rows].T).max(axis=1) < ALIKE
        left[rows] = False
        ids = frozenset(state.dense.roster.take_ids(np.flatnonzero(left)))
        relevant = own.get(query, frozenset()) & ids
        if relevant or query not in own:
            found.append(Task((texts[query],), relevant, Scope.of(ids=ids)))
    return found


def _join(
    picked: Sequence[str],
    own: Mapping[str, frozenset[EntryId]],
    texts: Mapping[str, str],
    *foreign: str,
) -> Task:
    relevant = frozenset(id_ for query in picked for id_ in own[query])
    return Task((*(texts[query] for query in picked), *foreign), relevant)


def _means(figures: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: float(np.mean(one)) if one else float("nan") for name, one in figures.items()}


def _hits(said: Mapping[str, Said], group: str) -> dict[str, dict[str, float]]:
    """Measure hits; tasks with and without an answer count as equally frequent."""
    sides = [[said[kind] for kind in some[group]] for some in (ANSWERED, UNANSWERED)]
    asked = [[one for one in side if one.right] for side in sides]
    if not all(asked):
        return {name: dict.fromkeys(FIGURES, float("nan")) for name in (WHOLE, STEPS)}
    heavy = np.concatenate(
        [
            np.full(len(one.right), 0.5 / len(side) / len(one.right))
            for side in asked
            for one in side
        ]
    )
    truth = np.concatenate([one.right for side in asked for one in side]).astype(np.float64)
    found: dict[str, dict[str, float]] = {}
    for name in (WHOLE, STEPS):
        told = np.concatenate([one.hits[name] for side in asked for one in side])
        figures = (
            np.average(told, weights=heavy * truth),
            np.average(told, weights=heavy * (1 - truth)),
            np.average((told - truth) ** 2, weights=heavy),
            calibration_error(told, truth, heavy),
        )
        found[name] = dict(zip(FIGURES, map(float, figures), strict=True))
    return found


def print_steps(table: Mapping[str, Mapping[str, Any]]) -> None:
    """Print figures by the whole text alone, and with steps, side by side."""
    for group in ANSWERED:
        print(f"\nHits, {group} tasks, by the whole / by steps too")
        print_heads(FIGURES)
        for name, row in table.items():
            two = [row["hits"][group][way] for way in (WHOLE, STEPS)]
            print_row(name, [" / ".join(f"{way[of]:.3f}" for way in two) for of in FIGURES])
    for what in ("searches", "abstained"):
        kinds = [*table["macro average"][what]]
        said = {"searches": "Likelihood of searches", "abstained": "Share abstained on"}[what]
        print(f"\n{said}, by the whole / by steps too")
        print_heads(kinds)
        for name, row in table.items():
            cells = [" / ".join(f"{v:.3f}" for v in row[what][kind].values()) for kind in kinds]
            print_row(name, cells)
