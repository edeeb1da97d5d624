"""What entries mean, and how they are found: documents, encoders, indexes, search.

Is given entries and returns ids with scores; knows no store, no server and no protocol.
"""

from .corpus import Document, render_document
from .encoder import Encoder, FloatMatrix, FloatVector, SentenceTransformerEncoder
from .hits import Hit, Ranking, Signal
from .options import Fusion, Rerank, SearchOptions
from .roster import Scope
from .search import SearchIndex
from .snapshots import SnapshotInvalid

__all__ = [
    "Document",
    "Encoder",
    "FloatMatrix",
    "FloatVector",
    "Fusion",
    "Hit",
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
