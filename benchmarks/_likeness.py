"""Which documents do the same as others, by their words alone: independent of any encoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings import Document
from toolcrib_embeddings.documents.corpus import Component
from toolcrib_embeddings.indexing.stemming import Stemmer

SAME_WORDS = 0.5
"""Share of what two descriptions say, in words weighed by rarity, that both of them say."""
MOST_OF_ONE_SERVER = 0.1
"""Of the documents; a larger group is a part of a data set, and no server."""
Mask = NDArray[np.bool_]


class Likeness:
    """Compares the documents of one registry by names, descriptions and servers."""

    def __init__(self, documents: Sequence[Document]) -> None:
        stemmer = Stemmer()
        names = (each.local_name or each.name for each in documents)
        self._names = np.array([" ".join(stemmer.words(name)) for name in names])
        self._servers = np.array([each.server or "" for each in documents])
        said = [set(stemmer.words(_description(each))) for each in documents]
        places = {word: n for n, word in enumerate(sorted(set[str]().union(*said)))}
        self._holds: NDArray[np.bool_] = np.zeros(
            (len(documents), len(places)), dtype=np.bool_, order="F"
        )
        for row, words in enumerate(said):
            self._holds[row, [places[word] for word in words]] = True
        share = (self._holds.sum(axis=0) + 0.5) / (len(documents) + 1)
        self._weights = -np.log(share).clip(max=0)
        self._sizes = self._holds @ self._weights

    def same_words(self, row: int) -> Mask:
        """Tell which documents have its plain name, or a description of much the same words."""
        words = np.flatnonzero(self._holds[row])
        both = self._holds[:, words] @ self._weights[words]
        either = np.maximum(self._sizes + self._sizes[row] - both, 1e-9)
        return (both / either >= SAME_WORDS) | (self._names == self._names[row])

    def same_server(self, row: int) -> Mask:
        """Tell which documents are of its server, or of the category that stands for one.

        All, when there is no such thing in this registry.
        """
        same = self._servers == self._servers[row]
        return same if same.mean() <= MOST_OF_ONE_SERVER else np.ones_like(same)


def _description(document: Document) -> str:
    return document.components.get(Component.DESCRIPTION, "") or document.terms
