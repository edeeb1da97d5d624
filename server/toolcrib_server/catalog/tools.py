"""Reads ``tools.jsonl``: one tool a line, of any number of servers. Streams; keeps names only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast

from toolcrib_registry.types import (
    MAX_NAME_LENGTH,
    TAGS_KEY,
    JsonObject,
    ServerName,
    Tool,
    hash_content,
    qualified_name,
)
from toolcrib_server.upstream.config.names import MAX_SERVER_NAME_LENGTH, suggest_server_name

from .declared import read_declared
from .problem import Malformed, Problem, parse_rows

_DIGITS = 8


@dataclass(frozen=True, slots=True)
class ImportedTool:
    """A tool that was read, and the line it stood on."""

    line: int
    tool: Tool


def read_tools_jsonl(
    lines: Iterable[str | bytes], *, default_server: str = "tools"
) -> Iterator[ImportedTool | Problem]:
    """Read tools, one a line: ``id``, ``server`` (or ``group``), ``name``, ``description``,
    ``input_schema`` (or ``inputSchema``, or ``parameters`` where that is a schema of an object).

    Optional are ``title``, ``annotations``, ``output_schema`` (or ``outputSchema``), ``tags``,
    ``category``, ``domain`` and ``functionality`` (tags too), ``depends_on`` (names, or objects
    with a name), ``synthetic_questions``, ``questions`` and ``examples`` (what would be asked of
    it). Other fields are ignored.

    ``default_server`` names the server of rows that name none: pass the file's stem. Server names
    are cleaned to what may name a server. A row whose public name is taken by a row of another id
    gets eight hex digits of its own id at the end. A bad row yields a `Problem`.
    """  # noqa: D205  # the fields are the summary
    names = _Names(default_server)
    for number, row in parse_rows(lines):
        if isinstance(row, Problem):
            yield row
            continue
        try:
            yield ImportedTool(number, _tool(row, names, number))
        except Malformed as malformed:
            yield Problem(f"line {number}", str(malformed))


@dataclass(slots=True)
class _Names:
    """Which names are taken so far, and by what."""

    default_server: str
    servers: dict[str, ServerName] = field(default_factory=dict[str, ServerName])
    taken_servers: set[ServerName] = field(default_factory=set[ServerName])
    tools: dict[str, int] = field(default_factory=dict[str, int])
    ids: dict[str, int] = field(default_factory=dict[str, int])

    def server(self, given: str) -> ServerName:
        """Clean a server's name; two that come to the same are kept apart by a hash."""
        if given not in self.servers:
            name = ServerName(suggest_server_name(given))
            if name in self.taken_servers:
                name = ServerName(_suffixed(name, given, MAX_SERVER_NAME_LENGTH))
            self.servers[given] = name
            self.taken_servers.add(name)
        return self.servers[given]

    def claim_id(self, source_id: str | None, line: int) -> None:
        if source_id is None:
            return
        if source_id in self.ids:
            raise Malformed(f"id {source_id!r} is that of line {self.ids[source_id]} too")
        self.ids[source_id] = line

    def claim_tool(self, name: str, source_id: str | None, line: int) -> str:
        if name in self.tools and source_id is not None:
            name = _suffixed(name, source_id, MAX_NAME_LENGTH)
        if name in self.tools:
            raise Malformed(f"{name!r} stands on line {self.tools[name]} too")
        self.tools[name] = line
        return name


def _tool(row: JsonObject, names: _Names, line: int) -> Tool:
    local_name = _required(row, "name")
    description = _optional(row, "description") or ""
    server_name = _optional(row, "server") or _optional(row, "group") or names.default_server
    schema, declared = _schema(row), read_declared(row)
    definition: JsonObject = {
        "name": local_name,
        "description": description,
        "inputSchema": schema,
        **declared,
    }
    source_id = _id(row)
    names.claim_id(source_id, line)
    server = names.server(server_name)
    public = names.claim_tool(qualified_name(server, local_name), source_id, line)
    return Tool(
        name=public,
        title=declared.get("title"),
        description=description,
        server=server,
        local_name=local_name,
        definition=definition,
        content_hash=hash_content(definition),
        source_id=source_id,
        tags=tuple(declared.get("_meta", {}).get(TAGS_KEY, ())),
    )


def _required(row: JsonObject, key: str) -> str:
    value = _optional(row, key)
    if not value or not value.strip():
        raise Malformed(f"no {key!r}")
    return value


def _optional(row: JsonObject, key: str) -> str | None:
    value = row.get(key)
    if value is not None and not isinstance(value, str):
        raise Malformed(f"{key!r} must be text, not {type(value).__name__}")
    return value


def _id(row: JsonObject) -> str | None:
    value = row.get("id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _optional(row, "id") or None


def _schema(row: JsonObject) -> JsonObject:
    key = "input_schema" if row.get("input_schema") is not None else "inputSchema"
    value = row.get(key)
    if value is None:
        return _parameters(row) or {"type": "object"}
    if not isinstance(value, dict):
        raise Malformed(f"{key!r} must be an object, not {type(value).__name__}")
    return cast("JsonObject", value)


def _parameters(row: JsonObject) -> JsonObject | None:
    """Read the arguments as OpenAI's functions have them; other files list anything there."""
    value = row.get("parameters")
    if not isinstance(value, dict):
        return None
    given = cast("JsonObject", value)
    return given if given.get("type") == "object" else None


def _suffixed(name: str, original: str, limit: int) -> str:
    digest = hashlib.sha256(original.encode()).hexdigest()[:_DIGITS]
    return f"{name[: limit - _DIGITS - 1]}-{digest}"
