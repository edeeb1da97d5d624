"""Plan a change to a host's file, show it, apply it with a backup beside the file, undo it.

Nothing is written while planning. A file that changed between plan and apply is left alone.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from toolcrib_registry.errors import InvalidConfig, NotFound
from toolcrib_registry.types import HttpTransport, StdioTransport

from .document import Document, parse
from .files import find_backup, make_backup, read_text, write_text
from .known import ENTRY_NAME, Host, HostEntry, Machine, Scope, entry_for, known_hosts, locate

_KEY_OR_STRING = re.compile(r'("(?:\\.|[^"\\])*")(\s*:)?')
_STDIO_KEYS = frozenset({"command", "args", "env", "envFile", "cwd"})
_HTTP_KEYS = frozenset({"url", "headers"})
_SECRET_KEYS = frozenset({"env", "headers"})
_PLAIN_SETTINGS = frozenset({"TOOLCRIB_DATA_DIR", "TOOLCRIB_CACHE_DIR"})


class Action(StrEnum):
    """What a plan does to the file."""

    CONNECT = "connect"
    REMOVE = "remove"
    UNDO = "undo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A change to one host's file, not made yet. ``before`` and ``after`` are None for no file."""

    host: Host
    action: Action
    path: Path
    before: str | None
    after: str | None
    diff: str
    """Unified; strings of the user's other settings are shown as ``"…"``, for they may be keys."""
    notes: tuple[str, ...] = ()
    restores: Path | None = None
    """The backup that an undo puts back whole."""

    @property
    def changes(self) -> bool:
        """Whether applying it would write anything."""
        return self.before != self.after


def plan_connect(
    host: Host,
    *,
    transport: StdioTransport | HttpTransport,
    machine: Machine,
    scope: Scope = Scope.USER,
    name: str = ENTRY_NAME,
) -> Plan:
    """Plan to add our entry, or to bring the one that is there up to date.

    What the user added to our entry (other keys, environment) is kept.

    Raises:
        InvalidInput: The host has no such scope, or takes no such transport.
        InvalidConfig: The file cannot be read, or is not what the host expects.
    """
    file = _open(host, scope, machine)
    old = file.document.entries().get(name)
    return _plan_entry(file, Action.CONNECT, name, _merge(old, entry_for(host, transport)))


def plan_remove(
    host: Host, *, machine: Machine, scope: Scope = Scope.USER, name: str = ENTRY_NAME
) -> Plan:
    """Plan to take our entry out and leave everything else. No change when it is not there.

    Raises:
        InvalidInput: The host has no such scope.
        InvalidConfig: The file cannot be read, or is not what the host expects.
    """
    return _plan_entry(_open(host, scope, machine), Action.REMOVE, name, None)


def plan_undo(
    host: Host, *, machine: Machine, scope: Scope = Scope.USER, name: str = ENTRY_NAME
) -> Plan:
    """Plan to undo the last connect or remove.

    A file that is still as we left it is restored to the byte. One that was edited since keeps
    those edits: only our entry goes back to what it was.

    Raises:
        NotFound: There is no backup to go back to.
        InvalidInput: The host has no such scope.
        InvalidConfig: The file cannot be read, or is not what the host expects.
    """
    file = _open(host, scope, machine)
    backup = find_backup(file.path, changes=frozenset({Action.CONNECT, Action.REMOVE}))
    if backup is None:
        raise NotFound("backup", f"{file.path}.*.bak")
    saved = backup.read()
    old = _document(host, file.path, saved).entries().get(name)
    if not backup.is_of(file.text):
        note = "The file was edited since; those edits are kept and only our entry is put back."
        return _plan_entry(file, Action.UNDO, name, old, notes=(note,))
    visible = _strings(old, file.document.entries().get(name))
    return Plan(
        host=host,
        action=Action.UNDO,
        path=file.path,
        before=file.text,
        after=saved,
        diff=_diff(file.path, file.text, saved, visible=visible),
        notes=(known_hosts()[host].reload_hint,),
        restores=backup.path,
    )


def apply(plan: Plan, *, at: datetime | None = None) -> Path | None:
    """Write the plan's ``after``, whole or not at all. Returns the backup made, if one was.

    Raises:
        InvalidConfig: The file changed since it was planned, or cannot be written.
    """
    if not plan.changes:
        return None
    if read_text(plan.path) != plan.before:
        raise InvalidConfig(
            "it changed after the change was planned.", file=str(plan.path), fix="Try again."
        )
    try:
        return _write(plan, at or datetime.now(UTC))
    except OSError as error:
        raise InvalidConfig(
            f"it cannot be written: {error.strerror}.",
            file=str(plan.path),
            fix="The file is as it was.",
        ) from error


def _write(plan: Plan, at: datetime) -> Path | None:
    if plan.restores is not None:
        write_text(plan.path, plan.after)
        plan.restores.unlink()
        return None
    plan.path.parent.mkdir(parents=True, exist_ok=True)
    backup = make_backup(plan.path, before=plan.before, after=plan.after, change=plan.action, at=at)
    try:
        write_text(plan.path, plan.after)
    except OSError:
        backup.unlink()
        raise
    return backup


# --- the change --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _File:
    """A host's file as it is now."""

    host: Host
    path: Path
    text: str | None
    document: Document


def _open(host: Host, scope: Scope, machine: Machine) -> _File:
    # Links are followed, so that a linked settings file stays a link.
    path = locate(host, scope=scope, machine=machine).resolve()
    text = read_text(path)
    return _File(host, path, text, _document(host, path, text))


def _document(host: Host, path: Path, text: str | None) -> Document:
    known = known_hosts()[host]
    return parse(
        text or "",
        container=known.container,
        file=str(path),
        allows_comments=known.allows_comments,
    )


def _plan_entry(
    file: _File, action: Action, name: str, entry: Any, *, notes: tuple[str, ...] = ()
) -> Plan:
    """Plan to make ``name`` stand for ``entry``; None takes it out."""
    old = file.document.entries().get(name)
    after = file.text
    if entry is None and old is not None:
        after = file.document.without_entry(name)
    elif entry is not None and entry != old:
        after = file.document.with_entry(name, entry)
    _verify(file, after, name, entry)
    return Plan(
        host=file.host,
        action=action,
        path=file.path,
        before=file.text,
        after=after,
        diff=_diff(file.path, file.text, after, visible=_strings(old, entry)),
        notes=(*notes, *_notes(file, after, connected=entry is not None)),
    )


def _notes(file: _File, after: str | None, *, connected: bool) -> Iterator[str]:
    known = known_hosts()[file.host]
    if after != file.text:
        yield known.reload_hint
    elif connected:
        yield f"{known.title} is connected already; nothing to change."
    else:
        yield f"{known.title} is not connected; nothing to change."
    if after is not None and not file.path.parent.is_dir():
        yield f"{file.path.parent} is not there yet and will be made: is {known.title} installed?"


def _merge(old: Any, new: HostEntry) -> HostEntry:
    """Keep what the user added to an entry, less what belongs to the other transport."""
    if not isinstance(old, dict):
        return new
    before = cast("dict[str, Any]", old)
    foreign = _HTTP_KEYS if "command" in new else _STDIO_KEYS
    if ("command" in new) != (before.get("type") == "stdio"):
        foreign |= {"type"}
    kept = {key: value for key, value in before.items() if key not in foreign}
    maps = {
        key: {**kept[key], **new.get(key, {})}
        for key in _SECRET_KEYS
        if isinstance(kept.get(key), dict)
    }
    return {**kept, **new, **maps}


def _verify(file: _File, after: str | None, name: str, entry: Any) -> None:
    """Read the edited text back: our entry is as meant, and nothing else moved."""
    if after == file.text:
        return
    edited = _document(file.host, file.path, after)
    expected = {**file.document.entries(), name: entry}
    if entry is None:
        del expected[name]
    if edited.entries() != expected or edited.others() != file.document.others():
        raise InvalidConfig(
            "it is laid out in a way that cannot be edited safely.",
            file=str(file.path),
            fix="Edit the entry by hand; nothing was changed.",
        )


# --- showing it --------------------------------------------------------------------------------


def _diff(path: Path, before: str | None, after: str | None, *, visible: frozenset[str]) -> str:
    lines = difflib.unified_diff(
        (before or "").splitlines(),
        (after or "").splitlines(),
        fromfile=str(path) if before is not None else "(no file)",
        tofile=str(path) if after is not None else "(no file)",
        lineterm="",
    )
    return "\n".join(
        line if line.startswith(("---", "+++", "@@")) else _hide(line, visible) for line in lines
    )


def _hide(line: str, visible: frozenset[str]) -> str:
    return _KEY_OR_STRING.sub(
        lambda found: found[0] if found[2] or found[1] in visible else '"…"', line
    )


def _strings(*entries: Any) -> frozenset[str]:
    """Collect the string literals of entries, less the values of env and headers."""
    return frozenset(text for entry in entries for text in _walk(entry))


def _walk(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield json.dumps(value, ensure_ascii=False)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _walk(item)
    elif isinstance(value, Mapping):
        for key, item in cast("Mapping[str, Any]", value).items():
            if key in _SECRET_KEYS:
                yield from _walk(_own_settings(item))
            else:
                yield from _walk(item)


def _own_settings(values: Any) -> list[Any]:
    """Pick what is ours and no key: where the registry is, which the user should see."""
    pairs = cast("Mapping[str, Any]", values).items() if isinstance(values, Mapping) else ()
    return [value for name, value in pairs if name in _PLAIN_SETTINGS]
