"""What one era of the protocol says in words that the other does not have.

Pure. What faces complete for every service (caching hints, error codes) is not done again here.
"""

from __future__ import annotations

from typing import Any, cast

from mcp_types import SERVER_INFO_META_KEY

from toolcrib_registry.types import JsonObject
from toolcrib_server.downstream.service import Client
from toolcrib_server.upstream.connecting.era import Greeting

from .news import LISTS


def greet(greeting: Greeting, client: Client) -> JsonObject:
    """Make the result of ``server/discover`` of what a server of either era said of itself."""
    raw = greeting.raw
    kept = ("instructions", "ttlMs", "cacheScope", "_meta")
    result: dict[str, Any] = {key: raw[key] for key in kept if key in raw}
    result["capabilities"] = _capabilities(greeting, client)
    info = raw.get("serverInfo") or cast("JsonObject", raw.get("_meta") or {}).get(
        SERVER_INFO_META_KEY
    )
    return {**result, "serverInfo": info} if isinstance(info, dict) else result


def knows_output_schemas(client: Client) -> bool:
    """Whether a client may hold results to output schemas: before 2025-06-18 there were none."""
    return client.version >= "2025-06-18"


def offered_lists(greeting: Greeting) -> frozenset[str]:
    """Say which lists a server has: some of tools, prompts, resources."""
    return LISTS.intersection(cast("JsonObject", greeting.raw.get("capabilities") or {}))


def complete(result: JsonObject, method: str, client: Client) -> JsonObject:
    """Give a result what every result of a service has, and its client's era can hold."""
    if "resultType" not in result:
        result = {**result, "resultType": "complete"}
    if client.session is None:
        return result
    if method == "tools/call":
        return _with_structure_of_objects(result)
    return _with_schemas_of_objects(result) if method == "tools/list" else result


def _capabilities(greeting: Greeting, client: Client) -> JsonObject:
    declared = dict(cast("JsonObject", greeting.raw.get("capabilities") or {}))
    for offered in offered_lists(greeting):
        # Whether the server tells of changes or not: the registry's are told of.
        said = declared[offered]
        known = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
        declared[offered] = {**known, "listChanged": True}
    if greeting.is_modern or client.session is not None:
        return declared
    # Tasks of 2025-11-25 are other than those of today, under the same methods.
    return {key: value for key, value in declared.items() if key != "tasks"}


def _with_structure_of_objects(result: JsonObject) -> JsonObject:
    """Drop structured content of another kind: it was an object until 2025-11-25."""
    structured = result.get("structuredContent")
    if structured is None or isinstance(structured, dict):
        return result
    return {key: value for key, value in result.items() if key != "structuredContent"}


def _with_schemas_of_objects(result: JsonObject) -> JsonObject:
    """Drop output schemas that promise what such a client is not given."""
    tools = result.get("tools")
    if not isinstance(tools, list):
        return result
    return {**result, "tools": [_promising_objects(tool) for tool in cast("list[Any]", tools)]}


def _promising_objects(tool: Any) -> Any:
    known = cast("dict[str, Any]", tool)
    schema = known.get("outputSchema")
    if not isinstance(schema, dict) or cast("JsonObject", schema).get("type") == "object":
        return known
    return {key: value for key, value in known.items() if key != "outputSchema"}
