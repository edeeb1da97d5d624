"""Calling a tool from the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, cast

import typer

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import EntryKind, JsonObject, Tool
from toolcrib_server.invocation.errands.errand import Asker
from toolcrib_server.runtime import Runtime

from .options import AsJson, parse_value
from .output import print_json, print_line
from .running import EXIT_TOOL_ERROR, run


def call(
    name: Annotated[str, typer.Argument(help="A tool's name, as `search` gives it.")],
    pairs: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Arguments of the tool.")
    ] = None,
    args: Annotated[
        str | None, typer.Option("--args", help="All arguments as a JSON object; - reads stdin.")
    ] = None,
    timeout_s: Annotated[float | None, typer.Option("--timeout", help="Seconds to wait.")] = None,
    as_json: AsJson = False,
) -> None:
    """Call a tool.

    A value is text where the tool wants text; elsewhere it is JSON if it can be read as JSON.
    """
    given = _parse_args(args)

    async def work(runtime: Runtime) -> dict[str, Any]:
        tool = runtime.store.find_entry(EntryKind.TOOL, name)
        schema: JsonObject = tool.input_schema if isinstance(tool, Tool) else {}
        arguments = given | _parse_pairs(pairs or [], schema)
        return await runtime.invoker.call(
            name, arguments, Asker(face="cli", principal="local", timeout_s=timeout_s), whole=True
        )

    result = run(work)
    if as_json:
        print_json(result)
    else:
        for block in cast("list[Mapping[str, Any]]", result.get("content") or []):
            print_line(_block_text(block))
    if result.get("isError"):
        raise typer.Exit(EXIT_TOOL_ERROR)


def _parse_args(args: str | None) -> dict[str, Any]:
    if args is None:
        return {}
    try:
        decoded = json.loads(sys.stdin.read() if args == "-" else args)
    except ValueError as error:
        raise InvalidInput(f"--args is not JSON: {error}") from error
    if not isinstance(decoded, dict):
        raise InvalidInput('--args must be a JSON object, as \'{"path": "/tmp"}\'.')
    return cast("dict[str, Any]", decoded)


def _parse_pairs(pairs: Iterable[str], schema: JsonObject) -> dict[str, Any]:
    declared = schema.get("properties")
    fields: JsonObject = (
        cast("Mapping[str, Any]", declared) if isinstance(declared, Mapping) else {}
    )
    arguments: dict[str, Any] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise InvalidInput(f"{pair!r} is no argument: write KEY=VALUE.")
        arguments[key] = value if _is_text(fields.get(key)) else parse_value(value)
    return arguments


def _is_text(field: object) -> bool:
    return isinstance(field, Mapping) and cast("JsonObject", field).get("type") == "string"


def _block_text(block: Mapping[str, Any]) -> str:
    match block.get("type"):
        case "text":
            return str(block.get("text", ""))
        case "image" | "audio" as kind:
            size = len(str(block.get("data", ""))) * 3 // 4
            return f"[{kind}, {block.get('mimeType', 'unknown type')}, {size} bytes; see --json]"
        case "resource_link":
            return f"[resource {block.get('uri')}]"
        case "resource":
            inner = cast("Mapping[str, Any]", block.get("resource") or {})
            return str(inner.get("text") or f"[resource {inner.get('uri')}]")
        case other:
            return f"[{other}; see --json]"
