"""Vectors of queries and entries for learning: from the store's cache, or encoded once and kept.

Blocks; knows no ranking.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from toolcrib_registry.store import Store
from toolcrib_registry.types import Entry, Outcome

from .replay import Vectors

if TYPE_CHECKING:
    from toolcrib_embeddings import Document, Encoder, FloatVector
    from toolcrib_embeddings.documents.representation import Representation

_AT_ONCE: Final = 256


def query_vectors(
    store: Store, encoder: Encoder, outcomes: Iterable[Outcome]
) -> dict[str, FloatVector]:
    """Give a vector by `Outcome.query_hash`."""
    from toolcrib_embeddings.queries.negation import read_query  # noqa: PLC0415  # slow to import

    queries = {one.query_hash: one.query for one in outcomes}
    vectors = _kept(store, encoder, list(queries))
    missing = {key: text for key, text in queries.items() if key not in vectors}
    if missing:
        texts = {key: read_query(text).text for key, text in missing.items()}
        try:
            vectors |= _encoded(store, encoder, texts)
        finally:
            # Some may have been forgotten meanwhile, here or by another process.
            store.forget_vectors(list(missing.values()))
    return vectors


def documents(
    store: Store, encoder: Encoder, representation: Representation, entries: Iterable[Entry]
) -> list[tuple[Document, FloatVector]]:
    """Give entries as documents with their vectors, as the index has them."""
    from toolcrib_embeddings import render_document  # noqa: PLC0415  # slow to import

    listed = list(entries)
    written = store.written.find_questions([entry.content_hash for entry in listed])
    questions = {key: its.questions for key, its in written.items()}
    rendered = [render_document(e, written=questions.get(e.content_hash, ())) for e in listed]
    parts = [representation.parts(document) for document in rendered]
    texts = {part.text_hash: part.text for some in parts for part in some}
    vectors = _vectors(store, encoder, texts)
    combined = (representation.combine(some, vectors) for some in parts)
    return list(zip(rendered, combined, strict=True))


def vectors_of(
    encoder: Encoder,
    queries: Mapping[str, FloatVector],
    corpus: Sequence[tuple[Document, FloatVector]],
) -> Vectors:
    """Put together what a replay needs."""
    by_entry = {document.id: vector for document, vector in corpus}
    return Vectors(encoder_id=encoder.id, queries=queries, entries=by_entry)


def _vectors(store: Store, encoder: Encoder, texts: Mapping[str, str]) -> dict[str, FloatVector]:
    found = _kept(store, encoder, list(texts))
    missing = {key: text for key, text in texts.items() if key not in found}
    return found | _encoded(store, encoder, missing)


def _kept(store: Store, encoder: Encoder, keys: Sequence[str]) -> dict[str, FloatVector]:
    """Read the vectors that are kept and sound."""
    import numpy as np  # noqa: PLC0415  # with the rest of what only learning needs

    found: dict[str, FloatVector] = {}
    for key, raw in store.get_embeddings(encoder.id, keys).items():
        if len(raw) == np.dtype("<f4").itemsize * encoder.dimension:
            vector = np.frombuffer(raw, dtype="<f4").astype(np.float32)
            if np.isfinite(vector).all():
                found[key] = vector
    return found


def _encoded(store: Store, encoder: Encoder, texts: Mapping[str, str]) -> dict[str, FloatVector]:
    found: dict[str, FloatVector] = {}
    for start in range(0, len(texts), _AT_ONCE):
        keys = list(texts)[start : start + _AT_ONCE]
        fresh = dict(zip(keys, encoder.encode([texts[key] for key in keys]), strict=True))
        raw = {key: vector.astype("<f4").tobytes() for key, vector in fresh.items()}
        store.put_embeddings(encoder.id, raw)
        found |= fresh
    return found
