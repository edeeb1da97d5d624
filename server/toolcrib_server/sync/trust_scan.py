"""Scans what is in the registry with today's rules, and writes what it finds as marks.

What a person approved as it stands is reported and left alone; what changed since the last scan is
a change in the log like any other. Blocks; runs in a worker thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    Change,
    ChangeAction,
    ChangePolicy,
    EntryId,
    EntryKind,
    JsonObject,
    Mark,
    OwnedEntry,
    Revision,
    ServerName,
    Tool,
    Trust,
    hash_content,
)
from toolcrib_server.scan import Finding, Severity, scan_definition, scan_text

from .trust import Evidence, rejudge
from .trust_neighbours import Resemblance
from .trust_past import MARKS_ALONE, is_pin_approved
from .trust_review import TrustReview

_HISTORY: Final = 1_000
_HOPS: Final = 5
_WRITE_BATCH: Final = 500

Progress = Callable[[int, int], None]
"""Called with (entries scanned so far, entries to scan)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """What a scan found of one entry, or of a server's instructions (then without an id)."""

    id: EntryId | None
    name: str
    server: ServerName
    findings: tuple[Finding, ...] = ()
    resemblance: Resemblance | None = None
    approved: bool = False
    """Whether a person approved it as it stands: then nothing is written."""

    @property
    def is_suspect(self) -> bool:
        """Whether there is more than what is merely odd, and nobody approved it."""
        found = any(finding.severity is not Severity.LOW for finding in self.findings)
        return (found or self.resemblance is not None) and not self.approved


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanReport:
    """What a scan of the registry found and wrote."""

    scanned: int
    found: tuple[Scanned, ...]
    changes: tuple[Change, ...] = ()
    twins: int = 0
    """Tools that another server lists with the same words: the same software twice."""

    @property
    def suspects(self) -> int:
        """How many entries and instructions want a look."""
        return sum(one.is_suspect for one in self.found)

    @property
    def quarantined(self) -> int:
        """How many entries the scan set aside."""
        return sum(change.action is ChangeAction.QUARANTINED for change in self.changes)


def scan_registry(
    store: Store,
    review: TrustReview,
    *,
    names: Sequence[str] = (),
    server: ServerName | None = None,
    actor: str,
    on_progress: Progress | None = None,
) -> ScanReport:
    """Scan the named entries, those of a server, or all, with the servers' instructions.

    Raises:
        NotFound: An entry or the server is not there.
    """
    entries = _wanted(store, names, server)
    policies = {each.name: each.on_change for each in store.iter_servers()}
    found: list[Scanned] = []
    judged: dict[EntryId, tuple[Trust, tuple[Mark, ...]]] = {}
    twins = 0
    for done, entry in enumerate(entries, start=1):
        scanned = _scan(store, review, entry)
        twins += isinstance(entry, Tool) and bool(review.twins(entry))
        if scanned.findings or scanned.resemblance is not None:
            found.append(scanned)
        if not scanned.approved:
            judged |= _judged(entry, scanned, policies.get(entry.server, ChangePolicy.MARK))
        if on_progress:
            on_progress(done, len(entries))
    if not names:
        found += _instructions(store, server)
    seen = {entry.id: entry.revision for entry in entries}
    changes = tuple(_write(store, judged, seen, actor))
    return ScanReport(scanned=len(entries), found=tuple(found), changes=changes, twins=twins)


def find_pinned(store: Store, entry: OwnedEntry) -> JsonObject | None:
    """Find what an entry said when it was first listed or last approved, in the change log.

    Follows renames back. None when the log does not hold it.
    """
    if entry.content_hash == entry.pinned_hash:
        return entry.definition
    subject: str | None = entry.id
    for _ in range(_HOPS):
        if subject is None:
            return None
        history = store.last_changes(subject=subject, limit=_HISTORY)
        for said in _said(reversed(history)):
            if hash_content(said) == entry.pinned_hash:
                return said
        subject = next((c.related for c in history if c.related and c.after is not None), None)
    return None


def _said(history: Iterable[Change]) -> Iterator[JsonObject]:
    for change in history:
        if change.fields != MARKS_ALONE and change.action is not ChangeAction.APPROVED:
            yield from (said for said in (change.after, change.before) if said is not None)


def _wanted(store: Store, names: Sequence[str], server: ServerName | None) -> list[OwnedEntry]:
    if names:
        every = (store.get_named(name) for name in dict.fromkeys(names))
        return [entry for entry in every if isinstance(entry, OwnedEntry)]
    if server is not None:
        ids = list(store.entry_hashes(store.get_server(server).name))
        every = store.get_entries(ids).values()
        return [entry for entry in every if isinstance(entry, OwnedEntry)]
    return [
        entry
        for kind in EntryKind
        if kind is not EntryKind.MODEL
        for entry in store.iter_entries(kind=kind)
        if isinstance(entry, OwnedEntry)
    ]


def _scan(store: Store, review: TrustReview, entry: OwnedEntry) -> Scanned:
    findings = scan_definition(entry.definition)
    resemblance = review.resemblance(entry) if isinstance(entry, Tool) else None
    approved = False
    if findings or resemblance is not None:
        approved = entry.content_hash == entry.pinned_hash and is_pin_approved(store, entry)
    return Scanned(
        id=entry.id,
        name=entry.name,
        server=entry.server,
        findings=findings,
        resemblance=resemblance,
        approved=approved,
    )


def _judged(
    entry: OwnedEntry, scanned: Scanned, policy: ChangePolicy
) -> Mapping[EntryId, tuple[Trust, tuple[Mark, ...]]]:
    evidence = Evidence(findings=scanned.findings, resemblance=scanned.resemblance)
    trust, marks = rejudge(entry, evidence, policy)
    return {} if (trust, marks) == (entry.trust, entry.marks) else {entry.id: (trust, marks)}


def _instructions(store: Store, only: ServerName | None) -> Iterator[Scanned]:
    for server in store.iter_servers():
        text = server.health.instructions
        if text and only in {None, server.name} and (findings := scan_text(text)):
            yield Scanned(
                id=None, name=f"server:{server.name}", server=server.name, findings=findings
            )


def _write(
    store: Store,
    judged: Mapping[EntryId, tuple[Trust, tuple[Mark, ...]]],
    seen: Mapping[EntryId, Revision],
    actor: str,
) -> Iterator[Change]:
    ids = sorted(judged)
    for start in range(0, len(ids), _WRITE_BATCH):
        batch = {id_: judged[id_] for id_ in ids[start : start + _WRITE_BATCH]}
        # What a sync wrote meanwhile is something else, which that sync has judged.
        yield from store.set_marks(batch, actor=actor, seen=seen)
