"""Changes as they may be shown: of settings no secret, of views no value that is sent.

Knows no shape of the wire, which the command line needs to import for nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from toolcrib_registry.types import Change

from .masking import MASK, mask_args, mask_url


def masked_change(change: Change) -> Change:
    """Return the change as it may be shown."""
    kind = change.subject.partition(":")[0]
    mask = {"server": _masked_server, "view": _masked_view}.get(kind)
    if mask is None:
        return change
    return replace(change, before=mask(change.before), after=mask(change.after))


def _masked_server(state: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a server's settings, as the change log has them, as they may be shown."""
    if state is None:
        return None
    shown = dict(state)
    if isinstance(shown.get("url"), str):
        shown["url"] = mask_url(shown["url"])
    if isinstance(shown.get("args"), list):
        shown["args"] = mask_args(shown["args"])
    return shown


def _masked_view(state: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a view, as the change log has it, as it may be shown to everybody."""
    if state is None:
        return None
    overrides: Any = state.get("overrides") or []
    return {**state, "overrides": [_masked_values(one) for one in overrides]}


def _masked_values(override: Mapping[str, Any]) -> dict[str, Any]:
    hidden = {key: dict.fromkeys(override.get(key) or (), MASK) for key in ("defaults", "fixed")}
    return {**override, **hidden}
