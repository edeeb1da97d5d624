"""The cache of vectors by encoder and text, so that no text is encoded twice. Vectors are bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import text
from sqlmodel import Session, col, delete, func, select

from toolcrib_registry.tables import EmbeddingRow, storable

from .entries import chunks

_PUT = text(  # one statement for both engines; SQLAlchemy has only one builder for each
    "INSERT INTO embeddings (encoder_id, text_hash, vector)"
    " VALUES (:encoder_id, :text_hash, :vector)"
    " ON CONFLICT (encoder_id, text_hash) DO UPDATE SET vector = excluded.vector"
)


def find_many(session: Session, encoder_id: str, hashes: Sequence[str]) -> dict[str, bytes]:
    """Find the vectors of texts; absent ones are left out."""
    found: dict[str, bytes] = {}
    for chunk in chunks(hashes):
        query = select(EmbeddingRow.text_hash, EmbeddingRow.vector).where(
            EmbeddingRow.encoder_id == encoder_id, col(EmbeddingRow.text_hash).in_(chunk)
        )
        found.update((text_hash, vector) for text_hash, vector in session.exec(query))
    return found


def put(session: Session, encoder_id: str, vectors: Mapping[str, bytes]) -> None:
    """Store vectors, in place of those stored before for the same texts."""
    encoder = storable(encoder_id)
    rows = [
        {"encoder_id": encoder, "text_hash": storable(text_hash), "vector": vectors[text_hash]}
        for text_hash in sorted(vectors)  # one order for all writers, so that none deadlock
    ]
    if rows:
        session.connection().execute(_PUT, rows)


def prune(session: Session, encoder_ids: Collection[str], keep: Collection[str]) -> int:
    """Drop the vectors of other encoders and of texts that are not kept; say how many."""
    ours = col(EmbeddingRow.encoder_id).in_(sorted(encoder_ids))
    others = session.exec(delete(EmbeddingRow).where(~ours))
    rows = session.exec(select(EmbeddingRow.text_hash).where(ours))
    unused = Counter(text_hash for text_hash in rows if text_hash not in keep)
    forget(session, sorted(unused))
    return others.rowcount + unused.total()


def forget(session: Session, hashes: Sequence[str]) -> None:
    """Drop the vectors of texts, of all encoders."""
    for chunk in chunks(hashes):
        session.exec(delete(EmbeddingRow).where(col(EmbeddingRow.text_hash).in_(chunk)))


def count(session: Session) -> int:
    """Count the vectors of all encoders."""
    return session.exec(select(func.count()).select_from(EmbeddingRow)).one()
