"""The token vectors of all entries of an index: most of them mapped from its snapshot, not read in.

Immutable: a change makes a new table that shares all that stayed. Knows ids and rows of bytes; how
they are made and what they say is for others.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.encoding.tokens import MOST_PIECES, TokenMatrix, pieces
from toolcrib_registry.types import EntryId

from .snapshots import Mapped

BASE: Final = "tokens"
"""The part of a snapshot that holds most of the rows, and is mapped."""
BESIDE: Final = "tokens_beside"
"""That of what came since the base was written."""
COUNTS: Final = "token_counts"
"""In how many entries each word piece stands."""
PLACES: Final = "token_places"
"""Which rows are whose, and what made them."""
_DOUBT: Final = 200
"""Entries that the shipped rarity of word pieces counts as, beside those that are here."""
_STEPS: Final = 64
"""Of a weight of 1: weights are whole numbers of these steps, so that sums are exact."""
_MOST_BESIDE: Final = 0.25
"""Of the rows in use: beyond, or with as many in no use, all are written into one base again."""


@dataclass(frozen=True, slots=True)
class Dump:
    """A table as parts of a snapshot."""

    parts: Mapping[str, bytes]
    base: tuple[memoryview, ...]
    """The content of the part that is mapped."""
    digest: str | None
    """The base's, where it is as it was read from a snapshot."""


class TokenTable:
    """Token vectors by entry: views of a base that does not change, and what came since."""

    def __init__(
        self,
        base: TokenMatrix,
        places: Mapping[EntryId, tuple[int, int]],
        beside: Mapping[EntryId, TokenMatrix],
        counts: NDArray[np.int32],
        *,
        digest: str | None = None,
    ) -> None:
        """Hold rows of ``base`` from a place to a place, and whole matrices beside it.

        ``counts`` says in how many entries each word piece stands, ``digest`` is that of the base
        where it stands in a snapshot. Most start from `empty`.
        """
        self._base = base
        self._places = places
        self._beside = beside
        self._counts = counts
        self._digest = digest
        self._weights: NDArray[np.int64] | None = None

    @classmethod
    def empty(cls) -> Self:
        """Return a table of nobody."""
        nothing = np.zeros(MOST_PIECES, dtype=np.int32)
        return cls(np.empty((0, 0), dtype=np.int8), {}, {}, nothing)

    def __len__(self) -> int:
        return len(self._places) + len(self._beside)

    def __contains__(self, id_: object) -> bool:
        return id_ in self._places or id_ in self._beside

    def find(self, id_: EntryId) -> TokenMatrix | None:
        """Return the token vectors of an entry, None where it has none here. Read-only."""
        place = self._places.get(id_)
        return self._beside.get(id_) if place is None else self._base[slice(*place)]

    def updated(
        self, arrivals: Mapping[EntryId, TokenMatrix], gone: Collection[EntryId] = ()
    ) -> TokenTable:
        """Return the table after a change; what both arrives and is gone stays."""
        left = {*arrivals, *gone}
        if not left:
            return self
        places, beside = self._places, self._beside
        if not left.isdisjoint(places):
            places = {id_: place for id_, place in places.items() if id_ not in left}
        beside = {id_: rows for id_, rows in beside.items() if id_ not in left}
        counts = self._counts.copy()
        for id_ in left:
            before = self.find(id_)
            if before is not None:
                counts[np.unique(pieces(before))] -= 1
        if arrivals:
            counts += _count_holders(arrivals)
        return TokenTable(self._base, places, {**beside, **arrivals}, counts, digest=self._digest)

    def weights(self, rarity: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return what each word piece weighs: the rarer among the entries here, the more.

        Inverse document frequency, of these entries and as many as `_DOUBT` of which ``rarity``
        tells. Whole numbers; remembered.
        """
        if self._weights is None:
            held = self._counts[: len(rarity)] + _DOUBT * np.exp(-rarity.astype(np.float64))
            idf = -np.log(held / (len(self) + _DOUBT))
            self._weights = np.rint(_STEPS * np.maximum(idf, 0)).astype(np.int64)
        return self._weights

    def dump(self, token_id: str) -> Dump:
        """Render it for a snapshot. Small changes leave the base as it is; many make a new one."""
        worn = self._digest is None or self._is_worn()
        if worn:
            ids = sorted((*self._places, *self._beside))
            based = {id_: rows for id_ in ids if (rows := self.find(id_)) is not None}
            places, beside = _lay(based), dict[EntryId, TokenMatrix]()
        else:
            based, places = {EntryId(""): self._base}, dict(self._places)
            beside = {id_: self._beside[id_] for id_ in sorted(self._beside)}
        said = {"id": token_id, "width": self._width(), "base": places, "beside": _lay(beside)}
        parts = {
            PLACES: json.dumps(said).encode(),
            BESIDE: b"".join(_content(beside)),
            COUNTS: self._counts.astype("<i4").tobytes(),
        }
        return Dump(parts, _content(based), None if worn else self._digest)

    @classmethod
    def load(cls, token_id: str, parts: Mapping[str, bytes], base: Mapped) -> Self:
        """Read what `dump` gave. The base is not copied.

        Raises:
            ValueError: the parts do not fit together, or are another head's.
        """
        try:
            return cls._load(token_id, parts, base)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"token vectors and their places differ: {error}") from error

    @classmethod
    def _load(cls, token_id: str, parts: Mapping[str, bytes], base: Mapped) -> Self:
        said: Mapping[str, Any] = json.loads(parts[PLACES])
        if said["id"] != token_id:
            raise ValueError(f"they were made by {said['id']}, and {token_id} makes them now")
        rows, beside = (
            np.frombuffer(raw, dtype=np.int8).reshape(-1, said["width"] or 1)
            for raw in (base.content, parts[BESIDE])
        )
        places = {EntryId(id_): _place(place, rows) for id_, place in said["base"].items()}
        others = {
            EntryId(id_): beside[slice(*_place(place, beside))]
            for id_, place in said["beside"].items()
        }
        counts = np.frombuffer(parts[COUNTS], dtype="<i4")
        if len(counts) != MOST_PIECES:
            raise ValueError(f"{len(counts)} word pieces are counted, expected {MOST_PIECES}")
        return cls(rows, places, others, counts, digest=base.digest)

    def _is_worn(self) -> bool:
        beside = sum(map(len, self._beside.values()))
        in_base = sum(end - start for start, end in self._places.values())
        unused = len(self._base) - in_base
        return max(beside, unused) > _MOST_BESIDE * (beside + in_base)

    def _width(self) -> int:
        some = next(iter(self._beside.values()), self._base)
        return some.shape[1]


def _count_holders(matrices: Mapping[EntryId, TokenMatrix]) -> NDArray[np.int32]:
    """Count in how many of these each word piece stands, all at once: thousands arrive together."""
    held = [pieces(rows) for rows in matrices.values()]
    said, owners = np.concatenate(held), np.repeat(np.arange(len(held)), [*map(len, held)])
    # Stable, so that an owner's are side by side; of 16 bits, for which numpy has a radix sort.
    order = np.argsort(said, kind="stable")
    said, owners = said[order], owners[order]
    first = np.ones(len(said), dtype=np.bool_)
    first[1:] = (said[1:] != said[:-1]) | (owners[1:] != owners[:-1])
    return np.bincount(said[first], minlength=MOST_PIECES).astype(np.int32)


def _lay(matrices: Mapping[EntryId, TokenMatrix]) -> dict[EntryId, tuple[int, int]]:
    """Lay matrices one after the other: where each starts and ends."""
    ends = itertools.accumulate(map(len, matrices.values()), initial=0)
    return dict(zip(matrices, itertools.pairwise(ends), strict=True))


def _content(matrices: Mapping[EntryId, TokenMatrix]) -> tuple[memoryview, ...]:
    # Without those of nothing, which cannot be cast.
    return tuple(
        np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data
        for rows in matrices.values()
        if rows.size
    )


def _place(place: Any, rows: TokenMatrix) -> tuple[int, int]:
    start, end = place
    if not 0 <= start <= end <= len(rows):
        raise ValueError(f"rows {start} to {end} of {len(rows)}")
    return start, end
