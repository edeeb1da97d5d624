"""One way of searching over one set: what was found, and how long each stage took."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from toolcrib_embeddings import Document, SearchIndex
from toolcrib_embeddings.documents.representation import Representation
from toolcrib_embeddings.encoding.encoder import Encoder
from toolcrib_embeddings.encoding.tokens import TokenMatrix
from toolcrib_embeddings.vectors import FloatMatrix
from toolcrib_registry.types import EntryId, Revision

from .configurations import Configuration
from .meter import MeteredEncoder

_WARMING: Final = "What can be done here?"


@dataclass(frozen=True, slots=True)
class Answered:
    """What one query got."""

    query: str
    found: tuple[str, ...]
    """The folder's own ids of tools, best first."""
    search_ms: float
    """Without encoding."""
    encode_ms: float | None
    """Of the texts that the search had encoded; None outside the sample that is timed."""
    reranked: bool
    abstained: bool


@dataclass(frozen=True, slots=True)
class Trial:
    """What every query of a set got from one configuration, in the set's order."""

    configuration: Configuration
    answers: tuple[Answered, ...]


def build_index(
    encoder: Encoder,
    representation: Representation,
    documents: Sequence[Document],
    vectors: FloatMatrix,
    tokens: Mapping[str, TokenMatrix],
) -> SearchIndex:
    """Index documents as the product does; ``tokens`` has token vectors by text."""
    index = SearchIndex(encoder, representation=representation)
    by_id = {each.id: tokens[each.text] for each in documents if each.text in tokens}
    upserts = list(zip(documents, vectors, strict=True))
    index.update(upserts, (), revision=Revision(1), tokens=by_id)
    return index


def measure_bytes(index: SearchIndex) -> int:
    """Measure a snapshot of an index: what it holds, without the libraries around it."""
    with tempfile.TemporaryDirectory(prefix="toolcrib-eval-") as place:
        folder = Path(place) / "index"
        index.save(folder)
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def run_trial(
    index: SearchIndex,
    meter: MeteredEncoder,
    configuration: Configuration,
    queries: Mapping[str, str],
    *,
    ids: Mapping[EntryId, str],
    k: int,
    timed: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> Trial:
    """Ask every query. Of at most ``timed`` queries, evenly spread, encoding is timed too."""
    index.search(_WARMING, k=k, options=configuration.options)
    meter.lap()
    step = -(-len(queries) // timed)
    answers: list[Answered] = []
    for number, (query, text) in enumerate(queries.items()):
        meter.is_sampling = number % step == 0
        began = time.perf_counter()
        ranking = index.search(text, k=k, options=configuration.options)
        took_ms = 1e3 * (time.perf_counter() - began)
        lap = meter.lap()
        found = tuple(ids[id_] for id_ in ranking.ids)
        answers.append(
            Answered(
                query,
                found,
                max(took_ms - lap.inside_ms, 0.0),
                lap.encode_ms,
                ranking.reranked,
                ranking.abstained,
            )
        )
        if on_progress:
            on_progress(number + 1, len(queries))
    meter.keep()
    return Trial(configuration, tuple(answers))
