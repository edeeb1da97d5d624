"""Looks at what the product holds, from outside, and says where it is not what it must be.

Reads only: the catalogue, the change log, the stored vectors and the search indexes.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from toolcrib_embeddings import SearchIndex, render_document
from toolcrib_embeddings.documents.representation import DEFAULT_REPRESENTATION
from toolcrib_embeddings.encoding.encoder import Encoder
from toolcrib_embeddings.hits import LEXICAL
from toolcrib_embeddings.vectors import FloatVector
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    Change,
    ChangeAction,
    Entry,
    EntryId,
    OwnedEntry,
    Revision,
    Server,
    Trust,
)

from .model import Held, Id, Noted, Outcome, ServerHeld, canonical

_SWITCHES = {ChangeAction.ENABLED, ChangeAction.DISABLED}


class Divergence(AssertionError):
    """The product is not as the model has it."""


def require(condition: object, message: str) -> None:
    if not condition:
        raise Divergence(message)


@dataclass(frozen=True, slots=True)
class Actual:
    """What the database holds."""

    servers: Mapping[str, Server]
    entries: Mapping[Id, Entry]
    head: Revision

    def of_server(self, name: str) -> dict[Id, OwnedEntry]:
        owned = (e for e in self.entries.values() if isinstance(e, OwnedEntry))
        return {entry.id: entry for entry in owned if entry.server == name}


def read(store: Store) -> Actual:
    entries: dict[Id, Entry] = {e.id: e for e in store.list_entries(limit=100_000).items}
    servers: dict[str, Server] = {s.name: s for s in store.list_servers().items}
    return Actual(servers, entries, store.head())


# --- the catalogue -----------------------------------------------------------------------------


def difference(name: str, expected: Outcome, actual: Actual, noted: Sequence[Noted]) -> str | None:
    """Say what is wrong with a server, if it must be as expected; None when it is."""
    server, found = actual.servers.get(name), actual.of_server(name)
    wanted = expected.server
    if wanted is None or server is None:
        if (wanted is None) != (server is None):
            return f"{name} is {'not ' if server is None else ''}registered"
        fault = f"entries of {name} outlived it: {sorted(found)}" if found else None
    else:
        fault = _settings_fault(wanted, server) or _entries_fault(wanted.entries, found)
    return fault or _noted_fault(expected.noted, noted)


def _settings_fault(wanted: ServerHeld, server: Server) -> str | None:
    if server.enabled is not wanted.enabled:
        return f"{server.name} is enabled={server.enabled}"
    if server.on_change.value != wanted.policy.value:
        return f"{server.name} has policy {server.on_change}, must have {wanted.policy}"
    if server.health.status.value != wanted.status.value:
        return f"{server.name} is {server.health.status}, must be {wanted.status}"
    return None


def _entries_fault(wanted: Mapping[Id, Held], found: Mapping[Id, OwnedEntry]) -> str | None:
    if wanted.keys() != found.keys():
        missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
        return f"missing {missing}, must not be there {extra}"
    faults = (_entry_fault(held, found[id_]) for id_, held in wanted.items())
    return next((fault for fault in faults if fault), None)


def _entry_fault(held: Held, entry: OwnedEntry) -> str | None:
    if canonical(entry.definition) != held.said:
        return f"{entry.id} says {canonical(entry.definition)}, its server says {held.said}"
    if entry.enabled is not held.enabled:
        return f"{entry.id} is enabled={entry.enabled}"
    if entry.trust.value != held.trust.value:
        marks = [str(mark.reason) for mark in entry.marks]
        return f"{entry.id} is {entry.trust} ({marks}), must be {held.trust}"
    pin = hashlib.sha256(held.pinned.encode()).hexdigest()
    if (entry.pinned_hash or entry.content_hash) != pin:
        return f"{entry.id} is not pinned to what was first listed or approved"
    return None


def _noted_fault(wanted: Sequence[Noted], noted: Sequence[Noted]) -> str | None:
    short, extra = Counter(wanted) - Counter(noted), Counter(noted) - Counter(wanted)
    if short or extra:
        return f"the log lacks {list(short)} and has {list(extra)} too many"
    return None


# --- the change log ----------------------------------------------------------------------------


@dataclass(slots=True)
class Replay:
    """The catalogue as the change log alone tells it, kept up by reading on."""

    revision: int = 0
    bodies: dict[Id, Any] = field(default_factory=dict[Id, Any])
    """What each entry says, by the last change of it."""
    servers: dict[str, Any] = field(default_factory=dict[str, Any])
    touched: dict[Id, int] = field(default_factory=dict[Id, int])
    enabled: dict[Id, bool] = field(default_factory=dict[Id, bool])
    departed: dict[Id, bool] = field(default_factory=dict[Id, bool])
    """Whether what is gone was on: what replaces it is so too, and so is it when it is back."""
    owners: dict[Id, str] = field(default_factory=dict[Id, str])
    quarantined: set[Id] = field(default_factory=set[Id])

    def read_on(self, store: Store) -> list[Change]:
        changes = list(store.list_changes(since=Revision(self.revision), limit=1_000_000))
        for change in changes:
            self._take(change)
        return changes

    def _take(self, change: Change) -> None:
        self.revision += 1
        where = f"r{change.revision} {change.action} {change.subject}"
        require(change.revision == self.revision, f"{where}: must be r{self.revision}")
        if change.subject.startswith("server:"):
            self._take_server(change, where)
            return
        known = self.bodies.get(change.subject)
        self.touched[change.subject] = change.revision
        if change.action in _SWITCHES:
            self._take_switch(change, where)
        elif change.action is ChangeAction.APPROVED or change.fields == ("marks",):
            self._take_judgement(change, where)
        elif change.action is ChangeAction.REMOVED:
            require(known is not None, f"{where}: was not there")
            require(_same(change.before, known), f"{where}: before is not what it said")
            require(change.after is None, f"{where}: has something after")
            del self.bodies[change.subject], self.touched[change.subject]
            self.departed[change.subject] = self.enabled.pop(change.subject, True)
            self.owners[change.subject] = str(change.server)
            self.quarantined.discard(change.subject)
        else:
            self._take_content(change, known, where)

    def _take_content(self, change: Change, known: Any, where: str) -> None:
        require(_same(change.before, known), f"{where}: before is not what it said")
        require(
            change.action is not ChangeAction.ADDED or known is None, f"{where}: was there already"
        )
        require(
            change.action is not ChangeAction.UPDATED or known is not None,
            f"{where}: was not there",
        )
        require(change.after is not None, f"{where}: has nothing after")
        if known is not None and change.action is ChangeAction.UPDATED:
            said = {key for key in {*known, *(change.after or {})} if key not in change.fields}
            kept = all(_same(known.get(k), (change.after or {}).get(k)) for k in said)
            require(kept, f"{where}: fields {change.fields} do not name all that differs")
        if known is None:
            was = change.related or change.subject
            self.enabled[change.subject] = self.departed.get(was, True)
        self.bodies[change.subject] = change.after
        self._set_aside(change)

    def _take_judgement(self, change: Change, where: str) -> None:
        require(change.subject in self.bodies, f"{where}: was not there")
        require(change.before != change.after, f"{where}: changes nothing")
        self._set_aside(change)

    def _set_aside(self, change: Change) -> None:
        if change.action is ChangeAction.QUARANTINED:
            self.quarantined.add(change.subject)
        else:
            self.quarantined.discard(change.subject)

    def _take_switch(self, change: Change, where: str) -> None:
        require(change.subject in self.bodies, f"{where}: was not there")
        on = change.action is ChangeAction.ENABLED
        require(self.enabled.get(change.subject, True) is not on, f"{where}: was so already")
        self.enabled[change.subject] = on

    def _take_server(self, change: Change, where: str) -> None:
        known = self.servers.get(change.subject)
        require(_same(change.before, known), f"{where}: before is not what it was")
        if change.action is ChangeAction.REMOVED:
            del self.servers[change.subject]
            for id_ in [id_ for id_, owner in self.owners.items() if owner == change.server]:
                del self.owners[id_], self.departed[id_]
        else:
            self.servers[change.subject] = change.after


def check_log(replay: Replay, actual: Actual) -> None:
    """The log, replayed from its beginning, gives the catalogue and nothing else."""
    require(replay.revision == actual.head, f"the log ends at r{replay.revision}, not its head")
    require(
        replay.bodies.keys() == actual.entries.keys(),
        f"the log tells of {sorted(replay.bodies.keys() ^ actual.entries.keys())} otherwise",
    )
    registered = {f"server:{name}" for name in actual.servers}
    require(replay.servers.keys() == registered, "the log tells of other servers")
    for id_, entry in actual.entries.items():
        last = replay.touched[id_]
        require(entry.revision == last, f"{id_} is at r{entry.revision}, last changed at r{last}")
        if isinstance(entry, OwnedEntry):
            said = _same(replay.bodies[id_], entry.definition)
            require(said, f"the log's last word on {id_} is not what it says")
            aside = entry.trust is Trust.QUARANTINED
            require(
                aside == (id_ in replay.quarantined), f"{id_} is {entry.trust} unknown to the log"
            )
            on = replay.enabled.get(id_, True)
            require(entry.enabled is on, f"{id_} is switched unknown to the log")


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


# --- vectors and indexes -----------------------------------------------------------------------


class Rendering:
    """What must be embedded for an entry, and to which vectors; remembered by content."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._known: dict[tuple[Id, str], tuple[FloatVector, dict[str, bytes]]] = {}

    def of(self, entry: Entry) -> tuple[FloatVector, dict[str, bytes]]:
        """The vector of an entry, and the stored ones that it is made of, by text hash."""
        key = (entry.id, entry.content_hash)
        if key not in self._known:
            self._known[key] = self._render(entry)
        return self._known[key]

    def _render(self, entry: Entry) -> tuple[FloatVector, dict[str, bytes]]:
        parts = DEFAULT_REPRESENTATION.parts(render_document(entry))
        rows = {part.text_hash: self.encoder.encode([part.text])[0] for part in parts}
        raw = {key: row.astype("<f4").tobytes() for key, row in rows.items()}
        return DEFAULT_REPRESENTATION.combine(parts, rows), raw


def check_vectors(store: Store, entries: Iterable[Entry], rendering: Rendering) -> None:
    """Every text that search needs has its vector stored, and the right one."""
    wanted: dict[str, bytes] = {}
    for entry in entries:
        wanted |= rendering.of(entry)[1]
    stored = store.get_embeddings(rendering.encoder.id, tuple(wanted))
    lost = wanted.keys() - stored.keys()
    require(not lost, f"{len(lost)} of {len(wanted)} vectors are not stored")
    require(stored == wanted, "a stored vector is not that of its text")


def check_index(
    index: SearchIndex, actual: Actual, wanted: Iterable[Id], rendering: Rendering, who: str
) -> frozenset[Id]:
    """The index holds what must be findable, at the head of the log, and with the right vectors.

    Returns those that have no vector at all, and are found by their words alone.
    """
    require(
        index.revision == actual.head, f"{who}: index at r{index.revision}, log at r{actual.head}"
    )
    odd = set(wanted) ^ set(index.ids())
    require(not odd, f"{who}: the index differs from what must be findable by {sorted(odd)}")
    dense, lacking = index._state.dense, set[Id]()
    for id_ in wanted:
        found = dense.vectors[dense.roster.rows[EntryId(id_)]]
        if not found.any():
            lacking.add(id_)
            continue
        vector, _ = rendering.of(actual.entries[id_])
        require(np.allclose(found, vector, atol=1e-6), f"{who}: {id_} has another vector")
    return frozenset(lacking)


def check_found(index: SearchIndex, word: str, owner: Id | None, who: str) -> None:
    """A word that one entry has finds this one by it; a word that none has any more, nothing."""
    hits = index.search(word, k=100).hits
    by_word = [hit.id for hit in hits if LEXICAL in hit.signals]
    wanted = [owner] if owner else []
    require(by_word == wanted, f"{who}: {word!r} finds {by_word}, must find {wanted}")
