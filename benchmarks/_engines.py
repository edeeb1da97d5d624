"""The engines that could have stood behind the two indexes, on the same documents and queries.

tantivy is not among the project's dependencies: install it to see its row.
"""

from __future__ import annotations

import importlib
import random
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from _sets import read_documents, read_queries

from toolcrib_embeddings import Document
from toolcrib_embeddings.indexing.lexical import Bm25Index
from toolcrib_embeddings.indexing.stemming import Stemmer

K = 100
DIMENSION = 384
LONG_QUERIES = ("stabletoolbench_g1", "toollinkos", "metatool_multi")
Row: TypeAlias = dict[str, float]


class Engine(Protocol):
    def build(self, documents: Sequence[Document]) -> None: ...
    def change(self, documents: Sequence[Document]) -> None: ...
    def search(self, query: str) -> object: ...


class Toolcrib:
    """What is shipped: bm25s scores, the matrix is made in whole arrays."""

    def build(self, documents: Sequence[Document]) -> None:
        self._index = Bm25Index.empty().updated(documents)

    def change(self, documents: Sequence[Document]) -> None:
        self._index = self._index.updated(documents)

    def search(self, query: str) -> object:
        return self._index.search(query, k=K)


class Bm25s:
    """The library's own indexing: a change is a new index of everything."""

    def __init__(self) -> None:
        self._stemmer = Stemmer()

    def build(self, documents: Sequence[Document]) -> None:
        self._words = {document.id: self._stemmer.words(document.terms) for document in documents}
        self._build()

    def change(self, documents: Sequence[Document]) -> None:
        self._words |= {document.id: self._stemmer.words(document.terms) for document in documents}
        self._build()

    def _build(self) -> None:
        self._engine: Any = importlib.import_module("bm25s").BM25(method="lucene", k1=1.2, b=0.75)
        self._engine.index(list(self._words.values()), show_progress=False)

    def search(self, query: str) -> object:
        known = [word for word in self._stemmer.words(query) if word in self._engine.vocab_dict]
        return np.argpartition(self._engine.get_scores(known), -K)[-K:]


class Tantivy:
    """An index in memory, one writing thread."""

    def __init__(self) -> None:
        self._stemmer = Stemmer()

    def build(self, documents: Sequence[Document]) -> None:
        self._library: Any = importlib.import_module("tantivy")
        builder = self._library.SchemaBuilder()
        builder.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
        builder.add_text_field("terms", tokenizer_name="whitespace", index_option="freq")
        self._schema = builder.build()
        self._index = self._library.Index(self._schema)
        self.change(documents)

    def change(self, documents: Sequence[Document]) -> None:
        writer = self._index.writer(heap_size=15_000_000, num_threads=1)
        for document in documents:
            writer.delete_documents_by_term("id", document.id)
            terms = " ".join(self._stemmer.words(document.terms))
            writer.add_document(self._library.Document(id=document.id, terms=terms))
        writer.commit()
        self._index.reload()

    def search(self, query: str) -> object:
        should, term = self._library.Occur.Should, self._library.Query.term_query
        words = [(should, term(self._schema, "terms", word)) for word in self._stemmer.words(query)]
        searcher = self._index.searcher()
        hits = searcher.search(self._library.Query.boolean_query(words), K, count=False).hits
        return [(searcher.doc(address)["id"][0], score) for score, address in hits]


class Fts5:
    """The standard library's SQLite, in memory."""

    def __init__(self) -> None:
        self._stemmer = Stemmer()

    def build(self, documents: Sequence[Document]) -> None:
        self._database = sqlite3.connect(":memory:")
        self._database.execute("CREATE VIRTUAL TABLE tools USING fts5(id UNINDEXED, terms)")
        self._rows: dict[str, int] = {}
        self.change(documents)

    def change(self, documents: Sequence[Document]) -> None:
        rows = [self._rows.setdefault(d.id, len(self._rows) + 1) for d in documents]
        self._database.executemany("DELETE FROM tools WHERE rowid = ?", [(row,) for row in rows])
        self._database.executemany(
            "INSERT INTO tools (rowid, id, terms) VALUES (?, ?, ?)",
            [
                (row, document.id, " ".join(self._stemmer.words(document.terms)))
                for row, document in zip(rows, documents, strict=True)
            ],
        )
        self._database.commit()

    def search(self, query: str) -> object:
        words = " OR ".join(f'"{word}"' for word in dict.fromkeys(self._stemmer.words(query)))
        command = "SELECT id, rank FROM tools WHERE tools MATCH ? ORDER BY rank LIMIT ?"
        return self._database.execute(command, (words, K)).fetchall()


def measure(data: Path) -> dict[str, Row]:
    """Measure the lexical engines and the kinds of FAISS index, in milliseconds of CPU."""
    documents = list(read_documents(data / "corpus/toucan_mcp/tools.jsonl").values())
    queries = [
        text
        for name in LONG_QUERIES
        for text in islice(read_queries(data / "retrieval" / name).values(), 100)
    ]
    table: dict[str, Row] = {}
    for engine in (Toolcrib, Bm25s, Tantivy, Fts5):
        try:
            table[engine.__name__] = _measure(engine(), documents, queries)
        except ModuleNotFoundError as error:
            print(f"{engine.__name__} left out: {error}")
    return {**table, **_measure_faiss(len(documents))}


def _measure(engine: Engine, documents: Sequence[Document], queries: Sequence[str]) -> Row:
    chosen = random.Random(3)
    return {
        "build": _timed(lambda: engine.build(documents)),
        **_percentiles(engine.search, queries),
        "change 1": _median(lambda: engine.change(chosen.sample(documents, 1))),
        "change 100": _median(lambda: engine.change(chosen.sample(documents, 100))),
    }


def _measure_faiss(count: int) -> dict[str, Row]:
    library: Any = importlib.import_module("faiss")
    random_numbers = np.random.default_rng(3)
    vectors = random_numbers.standard_normal((count, DIMENSION)).astype(np.float32)
    kinds = library.ScalarQuantizer
    inner_product = library.METRIC_INNER_PRODUCT
    indexes = {
        "faiss flat": library.IndexFlatIP(DIMENSION),
        "faiss fp16": library.IndexScalarQuantizer(DIMENSION, kinds.QT_fp16, inner_product),
        "faiss 8 bit": library.IndexScalarQuantizer(DIMENSION, kinds.QT_8bit, inner_product),
    }
    library.omp_set_num_threads(1)
    table: dict[str, Row] = {}
    for name, index in indexes.items():
        index.train(vectors)
        built = _timed(lambda index=index: index.add(vectors))
        rows = [(index, vector[None]) for vector in vectors[:300]]
        table[name] = {"build": built, **_percentiles(lambda row: row[0].search(row[1], K), rows)}
    return table


def _percentiles(search: Callable[[Any], object], queries: Iterable[Any]) -> Row:
    taken = [_timed(lambda query=query: search(query)) for query in queries]
    return {"search p50": statistics.median(taken), "search p95": float(np.percentile(taken, 95))}


def _median(action: Callable[[], object]) -> float:
    return statistics.median(_timed(action) for _ in range(5))


def _timed(action: Callable[[], object]) -> float:
    began = time.process_time()
    action()
    return 1e3 * (time.process_time() - began)
