"""What a client of a view is told of it: instructions, and the tools that search it."""

from __future__ import annotations

from typing import Any

from toolcrib_registry.types import JsonObject
from toolcrib_server.gateway.definitions import meta_tools
from toolcrib_server.views.checking import META_TOOLS
from toolcrib_server.views.resolving import Resolved


def searching_tools(resolved: Resolved) -> tuple[JsonObject, ...]:
    """Define the tools that search a view: those of the whole registry, without its kinds."""
    return tuple(
        _of_tools_alone(tool) for tool in meta_tools(resolved.servers) if tool["name"] in META_TOOLS
    )


def instructions_of(resolved: Resolved) -> str:
    """Say what the view is for, in its own words, and how to find what is not listed."""
    own = resolved.view.description.strip()
    count = len(resolved.tools)
    if not count:
        return "\n\n".join(part for part in (own, "This view has no tool now.") if part)
    if not resolved.searches:
        return own
    how = (
        f"There are {count:,} tools here. They are not listed one by one: call search_tools with "
        "the task in plain words, then call_tool with the name it gives."
    )
    return "\n\n".join(part for part in (own, how) if part)


def _of_tools_alone(tool: dict[str, Any]) -> dict[str, Any]:
    schema = tool["inputSchema"]
    if "kind" not in schema.get("properties", {}):
        return tool
    properties = {name: its for name, its in schema["properties"].items() if name != "kind"}
    return {**tool, "inputSchema": {**schema, "properties": properties}}
