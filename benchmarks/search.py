"""Search over 17,570 real tools: what it costs next to encoding the query.

    python benchmarks/search.py --data FOLDER [--tools N] [--engines] [--json FILE]

``FOLDER`` holds ``corpus/toucan_mcp`` and ``retrieval``; how well it ranks is told by
``toolcrib eval retrieval``. Encoding the corpus takes minutes the first time; its vectors are kept
under ``.cache/bench``. Times vary with the machine's load: read the ratios, which are taken in
turns within one run.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import _command
import _engines
import numpy as np
from _sets import CACHE, VectorCache, read_documents, read_queries

from toolcrib_embeddings import (
    Document,
    Rerank,
    SearchIndex,
    SearchOptions,
    SentenceTransformerEncoder,
)
from toolcrib_embeddings.encoding.tokens import TokenMatrix
from toolcrib_registry.types import EntryId, Revision

ENCODERS = CACHE / "encoders"
QUERY_SETS = ("stabletoolbench_g1", "toollinkos", "metatool_multi", "bfcl_pool")
QUERIES_PER_SET = 60
SAMPLE = 300
_MEMORY = """
import sys, psutil
from pathlib import Path
from toolcrib_embeddings import SearchIndex, SentenceTransformerEncoder
index = SearchIndex.load(Path(sys.argv[1]), SentenceTransformerEncoder.open(Path(sys.argv[2])))
for n in range(20):
    index.search(f"find the weather in city number {n}", k=10)
searched = psutil.Process().memory_info().rss
index.encoder.encode([f"tool {n} converts files of kind {n}. " * (n % 40) for n in range(200)])
print(searched / 1e6, psutil.Process().memory_info().rss / 1e6)
"""


def main() -> None:
    parser = _command.parser(__doc__, data=True)
    parser.add_argument("--tools", type=int, help="only the first so many (default all)")
    parser.add_argument("--engines", action="store_true", help="compare the engines passed over")
    options = parser.parse_args()
    result: Any
    if options.engines:
        result = _engines.measure(options.data)
        for name, row in result.items():
            print(f"{name:12}", "  ".join(f"{what} {ms:9.2f} ms" for what, ms in row.items()))
    else:
        encoder = SentenceTransformerEncoder.open(ENCODERS)
        result = measure_cost(options.data, encoder, tools=options.tools)
        for name, value in result.items():
            print(f"{name:44}{value:12.3f}")
    _command.write(result, options.json)


def measure_cost(
    data: Path, encoder: SentenceTransformerEncoder, *, tools: int | None
) -> dict[str, float | int]:
    began = time.perf_counter()
    documents = list(read_documents(data / "corpus/toucan_mcp/tools.jsonl").values())[:tools]
    rendering_s = time.perf_counter() - began
    texts = [document.text for document in documents]
    cache = VectorCache(encoder)
    vectors, tokens = cache.encode(texts), cache.tokens(texts)
    index = SearchIndex(encoder)
    upserts = list(zip(documents, vectors, strict=True))
    by_id = dict(zip((document.id for document in documents), tokens, strict=False))
    indexing_s = _timed(lambda: index.update(upserts, (), revision=Revision(1), tokens=by_id))
    print(f"{len(documents)} tools are indexed; encoding a sample of them", flush=True)
    encoding_s, with_tokens_s = _encoding_times(documents, encoder)
    return {
        "tools": len(documents),
        **_query_times(index, data),
        "update of 1 tool, ms": 1e3 * _median_update(index, upserts, by_id, 1),
        "update of 100 tools, ms": 1e3 * _median_update(index, upserts, by_id, 100),
        "encoding all, s (from a sample)": encoding_s,
        "the same with token vectors / without": with_tokens_s / encoding_s,
        "tokens kept of a tool, mean": sum(map(len, tokens)) / len(documents),
        "rendering and indexing all, s": rendering_s + indexing_s,
        "encoder's share of indexing": encoding_s / (encoding_s + rendering_s + indexing_s),
        **_snapshot_costs(index),
    }


def _query_times(index: SearchIndex, data: Path) -> dict[str, float | int]:
    alone = SentenceTransformerEncoder.open(ENCODERS)  # its own memory of texts
    queries = [
        text
        for name in QUERY_SETS
        for text in islice(read_queries(data / "retrieval" / name).values(), QUERIES_PER_SET)
    ]
    print(f"searching for {len(queries)} queries, each in {len(Rerank)} ways", flush=True)
    for text in ("warm", "up"):
        alone.encode([text])
        index.search(text, k=10)
    encoding: list[float] = []
    searching: dict[Rerank, list[float]] = {rerank: [] for rerank in Rerank}
    for text in queries:
        encoding.append(_timed(lambda text=text: alone.encode([text])))
        for rerank, times in searching.items():
            # A word more, so that no answer or vector is remembered from the turn before.
            asked, how = f"{text} {rerank.value}", SearchOptions(rerank=rerank)
            times.append(_timed(lambda a=asked, h=how: index.search(a, k=10, options=h)))
    index.search(queries[-1], k=10)
    repeated = [_timed(lambda: index.search(queries[-1], k=10)) for _ in range(1_000)]
    encode_p50 = statistics.median(encoding)
    return {
        "queries": len(queries),
        "encode alone p50, ms": 1e3 * encode_p50,
        **{
            f"search, rerank {rerank.value}: {name}": value
            for rerank, times in searching.items()
            for name, value in _summary(times, encode_p50).items()
        },
        "repeated query p50, ms": 1e3 * statistics.median(repeated),
    }


def _summary(times: Sequence[float], encode_p50: float) -> dict[str, float]:
    p50 = statistics.median(times)
    return {
        "p50, ms": 1e3 * p50,
        "p95, ms": 1e3 * float(np.percentile(times, 95)),
        "p50 / encode p50": p50 / encode_p50,
    }


def _median_update(
    index: SearchIndex, upserts: Sequence[Any], tokens: Mapping[EntryId, TokenMatrix], count: int
) -> float:
    changed = upserts[:: max(1, len(upserts) // count)][:count]
    return statistics.median(
        _timed(lambda: index.update(changed, (), revision=Revision(2), tokens=tokens))
        for _ in range(7)
    )


def _encoding_times(
    documents: Sequence[Document], encoder: SentenceTransformerEncoder
) -> tuple[float, float]:
    """Encode a sample with and without token vectors, in turns; seconds for all documents."""
    step = max(1, len(documents) // SAMPLE)
    sample = [document.text for document in documents[::step]][:SAMPLE]
    alone: list[float] = []
    both: list[float] = []
    for _ in range(3):
        alone.append(_timed(lambda: encoder.encode(sample)))
        both.append(_timed(lambda: encoder.encode_documents(sample)))
    whole = len(documents) / len(sample)
    return whole * min(alone), whole * min(both)


def _snapshot_costs(index: SearchIndex) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "index"
        saving_s = _timed(lambda: index.save(place))
        loading_s = [_timed(lambda: SearchIndex.load(place, index.encoder)) for _ in range(5)]
        size = sum(file.stat().st_size for file in place.iterdir())
        command = [sys.executable, "-c", _MEMORY, str(place), str(ENCODERS)]
        done = subprocess.run(command, capture_output=True, check=True, text=True)
    searched, encoded = map(float, done.stdout.split())
    return {
        "snapshot, MB": size / 1e6,
        "save, ms": 1e3 * saving_s,
        "load, ms": 1e3 * statistics.median(loading_s),
        "memory of a process that searches, MB": searched,
        "memory after encoding 200 texts too, MB": encoded,
    }


def _timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


if __name__ == "__main__":
    _command.run(main)
