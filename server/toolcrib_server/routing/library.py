"""Vectors of queries and examples for routing: from the store's cache, or encoded once and kept.

Blocks; knows no outcome and no policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from toolcrib_registry.store import Store
from toolcrib_registry.types import hash_query
from toolcrib_server.selection.routing.arrays import Singles

if TYPE_CHECKING:
    from toolcrib_embeddings import Encoder

OnProgress = Callable[[int, int], None]
"""Called with (done, total)."""
_AT_ONCE: Final = 256


def encode(
    encoder: Encoder, texts: Sequence[str], *, on_progress: Callable[[int], None] | None = None
) -> Singles:
    """Encode texts as search reads them; a row each, in their order.

    ``on_progress`` is told how many are done so far.
    """
    from toolcrib_embeddings.queries.steps import clean_query  # noqa: PLC0415  # slow to import

    rows = np.zeros((len(texts), encoder.dimension), dtype=np.float32)
    # Texts of one length are encoded together: padding is work for nothing.
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    for start in range(0, len(order), _AT_ONCE):
        places = order[start : start + _AT_ONCE]
        clean = [clean_query(texts[place]) for place in places]
        told = _onward(on_progress, start)
        rows[places] = encoder.encode(clean, on_progress=told)
    return rows


def kept_vectors(
    store: Store,
    encoder: Encoder,
    texts: Iterable[str],
    *,
    on_progress: OnProgress | None = None,
) -> dict[str, Singles]:
    """Give each text's vector; what is not in the cache is encoded and put there.

    What is encoded is kept by and by: ``on_progress`` may raise to end it, and loses the last few.
    """
    keys = {hash_query(text): text for text in texts}
    found = {keys[key]: raw for key, raw in _stored(store, encoder, list(keys)).items()}
    missing = [text for text in keys.values() if text not in found]

    def show(done: int) -> None:
        if on_progress:
            on_progress(done, len(missing))

    for start in range(0, len(missing), _AT_ONCE):
        some = missing[start : start + _AT_ONCE]
        told = _onward(show, start)
        fresh = dict(zip(some, encode(encoder, some, on_progress=told), strict=True))
        raw = {hash_query(text): row.astype("<f4").tobytes() for text, row in fresh.items()}
        store.put_embeddings(encoder.id, raw)
        found |= fresh
    return found


def _onward(on_progress: Callable[[int], None] | None, before: int) -> Callable[[int], None] | None:
    """Tell how far a part is as how far the whole is; and at once, that the part begins."""
    if on_progress is None:
        return None
    on_progress(before)
    return lambda done: on_progress(before + done)


def _stored(store: Store, encoder: Encoder, keys: Sequence[str]) -> dict[str, Singles]:
    """Read the vectors that are kept and sound."""
    found: dict[str, Singles] = {}
    size = np.dtype("<f4").itemsize * encoder.dimension
    for key, raw in store.get_embeddings(encoder.id, keys).items():
        vector = np.frombuffer(raw, dtype="<f4").astype(np.float32)
        if len(raw) == size and np.isfinite(vector).all():
            found[key] = vector
    return found
