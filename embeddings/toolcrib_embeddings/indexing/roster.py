"""Which entry stands in which row of an index, and which rows a search may look at.

Rows are ordered by id, so that an index depends on what it holds and not on how it came to.
"""

from __future__ import annotations

import itertools
import threading
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.documents.corpus import Document
from toolcrib_embeddings.documents.needs import NO_FACTS, Facts
from toolcrib_embeddings.documents.needs_graph import Member
from toolcrib_embeddings.documents.needs_links import Links, names_abroad
from toolcrib_embeddings.documents.words import split_words
from toolcrib_registry.types import EntryId, EntryKind, Revision

from .labels import CODES, KINDS, NO_SERVER, Label, Labels
from .scope import EVERYTHING, Scope

_REMEMBERED_SCOPES: Final = 64
_UNREAD: Final = -1


@dataclass(frozen=True, slots=True)
class Move:
    """How the rows of a changed roster come from the old ones and from the newcomers.

    ``source[row]`` is an old row, or the old size plus a place in ``newcomers``.
    """

    roster: Roster
    source: NDArray[np.intp]
    newcomers: tuple[int, ...]
    """Which of the upserts got a row: the last one for each id."""


class Roster:
    """An immutable table of rows."""

    def __init__(self, ids: Sequence[EntryId], labels: Labels, links: Links | None = None) -> None:
        """Take rows that are sorted by id already; see `empty` and `load`."""
        self.ids = tuple(ids)
        self.rows: Mapping[EntryId, int] = dict(zip(self.ids, range(len(self.ids)), strict=True))
        self._labels = labels
        self._masks: dict[Scope, NDArray[np.bool_]] = {}
        self._links = links or Links()
        self._names: dict[tuple[int, str], int] = {}
        self._name_codes = np.full(len(self.ids), _UNREAD, dtype=np.int32)
        self._rows_by_name: Mapping[str, Sequence[int]] | None = None
        self._lock = threading.Lock()

    @classmethod
    def empty(cls) -> Roster:
        """Return a roster of no row."""
        return cls((), Labels.of((), (), ()))

    def dump(self) -> dict[str, list[Any]]:
        """Render it as JSON data."""
        names = self._labels.server_names
        return {
            "ids": list(self.ids),
            "kinds": [KINDS[int(code)].value for code in self._labels.kinds],
            "servers": [None if c == NO_SERVER else names[c] for c in self._labels.servers],
            "labels": [list(label) for label in self._labels.others],
        }

    @classmethod
    def load(cls, data: Mapping[str, list[Any]]) -> Roster:
        """Read what `dump` gave."""
        kinds = [EntryKind(kind) for kind in data["kinds"]]
        labels = [
            Label(
                name,
                tuple(tags),
                read_only,
                destructive,
                tuple(depends_on),
                Facts.load(facts),
                *others,
            )
            for name, tags, read_only, destructive, depends_on, facts, *others in data["labels"]
        ]
        return cls(data["ids"], Labels.of(kinds, data["servers"], labels))

    def __len__(self) -> int:
        return len(self.ids)

    def after(self, upserts: Sequence[Document], removals: Collection[EntryId]) -> Move:
        """Tell what becomes of the rows; an id both removed and upserted stays."""
        last = {document.id: number for number, document in enumerate(upserts)}
        kept = np.ones(len(self), dtype=np.bool_)
        kept[[self.rows[id_] for id_ in {*last, *removals} if id_ in self.rows]] = False
        ids = sorted([*itertools.compress(self.ids, kept), *last])
        arrived = np.array([bisect_left(ids, id_) for id_ in last], dtype=np.intp)
        stayed = np.ones(len(ids), dtype=np.bool_)
        stayed[arrived] = False
        source = np.empty(len(ids), dtype=np.intp)
        source[stayed] = np.flatnonzero(kept)
        source[arrived] = len(self) + np.arange(len(last))
        newcomers = tuple(last.values())
        labels = self._labels.followed_by([upserts[number] for number in newcomers]).rows(source)
        left = (self._labels.server(self.rows[id_]) for id_ in removals if id_ in self.rows)
        moved = (self._labels.server(self.rows[id_]) for id_ in last if id_ in self.rows)
        changed = {*left, *moved, *(upserts[number].server for number in newcomers)}
        return Move(Roster(ids, labels, self._links.without(changed)), source, newcomers)

    def take_ids(self, rows: NDArray[np.intp]) -> tuple[EntryId, ...]:
        """Return the ids of rows, in their order."""
        return tuple(map(self.ids.__getitem__, rows.tolist()))

    def revisions(self) -> dict[EntryId, Revision]:
        """Tell for each row which change last touched it, as it is here."""
        labels = zip(self.ids, self._labels.others, strict=True)
        return {id_: Revision(label.revision) for id_, label in labels}

    def label(self, row: int) -> Label:
        """Return what is known of a row."""
        return self._labels.others[row]

    def name_codes(self, rows: NDArray[np.intp]) -> NDArray[np.int32]:
        """Return a number for kind and name of each row; remembered.

        Rows whose names differ in case and punctuation alone have the same.
        """
        codes = self._name_codes[rows]
        if codes.min(initial=0) == _UNREAD:
            with self._lock:
                unread: list[int] = rows[codes == _UNREAD].tolist()
                for row in unread:
                    plain = " ".join(split_words(self._labels.others[row].local_name)).lower()
                    name = (int(self._labels.kinds[row]), plain)
                    self._name_codes[row] = self._names.setdefault(name, len(self._names))
            codes = self._name_codes[rows]
        return codes

    def server_codes(self, rows: NDArray[np.intp]) -> NDArray[np.int32]:
        """Return a number for the server of each row; rows of one server have the same."""
        return self._labels.servers[rows]

    def needs(self, row: int) -> list[tuple[int, str]]:
        """Tell which rows a row needs by what the schemas say, and why, the surest first.

        A live server's tools need tools of that server alone; see `find_named` for imported ones.
        """
        server, label = self._labels.server(row), self._labels.others[row]
        if server is None or label.facts == NO_FACTS:
            return []
        read = partial(self._members, int(self._labels.servers[row]))
        found = {
            self.rows[id_]: why
            for id_, why in self._links.find(server, self.ids[row], read)
            if id_ in self.rows
        }
        for name, why in names_abroad(label.facts) if label.imported else ():
            abroad = self.find_named(name, near=row)
            if abroad is not None and abroad != row and not self._labels.others[abroad].destructive:
                found.setdefault(abroad, why)
        return list(found.items())

    def _members(self, server: int) -> list[tuple[EntryId, Member]]:
        tools = self._labels.kinds == CODES[EntryKind.TOOL]
        rows = np.flatnonzero(tools & (self._labels.servers == server)).tolist()
        labels = ((row, self._labels.others[row]) for row in rows)
        return [
            (self.ids[row], Member(one.local_name, one.facts, one.destructive is True))
            for row, one in labels
        ]

    def find_named(self, name: str, *, near: int) -> int | None:
        """Find the row that the row ``near`` means by a name, local or public.

        A live server can name its own entries alone: what another one lists is not its to
        recommend. Entries of imported files may name each other, where the name is no other's.
        """
        rows = self._named().get(name, ())
        own = [row for row in rows if self._labels.servers[row] == self._labels.servers[near]]
        if not own and self._labels.others[near].imported:
            own = [row for row in rows if self._labels.others[row].imported]
        return own[0] if len(own) == 1 else None

    def _named(self) -> Mapping[str, Sequence[int]]:
        with self._lock:
            if self._rows_by_name is None:
                names: dict[str, list[int]] = {}
                for row, (id_, label) in enumerate(zip(self.ids, self._labels.others, strict=True)):
                    public = id_.partition(":")[2]
                    for name in {label.local_name, public}:
                        names.setdefault(name, []).append(row)
                self._rows_by_name = names
            return self._rows_by_name

    def mask(self, scope: Scope) -> NDArray[np.bool_] | None:
        """Which rows are in scope; None when all are. Read-only; remembered."""
        if scope == EVERYTHING:
            return None
        with self._lock:
            if scope not in self._masks:
                if len(self._masks) >= _REMEMBERED_SCOPES:
                    self._masks.clear()
                self._masks[scope] = self._compute_mask(scope)
            return self._masks[scope]

    def _compute_mask(self, scope: Scope) -> NDArray[np.bool_]:
        mask = self._labels.mask(scope)
        if (ids := scope.ids) is not None:
            mask &= np.array([id_ in ids for id_ in self.ids], dtype=np.bool_)
        return mask
