"""How trust and marks are said in a terminal and in JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from toolcrib_registry.types import Entry, Mark, OwnedEntry, Trust

from .output import Style, print_styled


def trust_view(entry: Entry) -> dict[str, Any]:
    """Render how an entry is trusted, if there is anything to say of it."""
    if not isinstance(entry, OwnedEntry) or (entry.trust is Trust.TRUSTED and not entry.marks):
        return {}
    return {"trust": entry.trust, "marks": entry.marks, "pinnedHash": entry.pinned_hash}


def say_trust(entry: Entry) -> str | None:
    """Say how an entry is trusted in a word or two, or None when nothing is to be said."""
    if not trust_view(entry) or not isinstance(entry, OwnedEntry):
        return None
    reasons = ", ".join(dict.fromkeys(mark.reason.value for mark in entry.marks))
    return f"{entry.trust}: {reasons}" if reasons else entry.trust.value


def print_marks(marks: Iterable[Mark], *, indent: str = "  ") -> None:
    """Print each mark on a line."""
    for mark in marks:
        print_styled((f"{indent}! {mark.reason}: {mark.detail}", Style.ALARM))
