"""What this is, whether it lives, and whether it serves."""

from __future__ import annotations

from typing import Literal

from .shapes import WireOut


class RootOut(WireOut):
    """What this is, and what is where."""

    name: str = "toolcrib"
    version: str
    mcp: str = "/mcp"
    api: str = "/api/v1"
    openapi: str = "/openapi.json"
    health: str = "/healthz"


class HealthOut(WireOut):
    """The process is alive."""

    status: Literal["ok"] = "ok"
    version: str


class ReadyOut(WireOut):
    """Whether it serves, and what keeps it from doing so."""

    ready: bool
    blockers: list[str] = []
    degraded: list[str] = []
    """What does not work as it should while it serves, as search by words alone."""
    revision: int | None = None
    index_revision: int | None = None
