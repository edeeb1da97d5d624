"""The audit log: shapes of arguments, never values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .names import EntryId, JsonObject, ServerName


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One audit record. ``argument_shape`` holds types and sizes, never values."""

    id: str
    at: datetime
    subject: EntryId
    server: ServerName | None
    face: str
    """Which face it came in by: ``mcp``, ``rest``, ``cli``."""
    principal: str
    outcome: str
    """``ok``, ``tool-error``, ``input-required``, ``cancelled``, or a `ToolcribError`'s code."""
    duration_ms: float
    argument_shape: JsonObject


@dataclass(frozen=True, slots=True)
class CallStep:
    """A call of a tool that worked, as one of several in a row."""

    at: datetime
    principal: str
    entry: EntryId
    server: ServerName | None


@dataclass(frozen=True, slots=True)
class ForgottenCalls:
    """Calls that nothing is learned from: those that fit all that is given."""

    tenant: str | None
    principal: str | None
    until: datetime
