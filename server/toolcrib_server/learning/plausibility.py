"""How plausible search itself finds that an entry answers a query, by the rank it gave it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from toolcrib_registry.types import EntryId

RECALLED: Final = 100
"""How deep an answer is looked through for an entry."""
UNSEEN: Final = 0.1
"""Of an entry that search did not recall."""
_HALF_AT: Final = 20


def plausibility(entry: EntryId, ids: Sequence[EntryId]) -> float:
    """Give 1 for the best hit of a ranking, a half at rank 21, `UNSEEN` for one not in it."""
    return 1 / (1 + ids.index(entry) / _HALF_AT) if entry in ids else UNSEEN
