"""Views on the wire: saved ones, and what one shows."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from toolcrib_registry.types import ViewMode

from .shapes import WireIn, WireOut
from .words import JsonDict, Name, ServerNameText, Tags, Text, Tokens, ToolName, Words


class MembersIn(WireIn):
    """Tools of any of these servers, with any of these tags, or of these names."""

    servers: Annotated[list[ServerNameText], Field(max_length=10_000)] = []
    tags: Tags = []
    tools: Annotated[list[ToolName], Field(max_length=20_000)] = []


class ToolOverrideIn(WireIn):
    """How a view shows and calls one of its tools; what is left out is as its server says."""

    tool: ToolName
    """Its name in the registry."""
    name: Name | None = None
    title: Name | None = None
    description: Annotated[Text, Field(max_length=100_000)] | None = None
    defaults: JsonDict = {}
    """Arguments that are sent where the caller gives none. The values are not shown."""
    fixed: JsonDict = {}
    """Arguments that are always sent; the caller neither sees nor gives them."""
    hidden: Words = []
    """Parameters that the caller neither sees nor gives."""


class ViewIn(WireIn):
    """A view: a subset of the registry, served as a server of its own at ``/mcp/v/NAME``."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "desk",
                    "title": "Desk work",
                    "description": "Use these tools for mail and time.",
                    "include": {"servers": ["time"], "tags": ["mail"]},
                    "exclude": {"tools": ["mail__delete_account"]},
                    "overrides": [
                        {
                            "tool": "time__convert_time",
                            "name": "convert_time",
                            "defaults": {"source_timezone": "Europe/Berlin"},
                        }
                    ],
                    "pinned": ["time__convert_time"],
                    "mode": "auto",
                }
            ]
        }
    )

    name: Name
    title: Name | None = None
    description: Annotated[Text, Field(max_length=100_000)] = ""
    """Instructions for the model that uses it."""
    include: MembersIn = MembersIn()
    exclude: MembersIn = MembersIn()
    """What is excluded is out, however it was included."""
    overrides: Annotated[list[ToolOverrideIn], Field(max_length=10_000)] = []
    pinned: Annotated[list[ToolName], Field(max_length=1_000)] = []
    """Names in the registry of tools that are always shown, in this order."""
    mode: ViewMode = ViewMode.AUTO
    context_tokens: Tokens = 200_000
    """How long a context is taken to be."""
    share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.05
    """Which part of a context the definitions may take, to be listed one by one."""


class MembersOut(WireOut):
    """What a view selects by."""

    servers: list[str] = []
    tags: list[str] = []
    tools: list[str] = []


class ToolOverrideOut(WireOut):
    """How a view shows and calls one of its tools. Values are shown to administrators alone."""

    tool: str
    name: str | None = None
    title: str | None = None
    description: str | None = None
    defaults: dict[str, Any] = {}
    fixed: dict[str, Any] = {}
    hidden: list[str] = []


class ViewOut(WireOut):
    """A view as it is kept, and where it is served."""

    name: str
    title: str | None = None
    description: str = ""
    include: MembersOut = MembersOut()
    exclude: MembersOut = MembersOut()
    overrides: list[ToolOverrideOut] = []
    pinned: list[str] = []
    mode: ViewMode = ViewMode.AUTO
    context_tokens: int = 200_000
    share: float = 0.05
    revision: int = 0
    added_at: datetime | None = None
    updated_at: datetime | None = None
    mcp: str = ""
    """The path of its MCP endpoint."""


class ListedToolOut(WireOut):
    """A tool as a client of the view is shown it."""

    name: str
    tool: str
    """Its name in the registry."""
    server: str
    title: str | None = None
    description: str = ""
    input_schema: dict[str, Any] = {}
    tokens: int


class ViewShownOut(WireOut):
    """What a client of a view is shown now."""

    name: str
    searches: bool
    """Whether its tools are searched for, because they are too many to list."""
    tools: int
    """How many tools it has."""
    prompts: int = 0
    resources: int = 0
    listed: list[ListedToolOut] = []
    """Those of its tools that are shown one by one, in order."""
    tokens: int
    """What a client is shown takes of a context, with the tools that search the view."""
    all_tokens: int
    """What all its tools would take."""
    budget_tokens: int
    problems: list[str] = []
    """What of the view does not hold any more."""
    notes: list[str] = []
    """What it selects without naming it and leaves out, as tools that are disabled."""
