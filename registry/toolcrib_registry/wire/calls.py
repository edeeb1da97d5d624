"""Calls of tools and models on the wire, and their results."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict

from .shapes import WireIn, WireOut
from .words import JsonDict, Name, Seconds


class CallIn(WireIn):
    """A tool to call, by its full name."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "time__get_current_time", "arguments": {"timezone": "Asia/Tokyo"}}
            ]
        }
    )

    name: Name
    arguments: JsonDict = {}
    timeout_s: Seconds | None = None


class CallOut(WireOut):
    """The tool's answer. ``isError`` is the tool's own word: the call itself went through."""

    name: str
    content: list[dict[str, Any]] = []
    structured_content: Any = None
    is_error: bool = False
    duration_ms: float


class ResultPageOut(WireOut):
    """A page of a result that was too large to hand on at once. The first page is 1."""

    text: str
    mime_type: str
    page: int
    pages: int
    bytes: int
    """Of the whole, which may be more than is kept."""
    next: str | None = None
    """Where the next page is; null on the last."""


class UsageOut(WireOut):
    """What a model's call took. ``estimated``: the provider did not say, or not plausibly."""

    tokens_in: int
    tokens_out: int
    estimated: bool = False
    cost_usd: float | None = None
    """Null when a price is unknown."""


class ChatOut(WireOut):
    """A model's answer, who gave it, and why it was asked."""

    model: str
    provider: str | None = None
    remote_model: str | None = None
    """What the provider calls the model, where it said so in other words."""
    text: str = ""
    message: dict[str, Any] = {}
    finish_reason: str | None = None
    reasons: list[str] = []
    failed: list[dict[str, str]] = []
    """The offers that were asked before, and how each failed."""
    usage: UsageOut
    cascade: dict[str, Any] | None = None
    """Who was asked on the way up and what the checks said, where a cascade was asked for."""
    cache: dict[str, Any] | None = None
    """What came of looking for an earlier answer, where one was looked for."""
    examples: list[dict[str, Any]] = []
    """The earlier answers that were shown to the model."""
    answer: dict[str, Any] = {}
    """The whole answer, as the provider gave it but for the name of the model."""
