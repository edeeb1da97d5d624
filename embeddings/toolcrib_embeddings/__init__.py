"""What entries mean, and how they are found: documents, encoders, indexes, search.

Is given entries and returns ids with scores; knows no store, no server and no protocol.

From below to above, each room knowing only those before it:

- `documents`: an entry becomes texts, words and needs. `queries`: a question becomes steps.
- `encoding`: texts become vectors, of the whole and of their tokens.
- `indexing`: rows of vectors, words and tokens that can be searched, and kept on disk.
- `abstention`: whether anything fits at all, by a calibrated likelihood.
- `ranking`: signals become one order. `learning`: what outcomes change in it.
- `answering` makes one answer of all that; `persistence` keeps it on disk; `search` is the door,
  with `options` that go in and `hits` that come out.

`training` stands apart: it makes new weights, and nothing that serves imports it.

A name is brought in where it is first asked for. Would the package bring them all at once, then two
threads, of which one imports the package and the other a part, would wait for each other.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .documents.corpus import Document, render_document
    from .encoding.encoder import Encoder, SentenceTransformerEncoder
    from .encoding.unencoded import NoEncoder
    from .hits import Hit, Ranking, Signal
    from .indexing.scope import Scope
    from .indexing.snapshots import SnapshotInvalid
    from .options import Fusion, Rerank, SearchOptions
    from .search import SearchIndex
    from .vectors import FloatMatrix, FloatVector

__all__ = [
    "Document",
    "Encoder",
    "FloatMatrix",
    "FloatVector",
    "Fusion",
    "Hit",
    "NoEncoder",
    "Ranking",
    "Rerank",
    "Scope",
    "SearchIndex",
    "SearchOptions",
    "SentenceTransformerEncoder",
    "Signal",
    "SnapshotInvalid",
    "render_document",
]

_HOMES = {
    "Document": ".documents.corpus",
    "Encoder": ".encoding.encoder",
    "FloatMatrix": ".vectors",
    "FloatVector": ".vectors",
    "Fusion": ".options",
    "Hit": ".hits",
    "NoEncoder": ".encoding.unencoded",
    "Ranking": ".hits",
    "Rerank": ".options",
    "Scope": ".indexing.scope",
    "SearchIndex": ".search",
    "SearchOptions": ".options",
    "SentenceTransformerEncoder": ".encoding.encoder",
    "Signal": ".hits",
    "SnapshotInvalid": ".indexing.snapshots",
    "render_document": ".documents.corpus",
}
"""Which module each name is from."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(_HOMES[name], __name__), name)
        globals()[name] = found
        return found
