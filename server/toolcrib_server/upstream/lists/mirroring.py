"""Which arguments of a tool its server wants mirrored in headers (``x-mcp-header``).

From MCP 2026-07-28, Streamable HTTP, "Custom Headers from Tool Parameters".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from toolcrib_server.sdk import load_sdk

HeaderMap = Mapping[tuple[str, ...], str]
"""Where in a tool's arguments the value of which header stands; empty: nothing is mirrored."""

NO_HEADERS: HeaderMap = {}


def header_map(schema: Mapping[str, Any]) -> HeaderMap:
    """Read it from the ``inputSchema`` of a tool; one that is malformed mirrors nothing."""
    load_sdk()
    from mcp.shared.inbound import (  # noqa: PLC0415  # slow: see `sdk`
        find_invalid_x_mcp_header,
        x_mcp_header_map,
    )

    found = x_mcp_header_map(schema)
    return found if found and not find_invalid_x_mcp_header(schema) else NO_HEADERS


def header_maps(tools: object) -> Iterator[tuple[str, HeaderMap]]:
    """Read those of ``tools`` as an answer to ``tools/list`` has them, whatever else it holds."""
    for tool in cast("Sequence[object]", tools) if isinstance(tools, list | tuple) else ():
        if isinstance(tool, dict):
            known = cast("dict[str, object]", tool)
            name, schema = known.get("name"), known.get("inputSchema")
            if isinstance(name, str) and isinstance(schema, dict):
                yield name, header_map(cast("dict[str, Any]", schema))
