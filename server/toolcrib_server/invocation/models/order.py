"""A call of a model, in nouns: the order, the answer, and who failed before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toolcrib_registry.errors import ToolcribError
from toolcrib_registry.types import JsonObject
from toolcrib_server.invocation.figures.measured import Measured
from toolcrib_server.selection.candidate import Candidate


@dataclass(frozen=True, slots=True)
class Pick:
    """An offer that may answer, and why it stands where it does."""

    candidate: Candidate
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOrder:
    """A request with those who may answer it, best first. ``body`` is as the caller sent it."""

    picks: Sequence[Pick]
    body: JsonObject
    face: str
    principal: str
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """An offer that was tried, or passed over, and why."""

    candidate: Candidate
    error: ToolcribError


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Who answered, why it was asked, who failed before it, and what the call measured."""

    pick: Pick
    answer: JsonObject
    failed: tuple[Failed, ...]
    measured: Measured
