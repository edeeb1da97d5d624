"""Servers on the wire: how they are reached, and how they are."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StrictBool, field_validator
from pydantic_core import PydanticCustomError

from toolcrib_registry.types import ChangePolicy, EntryKind, ServerStatus

from .shapes import WireIn, WireOut
from .words import Name, Seconds, ServerNameText, Tags, Text, Url


class StdioIn(WireIn):
    """A server run as a child process. An environment value may be a ``${…}`` reference."""

    type: Literal["stdio"]
    command: Annotated[Text, Field(min_length=1, max_length=4096)]
    args: Annotated[list[Text], Field(max_length=1024)] = []
    env: dict[Name, Text] = {}
    cwd: Text | None = None


class HttpIn(WireIn):
    """A server reached over Streamable HTTP (``http``) or the superseded HTTP+SSE (``sse``)."""

    type: Literal["http", "sse"]
    url: Url
    headers: dict[Name, Text] = {}

    @field_validator("headers")
    @classmethod
    def _one_line(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if any(char in part for part in (name, value) for char in "\r\n"):
                raise PydanticCustomError("header", "a header must not contain a line break")
        return headers


class CatalogIn(WireIn):
    """No live server: its tools are given by hand or imported. They are found, not called."""

    type: Literal["catalog"]
    source: Name = "api"


TransportIn = Annotated[StdioIn | HttpIn | CatalogIn, Field(discriminator="type")]


class ServerIn(WireIn):
    """A server to register, or to put in the place of one."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "issues",
                    "transport": {
                        "type": "http",
                        "url": "https://mcp.example.com/mcp",
                        "headers": {"Authorization": "Bearer ${ISSUES_TOKEN}"},
                    },
                    "tags": ["work"],
                }
            ]
        }
    )

    name: ServerNameText
    transport: TransportIn
    enabled: StrictBool = True
    tags: Tags = []
    start_timeout_s: Seconds = 60.0
    call_timeout_s: Seconds | None = None
    """The deadline of a call; the server's setting unless given."""
    on_change: ChangePolicy | None = None
    """What a change at the server does to its entries; the server's setting unless given."""


class ServerPatch(WireIn):
    """What to change of a server; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"tags": ["work", "beta"]}]})

    transport: TransportIn | None = None
    enabled: StrictBool | None = None
    tags: Tags | None = None
    start_timeout_s: Seconds | None = None
    call_timeout_s: Seconds | None = None
    on_change: ChangePolicy | None = None


class TransportOut(WireOut):
    """How a server is reached. Values of ``env`` and ``headers`` are masked; references show."""

    type: Literal["stdio", "http", "sse", "catalog"]
    command: str | None = None
    args: list[str] | None = None
    env: dict[str, str] | None = None
    cwd: str | None = None
    url: str | None = None
    headers: dict[str, str] | None = None
    source: str | None = None


class MalformedOut(WireOut):
    """One listed object that was set aside, and why."""

    kind: EntryKind
    name: str
    reason: str


class HealthOfServerOut(WireOut):
    """What the last attempt to reach a server showed."""

    status: ServerStatus
    attempted_at: datetime | None = None
    synced_at: datetime | None = None
    error: str | None = None
    protocol_version: str | None = None
    reported_name: str | None = None
    reported_version: str | None = None
    instructions: str | None = None
    malformed: list[MalformedOut] = []
    """What it lists that could not be read, and was left out."""


class ServerOut(WireOut):
    """A registered server."""

    name: str
    transport: TransportOut
    enabled: bool
    callable: bool
    tags: list[str]
    origin: str
    start_timeout_s: float
    call_timeout_s: float | None = None
    """The deadline of a call; none is the setting ``TOOLCRIB_CALL_TIMEOUT_S``."""
    on_change: ChangePolicy = ChangePolicy.MARK
    health: HealthOfServerOut
    added_at: datetime | None = None
    endpoint: str | None = None
    """The path at which it is served over MCP as it is; a catalogue is not."""


class StderrOut(WireOut):
    """What a server said on its standard error, in lines with their times, oldest first."""

    lines: list[str]
