"""Rows of vectors as FAISS walks through them: in eight bits where they are many.

Finds rows that are near, and may miss the order of the last of them: who asks for some more than
are wanted, and scores those exactly, has what exact search finds. One core. Knows no entries.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.vectors import FloatMatrix, FloatVector

_COMPRESSED_FROM: Final = 4_096
"""Rows; below, the exact walk costs less than 0.3 ms."""
_STEPS: Final = 255
_MOST: Final = 127
"""Of a number of the query, which is compared as a byte with a sign."""


class Codes:
    """Immutable. Safe to read from several threads."""

    def __init__(self, vectors: FloatMatrix) -> None:
        """Keep the rows of a matrix."""
        faiss = _open_library()
        dimension, metric = vectors.shape[1], faiss.METRIC_INNER_PRODUCT
        self._steps: FloatVector | None = None
        if len(vectors) < _COMPRESSED_FROM:
            self._rows = faiss.IndexFlatIP(dimension)
            self._rows.add(vectors)
            return
        kinds = faiss.ScalarQuantizer
        made = faiss.IndexScalarQuantizer(dimension, kinds.QT_8bit, metric)
        made.train(vectors)
        made.add(vectors)
        # Each column has steps of its own, which FAISS would undo for each number it looks at.
        # Taken up by the query, once, they leave a sum of products of bytes: half the time.
        self._steps = faiss.vector_to_array(made.sq.trained)[dimension:] / np.float32(_STEPS)
        self._rows = faiss.IndexScalarQuantizer(dimension, kinds.QT_8bit_direct_signed, metric)
        self._rows.codes, self._rows.ntotal = made.codes, made.ntotal

    def nearest(
        self, query: FloatVector, count: int, among: NDArray[np.bool_] | None
    ) -> NDArray[np.int64]:
        """Return rows with the largest inner products, ``count`` or all there are, ascending.

        ``among`` says which may be found; None is all.
        """
        faiss = _open_library()
        faiss.omp_set_num_threads(1)  # per calling thread; a second one waits more than it works
        wanted = None
        if among is not None:
            selector = faiss.IDSelectorBitmap(np.packbits(among, bitorder="little"))
            wanted = faiss.SearchParameters(sel=selector)
        asked = query if self._steps is None else _in_bytes(query * self._steps)
        _, rows = self._rows.search(asked.reshape(1, -1), count, params=wanted)
        return np.sort(rows[0][rows[0] >= 0])


def _in_bytes(query: FloatVector) -> FloatVector:
    """Bring to whole numbers of a byte: the order of rows does not depend on a query's length."""
    largest = float(np.abs(query).max(initial=0))
    return np.rint(query * (_MOST / largest)) if largest > 0 else query


def _open_library() -> Any:
    import faiss  # noqa: PLC0415  # slow to import, and has no types

    return faiss
