"""Which entry stands in which row of an index, and which rows a search may look at.

Rows are ordered by id, so that an index depends on what it holds and not on how it came to.
"""

from __future__ import annotations

import itertools
import threading
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.documents.corpus import Document
from toolcrib_embeddings.documents.needs import NO_FACTS, Facts
from toolcrib_embeddings.documents.needs_graph import Member
from toolcrib_embeddings.documents.needs_links import Links, names_abroad
from toolcrib_embeddings.documents.words import split_words
from toolcrib_registry.types import EntryId, EntryKind, Revision, ServerName

_KINDS: Final = tuple(EntryKind)
_NO_SERVER: Final = -1
_REMEMBERED_SCOPES: Final = 64


@dataclass(frozen=True, slots=True)
class Scope:
    """What a search may find; None is everything."""

    kinds: frozenset[EntryKind] | None = None
    servers: frozenset[ServerName] | None = None
    tags: frozenset[str] | None = None
    """All of them must be on the entry."""
    read_only: bool | None = None
    """True leaves what says that it only reads, False the rest."""
    destructive: bool | None = None
    """False leaves what says that it destroys nothing, or only reads; True the rest."""
    ids: frozenset[EntryId] | None = None
    """Only these entries."""

    @classmethod
    def of(
        cls,
        *,
        kinds: Collection[EntryKind] | None = None,
        servers: Collection[ServerName] | None = None,
        tags: Collection[str] | None = None,
        read_only: bool | None = None,
        destructive: bool | None = None,
        ids: Collection[EntryId] | None = None,
    ) -> Scope:
        """Build one from any collections."""
        return cls(
            None if kinds is None else frozenset(kinds),
            None if servers is None else frozenset(servers),
            None if tags is None else frozenset(tags),
            read_only,
            destructive,
            None if ids is None else frozenset(ids),
        )


EVERYTHING: Final = Scope()


@dataclass(frozen=True, slots=True)
class Move:
    """How the rows of a changed roster come from the old ones and from the newcomers.

    ``source[row]`` is an old row, or the old size plus a place in ``newcomers``.
    """

    roster: Roster
    source: NDArray[np.intp]
    newcomers: tuple[int, ...]
    """Which of the upserts got a row: the last one for each id."""


class Label(NamedTuple):
    """What is known of a row beside its kind and server."""

    local_name: str
    tags: tuple[str, ...] = ()
    read_only: bool | None = None
    destructive: bool | None = None
    depends_on: tuple[str, ...] = ()
    facts: Facts = NO_FACTS
    imported: bool = False
    added_at_s: float = 0.0
    revision: int = 0
    """The change that last touched the entry, as it is here."""

    @property
    def destroys(self) -> bool:
        """Whether it may destroy something, as MCP reads silence: yes, unless it only reads."""
        return self.destructive is not False and self.read_only is not True


@dataclass(frozen=True, slots=True)
class _Labels:
    """What rows are filtered by; kinds and servers as numbers."""

    kinds: NDArray[np.uint8]
    servers: NDArray[np.int32]
    server_names: tuple[ServerName, ...]
    others: tuple[Label, ...]

    @classmethod
    def of(
        cls,
        kinds: Iterable[EntryKind],
        servers: Iterable[ServerName | None],
        others: Iterable[Label],
        *,
        known: Sequence[ServerName] = (),
    ) -> _Labels:
        codes: dict[ServerName | None, int] = {name: code for code, name in enumerate(known)}
        listed = [_NO_SERVER if s is None else codes.setdefault(s, len(codes)) for s in servers]
        return cls(
            np.array([_KINDS.index(kind) for kind in kinds], dtype=np.uint8),
            np.array(listed, dtype=np.int32),
            tuple(name for name in codes if name is not None),
            tuple(others),
        )

    def followed_by(self, upserts: Sequence[Document]) -> _Labels:
        new = _Labels.of(
            [document.kind for document in upserts],
            [document.server for document in upserts],
            [_label(document) for document in upserts],
            known=self.server_names,
        )
        kinds = np.concatenate((self.kinds, new.kinds))
        servers = np.concatenate((self.servers, new.servers))
        return _Labels(kinds, servers, new.server_names, (*self.others, *new.others))

    def rows(self, source: NDArray[np.intp]) -> _Labels:
        others = tuple(map(self.others.__getitem__, source.tolist()))
        return _Labels(self.kinds[source], self.servers[source], self.server_names, others)


def _label(document: Document) -> Label:
    return Label(
        document.local_name or document.name,
        document.tags,
        document.read_only,
        document.destructive,
        document.depends_on,
        document.facts,
        document.imported,
        document.added_at_s,
        document.revision,
    )


class Roster:
    """An immutable table of rows."""

    def __init__(self, ids: Sequence[EntryId], labels: _Labels, links: Links | None = None) -> None:
        """Take rows that are sorted by id already; see `empty` and `load`."""
        self.ids = tuple(ids)
        self.rows: Mapping[EntryId, int] = dict(zip(self.ids, range(len(self.ids)), strict=True))
        self._labels = labels
        self._masks: dict[Scope, NDArray[np.bool_]] = {}
        self._links = links or Links()
        self._plain_names: dict[int, str] = {}
        self._rows_by_name: Mapping[str, Sequence[int]] | None = None
        self._lock = threading.Lock()

    @classmethod
    def empty(cls) -> Roster:
        """Return a roster of no row."""
        return cls((), _Labels.of((), (), ()))

    def dump(self) -> dict[str, list[Any]]:
        """Render it as JSON data."""
        names = self._labels.server_names
        return {
            "ids": list(self.ids),
            "kinds": [_KINDS[int(code)].value for code in self._labels.kinds],
            "servers": [None if c == _NO_SERVER else names[c] for c in self._labels.servers],
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
        return cls(data["ids"], _Labels.of(kinds, data["servers"], labels))

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
        left = (self._server_of(self.rows[id_]) for id_ in removals if id_ in self.rows)
        moved = (self._server_of(self.rows[id_]) for id_ in last if id_ in self.rows)
        changed = {*left, *moved, *(upserts[number].server for number in newcomers)}
        return Move(Roster(ids, labels, self._links.without(changed)), source, newcomers)

    def revisions(self) -> dict[EntryId, Revision]:
        """Tell for each row which change last touched it, as it is here."""
        labels = zip(self.ids, self._labels.others, strict=True)
        return {id_: Revision(label.revision) for id_, label in labels}

    def label(self, row: int) -> Label:
        """Return what is known of a row."""
        return self._labels.others[row]

    def plain_name(self, row: int) -> str:
        """Return a row's name without case and punctuation; remembered."""
        name = self._plain_names.get(row)
        if name is None:
            name = " ".join(split_words(self._labels.others[row].local_name)).lower()
            self._plain_names[row] = name
        return name

    def server_codes(self, rows: NDArray[np.intp]) -> NDArray[np.int32]:
        """Return a number for the server of each row; rows of one server have the same."""
        return self._labels.servers[rows]

    def _server_of(self, row: int) -> ServerName | None:
        code = int(self._labels.servers[row])
        return None if code == _NO_SERVER else self._labels.server_names[code]

    def needs(self, row: int) -> list[tuple[int, str]]:
        """Tell which rows a row needs by what the schemas say, and why, the surest first.

        A live server's tools need tools of that server alone; see `find_named` for imported ones.
        """
        server, label = self._server_of(row), self._labels.others[row]
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
        tools = self._labels.kinds == _KINDS.index(EntryKind.TOOL)
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
        mask = np.ones(len(self), dtype=np.bool_)
        if scope.kinds is not None:
            mask &= np.isin(self._labels.kinds, [_KINDS.index(kind) for kind in scope.kinds])
        if scope.servers is not None:
            names = self._labels.server_names
            mask &= np.isin(
                self._labels.servers, [c for c, name in enumerate(names) if name in scope.servers]
            )
        if (ids := scope.ids) is not None:
            mask &= np.array([id_ in ids for id_ in self.ids], dtype=np.bool_)
        if scope.tags is not None or scope.read_only is not None or scope.destructive is not None:
            mask &= np.array([_fits(label, scope) for label in self._labels.others], dtype=np.bool_)
        return mask


def _fits(label: Label, scope: Scope) -> bool:
    return (
        (scope.tags is None or scope.tags <= set(label.tags))
        and (scope.read_only is None or (label.read_only is True) == scope.read_only)
        and (scope.destructive is None or label.destroys == scope.destructive)
    )
