"""What is known of the rows of an index beside their ids: kinds and servers, names, facts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.documents.corpus import Document
from toolcrib_embeddings.documents.needs import NO_FACTS, Facts
from toolcrib_registry.types import EntryKind, ServerName

from .scope import Scope

KINDS: Final = tuple(EntryKind)
CODES: Final = {kind: code for code, kind in enumerate(KINDS)}
"""The number of each kind."""
NO_SERVER: Final = -1
"""The number of the server of what has none."""


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
class Labels:
    """What is known of each row; kinds and servers as numbers. Immutable."""

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
    ) -> Labels:
        """Make one of a row's values each; servers in ``known`` have their numbers already."""
        codes: dict[ServerName | None, int] = {name: code for code, name in enumerate(known)}
        listed = [NO_SERVER if s is None else codes.setdefault(s, len(codes)) for s in servers]
        return cls(
            np.array([CODES[kind] for kind in kinds], dtype=np.uint8),
            np.array(listed, dtype=np.int32),
            tuple(name for name in codes if name is not None),
            tuple(others),
        )

    def followed_by(self, upserts: Sequence[Document]) -> Labels:
        """Append rows of documents."""
        new = Labels.of(
            [document.kind for document in upserts],
            [document.server for document in upserts],
            [_label_of(document) for document in upserts],
            known=self.server_names,
        )
        kinds = np.concatenate((self.kinds, new.kinds))
        servers = np.concatenate((self.servers, new.servers))
        return Labels(kinds, servers, new.server_names, (*self.others, *new.others))

    def rows(self, source: NDArray[np.intp]) -> Labels:
        """Take the given rows, in the given order."""
        others = tuple(map(self.others.__getitem__, source.tolist()))
        return Labels(self.kinds[source], self.servers[source], self.server_names, others)

    def server(self, row: int) -> ServerName | None:
        """Name the server of a row, if it has one."""
        code = int(self.servers[row])
        return None if code == NO_SERVER else self.server_names[code]

    def mask(self, scope: Scope) -> NDArray[np.bool_]:
        """Tell which rows are in scope, whatever ids it names."""
        mask = np.ones(len(self.others), dtype=np.bool_)
        if scope.kinds is not None:
            mask &= np.isin(self.kinds, [CODES[kind] for kind in scope.kinds])
        if (servers := scope.servers) is not None:
            wanted = [code for code, name in enumerate(self.server_names) if name in servers]
            mask &= np.isin(self.servers, wanted)
        if scope.tags is not None or scope.read_only is not None or scope.destructive is not None:
            mask &= np.array([_fits(label, scope) for label in self.others], dtype=np.bool_)
        return mask


def _fits(label: Label, scope: Scope) -> bool:
    return (
        (scope.tags is None or scope.tags <= set(label.tags))
        and (scope.read_only is None or (label.read_only is True) == scope.read_only)
        and (scope.destructive is None or label.destroys == scope.destructive)
    )


def _label_of(document: Document) -> Label:
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
