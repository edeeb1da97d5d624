"""What entries mean, and how they are found: documents, encoders, indexes, search.

Is given entries and returns ids with scores; knows no store, no server and no protocol.
"""

from .corpus import Document, render_document
from .encoder import Encoder, FloatMatrix, FloatVector, SentenceTransformerEncoder
from .search import Hit, SearchIndex, Signal
from .snapshots import SnapshotInvalid

__all__ = [
    "Document",
    "Encoder",
    "FloatMatrix",
    "FloatVector",
    "Hit",
    "SearchIndex",
    "SentenceTransformerEncoder",
    "Signal",
    "SnapshotInvalid",
    "render_document",
]
