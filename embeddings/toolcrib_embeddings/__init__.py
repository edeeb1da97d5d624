"""What entries mean, and how they are found: documents, encoders, indexes, search.

Is given entries and returns ids with scores; knows no store, no server and no protocol.

- An entry becomes text and a vector: `corpus`, `representation`, `encoder` (with `model_folder`,
  `delta`, `exported`, `export`; `training` makes deltas); `unencoded` where none can be had.
- What is searched: `index` (vectors), `lexical` (words, over `postings`), `roster` (rows, scopes),
  kept by `snapshots`.
- A question becomes an answer, in `answering`: `queries` (steps), `fusion`, `rerank`, `structure`
  (near-duplicates, dependencies); `search` puts it behind one door, `options` and `hits` are what
  goes in and comes out.
- Whether anything fits: `search_signals`, `calibration`, `probes`, joined in `judging`.
- What was learned from use: `testimony`, `memory`, `adapter`, joined in `lessons`.
"""

from .corpus import Document, render_document
from .encoder import Encoder, FloatMatrix, FloatVector, SentenceTransformerEncoder
from .hits import Hit, Ranking, Signal
from .options import Fusion, Rerank, SearchOptions
from .roster import Scope
from .search import SearchIndex
from .snapshots import SnapshotInvalid
from .unencoded import NoEncoder

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
