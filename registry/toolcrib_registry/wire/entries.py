"""Entries on the wire, whatever their kind, and tools above all."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from toolcrib_registry.types import EntryKind, Trust

from .shapes import FactOut, WireIn, WireOut
from .words import JsonDict, Name, Question, ServerNameText, Text


class MarkOut(WireOut):
    """Why an entry is to be looked at: a reason, and a sentence. What cannot be seen is escaped."""

    reason: str
    detail: str = ""


class EntryOut(WireOut):
    """A tool, prompt, resource or model, as listings show it."""

    id: str
    kind: EntryKind
    name: str
    title: str | None = None
    description: str = ""
    server: str | None = None
    local_name: str | None = None
    tags: list[str] = []
    enabled: bool = True
    source_id: str | None = None
    revision: int = 0
    added_at: datetime | None = None
    updated_at: datetime | None = None
    stale_since: datetime | None = None
    """Its server could not be reached since it was last seen then: it may have changed."""
    trust: Trust = Trust.TRUSTED
    """``quarantined`` is neither found nor callable until it is approved."""
    marks: list[MarkOut] = []
    definition: dict[str, Any] | None = None
    """The object its server listed, untouched; only where one entry is asked for."""


class ToolOut(EntryOut):
    """A tool with its schemas and what it says of its behaviour."""

    input_schema: dict[str, Any] = {}
    output_schema: dict[str, Any] | None = None
    read_only: FactOut[bool] | None = None
    destructive: FactOut[bool] | None = None
    idempotent: FactOut[bool] | None = None
    open_world: FactOut[bool] | None = None


class ToolIn(WireIn):
    """A tool to add to a catalogue: a server of type ``catalog``."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "server": "handbook",
                    "name": "expense_report",
                    "description": "File an expense report for a trip.",
                    "inputSchema": {"type": "object", "properties": {"trip": {"type": "string"}}},
                    "tags": ["finance"],
                    "questions": ["How do I get back what the trip cost?"],
                }
            ]
        }
    )

    server: ServerNameText
    name: Name
    title: Name | None = None
    description: Annotated[Text, Field(max_length=100_000)] = ""
    input_schema: JsonDict = {"type": "object"}
    tags: Annotated[list[Name], Field(max_length=16)] = []
    """Words that filters know it by."""
    depends_on: Annotated[list[Name], Field(max_length=64)] = []
    """Names of tools of this catalogue that must be called before it."""
    questions: Annotated[list[Question], Field(max_length=16)] = []
    """What somebody would ask who needs it; one that shares no words with it is not heard."""
