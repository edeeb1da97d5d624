"""What a change at a server does to the trust in its entries: pure decisions, entry by entry.

The first listing of an entry is pinned. What differs from the pin is applied, marked or quarantined
as its server's policy says; what was read-only and may now destroy is always quarantined. Knows no
store: what an entry was before, what it resembles and what a scan found are given.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from toolcrib_registry.types import (
    ChangePolicy,
    Entry,
    EntryId,
    EntryKind,
    JsonObject,
    Mark,
    MarkReason,
    OwnedEntry,
    Trust,
    hash_content,
    split_id,
)
from toolcrib_server.scan import Finding, Severity, escape

from .trust_neighbours import Likeness, Resemblance

_IDENTITY: Final[Mapping[EntryKind, tuple[str, ...]]] = {
    EntryKind.TOOL: ("name",),
    EntryKind.PROMPT: ("name",),
    EntryKind.RESOURCE: ("uri", "uriTemplate"),
}
"""What names an object at its server. The rest is its body."""
_SCHEMAS: Final = ("inputSchema", "outputSchema")
_OF_CHANGES: Final = frozenset(
    {MarkReason.ADDED, MarkReason.CHANGED, MarkReason.DESTRUCTIVE, MarkReason.RENAMED}
)
_LEAST_BODY: Final = 2
_LEAST_TEXT: Final = 20
"""Fewer fields beside the name, with a shorter text, say too little to tell a thing by."""
_SHOWN_KEYS: Final = 120
_LIKENESS: Final[Mapping[Likeness, tuple[MarkReason, Severity, str]]] = {
    Likeness.MISREAD: (
        MarkReason.LOOKALIKE,
        Severity.HIGH,
        "Its name can be misread as {other}, a tool of the server {server!r}.",
    ),
    Likeness.MISSPELT: (
        MarkReason.LOOKALIKE,
        Severity.MEDIUM,
        "Its name is a letter off {other} of the server {server!r}, and its description is alike.",
    ),
    Likeness.EXTENDED: (
        MarkReason.SHADOWS,
        Severity.MEDIUM,
        "It says all that {other} of the server {server!r} says, and more, under nearly its name.",
    ),
    Likeness.SPOKEN_FOR: (
        MarkReason.SHADOWS,
        Severity.MEDIUM,
        "Its description says how {other}, a tool of the server {server!r}, is to be used.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How much an entry was trusted as it was: what it said, what of it is pinned, its marks."""

    definition: JsonObject
    content_hash: str
    pinned_hash: str
    trust: Trust = Trust.TRUSTED
    marks: tuple[Mark, ...] = ()
    pin_approved: bool = False
    """Whether a person approved what is pinned, whatever a scan says of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of an entry as it is listed now, beside what it says."""

    before: Standing | None = None
    """What it was, also under its earlier name; None when it is new."""
    renamed_from: EntryId | None = None
    is_late: bool = False
    """Whether its server had been listed before, without it, and never had it."""
    findings: Sequence[Finding] = ()
    resemblance: Resemblance | None = None


def standing_of(entry: OwnedEntry) -> Standing:
    """Give the standing of a stored entry."""
    return Standing(
        definition=entry.definition,
        content_hash=entry.content_hash,
        pinned_hash=entry.pinned_hash or entry.content_hash,
        trust=entry.trust,
        marks=entry.marks,
    )


def judge(entry: OwnedEntry, evidence: Evidence, policy: ChangePolicy) -> OwnedEntry:
    """Decide how an entry that is new or different is to be trusted; return it with its marks.

    One that says again what is pinned is trusted again, or judged as if listed for the first time
    if nobody approved that. One that came late, under the policy of quarantine, waits whatever it
    says. One that was quarantined stays so whatever else it says, until it is
    approved or says that again. One that went and came back as it was, is trusted as it was.
    """
    before = evidence.before
    marks, severity = _marks_of_text(evidence)
    if before is None:
        if evidence.is_late and policy is ChangePolicy.QUARANTINE:
            return _late(entry, marks)
        return _first(entry, marks, severity, policy, pin="")
    if entry.content_hash == before.content_hash:
        return replace(
            entry, trust=before.trust, marks=before.marks, pinned_hash=before.pinned_hash
        )
    if entry.content_hash == before.pinned_hash and not _waits_since_it_came(before):
        marks = () if before.pin_approved else marks
        severity = Severity.LOW if before.pin_approved else severity
        return _first(entry, marks, severity, policy, pin=before.pinned_hash)
    changes = _marks_of_change(entry, evidence, before, policy)
    escalated = any(mark.reason is MarkReason.DESTRUCTIVE for mark in changes)
    if before.trust is Trust.QUARANTINED:
        marks = _joined(marks, before.marks)
    held = escalated or before.trust is Trust.QUARANTINED or policy is ChangePolicy.QUARANTINE
    return _with(entry, _joined(changes, marks), quarantined=held, pin=before.pinned_hash)


def resume(entry: OwnedEntry, past: Standing, *, is_enabled: bool) -> OwnedEntry:
    """Have an entry that is back, also as another's new name, keep what was decided about it.

    A quarantine holds until it says what was pinned; what was switched off stays off.
    """
    entry = replace(entry, enabled=is_enabled)
    if past.trust is not Trust.QUARANTINED or entry.content_hash == past.pinned_hash:
        return entry
    marks = _joined(entry.marks, past.marks)
    return replace(entry, trust=Trust.QUARANTINED, marks=marks)


def rejudge(
    entry: OwnedEntry, evidence: Evidence, policy: ChangePolicy
) -> tuple[Trust, tuple[Mark, ...]]:
    """Decide anew, by what a later scan finds, how a stored entry is to be trusted.

    What was marked because it changed stays so, and what is quarantined stays quarantined.
    """
    found, severity = _marks_of_text(evidence)
    marks = _joined(tuple(mark for mark in entry.marks if mark.reason in _OF_CHANGES), found)
    if entry.trust is Trust.QUARANTINED:
        return Trust.QUARANTINED, marks or entry.marks
    if policy is ChangePolicy.QUARANTINE and severity is Severity.HIGH:
        return Trust.QUARANTINED, marks
    return (Trust.MARKED if marks else Trust.TRUSTED), marks


def escalates(before: JsonObject, after: JsonObject) -> str | None:
    """Say how a tool's annotations now allow what they did not, or None when they do not.

    Hints that are left out have the specification's defaults: a tool may write, and may destroy
    what it writes to; ``destructiveHint`` counts for tools that are not read-only alone.
    """
    old, new = _annotations(before), _annotations(after)
    if _may_write(new) and not _may_write(old):
        return "It said that it only reads (readOnlyHint), and does not say so any more."
    if _may_destroy(new) and not _may_destroy(old):
        return "It said that it destroys nothing (destructiveHint), and does not say so any more."
    return None


def pair_renames(
    upserts: Iterable[OwnedEntry], removals: Iterable[EntryId], before: Mapping[EntryId, Entry]
) -> dict[EntryId, EntryId]:
    """Pair what went with what came, where all but the name is equal: removed id to new id.

    Bodies that several share are paired in the order of their names; a body that says next to
    nothing is nobody's.
    """
    gone: dict[str, list[EntryId]] = defaultdict(list)
    for id_ in sorted(removals):
        entry = before.get(id_)
        if isinstance(entry, OwnedEntry) and (key := _body_key(entry)):
            gone[key].append(id_)
    came: dict[str, list[EntryId]] = defaultdict(list)
    if gone:
        for entry in upserts:
            if entry.id not in before and (key := _body_key(entry)):
                came[key].append(entry.id)
    return {
        old: new
        for key, olds in gone.items()
        for old, new in zip(olds, sorted(came.get(key, ())), strict=False)
    }


# --- marks -------------------------------------------------------------------------------------


def marks_of(findings: Sequence[Finding]) -> tuple[Mark, ...]:
    """Turn what a scan found into marks; what is merely odd is none."""
    return tuple(
        Mark(finding.reason, str(finding))
        for finding in findings
        if finding.severity is not Severity.LOW
    )


def marks_of_likeness(resemblance: Resemblance) -> tuple[Mark, ...]:
    """Turn a resemblance into a mark that names the other."""
    reason, _, sentence = _LIKENESS[resemblance.likeness]
    other = split_id(resemblance.other)[1]
    return (Mark(reason, sentence.format(other=other, server=resemblance.server)),)


def _marks_of_text(evidence: Evidence) -> tuple[tuple[Mark, ...], Severity]:
    marks = marks_of(evidence.findings)
    worst = max((f.severity for f in evidence.findings), key=lambda s: s.rank, default=Severity.LOW)
    if evidence.resemblance is not None:
        marks = (*marks, *marks_of_likeness(evidence.resemblance))
        severity = _LIKENESS[evidence.resemblance.likeness][1]
        worst = max(worst, severity, key=lambda s: s.rank)
    return marks, worst


def _marks_of_change(
    entry: OwnedEntry, evidence: Evidence, before: Standing, policy: ChangePolicy
) -> tuple[Mark, ...]:
    marks: list[Mark] = []
    if entry.kind is EntryKind.TOOL and (how := escalates(before.definition, entry.definition)):
        marks.append(Mark(MarkReason.DESTRUCTIVE, how))
    if policy is ChangePolicy.APPLY:
        return tuple(marks)
    if evidence.renamed_from is not None:
        was = split_id(evidence.renamed_from)[1]
        marks.append(Mark(MarkReason.RENAMED, f"It was called {was}, and says the same."))
    else:
        marks.append(Mark(MarkReason.CHANGED, _say_change(before.definition, entry.definition)))
    return tuple(marks)


def _say_change(before: JsonObject, after: JsonObject) -> str:
    keys = sorted(before.keys() | after.keys())
    differing = [key for key in keys if before.get(key) != after.get(key)]
    shown = ", ".join(differing) or "whole text"
    return f"It is not what was pinned; what changed last is its {escape(shown)[:_SHOWN_KEYS]}."


def _first(
    entry: OwnedEntry,
    marks: tuple[Mark, ...],
    severity: Severity,
    policy: ChangePolicy,
    *,
    pin: str,
) -> OwnedEntry:
    held = policy is ChangePolicy.QUARANTINE and severity is Severity.HIGH
    return _with(entry, marks, quarantined=held, pin=pin)


def _late(entry: OwnedEntry, marks: tuple[Mark, ...]) -> OwnedEntry:
    added = Mark(MarkReason.ADDED, "Its server had been listed before, and did not have it then.")
    return _with(entry, (added, *marks), quarantined=True, pin="")


def _waits_since_it_came(before: Standing) -> bool:
    is_late = any(mark.reason is MarkReason.ADDED for mark in before.marks)
    return is_late and before.trust is Trust.QUARANTINED and not before.pin_approved


def _with(entry: OwnedEntry, marks: tuple[Mark, ...], *, quarantined: bool, pin: str) -> OwnedEntry:
    trust = Trust.MARKED if marks else Trust.TRUSTED
    if quarantined:
        trust = Trust.QUARANTINED
    return replace(entry, trust=trust, marks=marks, pinned_hash=pin)


def _joined(first: tuple[Mark, ...], then: tuple[Mark, ...]) -> tuple[Mark, ...]:
    """Join marks; of a reason and a rule the newer one, which comes first, is kept."""
    known = {_key(mark) for mark in first}
    return (*first, *(mark for mark in then if _key(mark) not in known))


def _key(mark: Mark) -> tuple[MarkReason, str]:
    # A change says which fields differ, which is another sentence each time.
    return (mark.reason, "" if mark.reason in _OF_CHANGES else mark.detail)


# --- bodies and hints --------------------------------------------------------------------------


def _body_key(entry: OwnedEntry) -> str | None:
    names = _IDENTITY.get(entry.kind, ())
    body = {
        key: _untitled(value, entry.local_name) if key in _SCHEMAS else value
        for key, value in entry.definition.items()
        if key not in names
    }
    telling = [key for key, value in body.items() if value]
    is_telling = len(telling) >= _LEAST_BODY or len(entry.description) >= _LEAST_TEXT
    return f"{entry.kind}:{hash_content(body)}" if is_telling else None


def _untitled(schema: Any, name: str) -> Any:
    """Leave out a title that repeats the name, as SDKs write it: ``read_fileArguments``."""
    if not isinstance(schema, dict):
        return schema
    fields = cast("JsonObject", schema)
    title = fields.get("title")
    if not isinstance(title, str) or not title.startswith(name):
        return fields
    return {**fields, "title": title.removeprefix(name)}


def _annotations(definition: JsonObject) -> Mapping[str, Any]:
    found = definition.get("annotations")
    return cast("JsonObject", found) if isinstance(found, dict) else {}


def _may_write(annotations: Mapping[str, Any]) -> bool:
    return annotations.get("readOnlyHint") is not True


def _may_destroy(annotations: Mapping[str, Any]) -> bool:
    return _may_write(annotations) and annotations.get("destructiveHint") is not False
