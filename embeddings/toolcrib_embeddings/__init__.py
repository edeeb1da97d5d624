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
"""

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
