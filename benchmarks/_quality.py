"""How well each way of fusing ranks, on every development set, with one configuration."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from _sets import RetrievalSet, VectorCache, read_sets

from toolcrib_embeddings import FloatVector, SearchIndex
from toolcrib_embeddings.encoder import Encoder
from toolcrib_embeddings.fusion import fuse
from toolcrib_embeddings.index import FaissIndex, Scored
from toolcrib_embeddings.lexical import Bm25Index
from toolcrib_registry.types import EntryId, Revision

DEPTH = 100
RRF_K = 60
Ranking = Sequence[EntryId]
Scores = dict[str, tuple[float, float, float]]
"""By way of fusing: NDCG@10, Recall@5, Recall@10, in percent."""


def measure(data: Path, encoder: Encoder) -> dict[str, Scores]:
    """Measure every set in ``data``, and the average over the sets."""
    vectors = VectorCache(encoder)
    table = {each.name: _measure_set(each, vectors, encoder) for each in read_sets(data)}
    ways = next(iter(table.values()))
    table["macro average"] = {
        way: tuple(np.mean([scores[way] for scores in table.values()], axis=0).tolist())
        for way in ways
    }
    return table


def print_table(table: dict[str, Scores]) -> None:
    """Print NDCG@10 / Recall@5 / Recall@10, a row for each set."""
    ways = list(next(iter(table.values())))
    print("| set | " + " | ".join(ways) + " |")
    print("|---" * (len(ways) + 1) + "|")
    for name, scores in table.items():
        cells = [" / ".join(f"{value:.1f}" for value in scores[way]) for way in ways]
        print(f"| {name} | " + " | ".join(cells) + " |")


def _measure_set(each: RetrievalSet, vectors: VectorCache, encoder: Encoder) -> Scores:
    documents = list(each.documents.values())
    rows = vectors.encode([document.text for document in documents])
    upserts = list(zip(documents, rows, strict=True))
    dense = FaissIndex.empty(encoder.dimension).updated(upserts)
    lexical = Bm25Index.empty().updated(documents)
    product = SearchIndex(encoder)
    product.update(upserts, (), revision=Revision(1))
    queries = vectors.encode(list(each.queries.values()))
    found: dict[str, list[tuple[float, float, float]]] = {}
    for (query, text), vector in zip(each.queries.items(), queries, strict=True):
        relevant = {each.documents[tool].id for tool in each.relevant[query]}
        for way, ranking in _rankings(dense, lexical, vector, text).items():
            found.setdefault(way, []).append(_score(ranking, relevant))
        ranking = [hit.id for hit in product.search(text, k=10).hits]
        found.setdefault("as shipped", []).append(_score(ranking, relevant))
    return {way: tuple((100 * np.mean(s, axis=0)).tolist()) for way, s in found.items()}


def _rankings(
    dense: FaissIndex, lexical: Bm25Index, vector: FloatVector, text: str
) -> dict[str, Ranking]:
    by_vector = dense.search(vector, k=DEPTH)
    by_word = lexical.search(text, k=DEPTH)
    ids = sorted({id_ for id_, _ in [*by_vector, *by_word]})
    meaning, words = dense.scores(vector, ids), lexical.scores(text, ids)
    top = max(float(words.max()), 1e-9)
    return {
        "BM25": [id_ for id_, _ in by_word],
        "dense": [id_ for id_, _ in by_vector],
        "RRF": _best(ids, _reciprocal_ranks(ids, by_vector, by_word)),
        "0.5 cosine + 0.5 BM25/max": _best(ids, (meaning + words / top).astype(np.float32)),
        "standardised sum": _best(ids, fuse(meaning, words)),
    }


def _reciprocal_ranks(ids: Ranking, *lists: list[Scored]) -> FloatVector:
    sums = dict.fromkeys(ids, 0.0)
    for scored in lists:
        for rank, (id_, _) in enumerate(scored, start=1):
            sums[id_] += 1 / (RRF_K + rank)
    return np.array([sums[id_] for id_ in ids], dtype=np.float32)


def _best(ids: Ranking, scores: FloatVector) -> Ranking:
    order: list[int] = np.argsort(-scores, kind="stable")[:10].tolist()
    return [ids[place] for place in order]


def _score(ranking: Iterable[EntryId], relevant: set[EntryId]) -> tuple[float, float, float]:
    hits = [id_ in relevant for id_ in list(ranking)[:10]]
    gained = sum(1 / math.log2(place + 2) for place, hit in enumerate(hits) if hit)
    possible = sum(1 / math.log2(place + 2) for place in range(min(10, len(relevant))))
    return gained / possible, sum(hits[:5]) / len(relevant), sum(hits) / len(relevant)
