"""Changes, their differences and past revisions as the wire has them. Of settings, no secret."""

from __future__ import annotations

from typing import Any

from toolcrib_registry import wire
from toolcrib_registry.types import Change
from toolcrib_server.rest.masked_changes import masked_change
from toolcrib_server.sync.edits import Edit, EditKind, mark_up
from toolcrib_server.sync.history import Past, edits_of


def change_out(change: Change, *, diff: bool = False) -> wire.ChangeOut:
    """Show a change; of a server's settings, no secret. ``diff`` adds how the two sides differ."""
    shown = masked_change(change)
    return wire.ChangeOut(
        **_head(shown, diff=diff),
        before=None if shown.before is None else dict(shown.before),
        after=None if shown.after is None else dict(shown.after),
    )


def revision_out(past: Past, *, diff: bool = False) -> wire.RevisionOut:
    """Show what an entry said at one of its revisions."""
    definition = None if past.definition is None else dict(past.definition)
    return wire.RevisionOut(**_head(past.change, diff=diff), definition=definition)


def revision_head(change: Change, *, diff: bool = False) -> wire.RevisionOut:
    """Show one of an entry's revisions without what it said."""
    return wire.RevisionOut(**_head(change, diff=diff))


def edit_out(edit: Edit) -> wire.EditOut:
    """Show one difference."""
    is_members = edit.kind is EditKind.MEMBERS
    return wire.EditOut(
        path=edit.path,
        kind=edit.kind.value,
        text=mark_up(edit),
        words=[wire.PieceOut(fate=p.fate.value, text=p.text) for p in edit.words] or None,
        gained=list(edit.gained) if is_members else None,
        lost=list(edit.lost) if is_members else None,
    )


def _head(change: Change, *, diff: bool) -> dict[str, Any]:
    return {
        "revision": change.revision,
        "at": change.at,
        "actor": change.actor,
        "action": change.action,
        "subject": change.subject,
        "server": change.server,
        "fields": list(change.fields),
        "related": change.related,
        "marks": [wire.MarkOut(reason=m.reason, detail=m.detail) for m in change.marks],
        "diff": [edit_out(edit) for edit in edits_of(change)] if diff else None,
    }
