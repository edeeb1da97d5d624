"""The ``mcpServers`` file in the shapes of Claude, Cursor and VS Code: text in, servers out.

Knows spelling, not connections: nothing is looked up, resolved or dialled here.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolcrib_registry.errors import InvalidConfig
from toolcrib_registry.types import (
    ChangePolicy,
    HttpTransport,
    Server,
    SseTransport,
    StdioTransport,
)

from .endpoint import check_headers, check_url
from .entries import find_kind
from .entry_reading import EntryReading, build_server
from .jsonc import JsonObject, parse_jsonc
from .names import check_server_name
from .place import Place, describe

_MAPS = ("mcpServers", "servers")


@dataclass(frozen=True, slots=True)
class ParsedConfig:
    """What a file said, and what in it had no effect."""

    servers: tuple[Server, ...]
    warnings: tuple[str, ...] = ()


def load_servers(
    path: Path, *, origin: str | None = None, on_change: ChangePolicy = ChangePolicy.MARK
) -> ParsedConfig:
    """Read an ``mcpServers`` file; ``on_change`` is the policy of servers that name none.

    Raises:
        InvalidConfig: as `parse_servers`, or the file cannot be read.
    """
    file = str(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InvalidConfig("there is no such file.", file=file, fix="Check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfig(
            f"cannot be read: {error}.", file=file, fix="It must be UTF-8 text you may read."
        ) from error
    return parse_servers(text, file=file, origin=origin, on_change=on_change)


def parse_servers(
    text: str,
    *,
    file: str,
    origin: str | None = None,
    on_change: ChangePolicy = ChangePolicy.MARK,
) -> ParsedConfig:
    """Read the servers of an ``mcpServers`` file, in the order written.

    ``origin`` is noted with each server; ``config:FILE`` unless given.

    Raises:
        InvalidConfig: anything in it is wrong; the error names file, key and fix.
    """
    top = Place(file, "")
    root = _object(parse_jsonc(text, file=file), top)
    warnings: list[str] = []
    servers: dict[str, Server] = {}
    for place, entries in _find_maps(root, top):
        _refuse_repeated(entries, place)
        for name, raw in entries.items():
            if name in servers:
                raise _twice(place.at(name), name)
            reading = EntryReading(
                name, place.at(name), origin=origin or f"config:{file}", on_change=on_change
            )
            servers[name] = reading.read(_object(raw, place.at(name)))
            warnings += reading.warnings
    return ParsedConfig(tuple(servers.values()), tuple(warnings))


def _find_maps(root: JsonObject, top: Place) -> list[tuple[Place, JsonObject]]:
    _refuse_repeated(root, top)
    found = _maps_in(root, top)
    nested = root.get("mcp")  # VS Code's settings.json keeps the map one level down
    if not found and isinstance(nested, JsonObject):
        found = _maps_in(nested, top.at("mcp"))
    if found:
        return found
    near = difflib.get_close_matches("mcpServers", root, n=1, cutoff=0.6)
    if near:
        raise top.at(near[0]).wrong("is not a known key.", "Write it as 'mcpServers'.")
    raise top.wrong(
        "holds no servers.", 'Put them under "mcpServers": {"NAME": {"command": …} or {"url": …}}.'
    )


def _maps_in(holder: JsonObject, place: Place) -> list[tuple[Place, JsonObject]]:
    present = [key for key in _MAPS if key in holder]
    return [(place.at(key), _object(holder[key], place.at(key))) for key in present]


def _object(value: Any, place: Place) -> JsonObject:
    if isinstance(value, JsonObject):
        return value
    raise place.wrong(f"is {describe(value)}, not an object.", "Write {…} there.")


def _refuse_repeated(entries: JsonObject, place: Place) -> None:
    if entries.repeated:
        raise _twice(place.at(entries.repeated[0]), entries.repeated[0])


def _twice(place: Place, name: str) -> InvalidConfig:
    return place.wrong(f"{name!r} stands there twice.", "Rename or remove one of them.")


# --- from the command line or an API -----------------------------------------------------------


def server_from_command(
    name: str,
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    tags: Sequence[str] = (),
    enabled: bool = True,
    start_timeout_s: float | None = None,
    call_timeout_s: float | None = None,
    origin: str = "cli",
    on_change: ChangePolicy = ChangePolicy.MARK,
) -> Server:
    """Describe a server that is run as a child process: ``argv`` is the command and its arguments.

    Raises:
        InvalidConfig: the name cannot name a server, or there is no command.
    """
    if not argv or not argv[0]:
        raise _place(name).wrong("there is no command.", "Give the command to run.")
    return build_server(
        check_server_name(name, file=f"server {name!r}"),
        StdioTransport(argv[0], tuple(argv[1:]), dict(env or {}), cwd),
        tags=tags,
        enabled=enabled,
        start_timeout_s=start_timeout_s,
        call_timeout_s=call_timeout_s,
        origin=origin,
        on_change=on_change,
    )


def _place(name: str) -> Place:
    return Place(f"server {name!r}", "")


def server_from_url(
    name: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    transport: str = "http",
    tags: Sequence[str] = (),
    enabled: bool = True,
    start_timeout_s: float | None = None,
    call_timeout_s: float | None = None,
    origin: str = "cli",
    on_change: ChangePolicy = ChangePolicy.MARK,
) -> Server:
    """Describe a server reached by URL; ``transport`` is ``http`` or ``sse`` in any spelling.

    Raises:
        InvalidConfig: the name cannot name a server, or URL, headers or transport are wrong.
    """
    place = _place(name)
    kind = find_kind(transport)
    if kind not in {"http", "sse"}:
        raise place.at("transport").wrong(f"{transport!r} takes no URL.", "Use 'http' or 'sse'.")
    check_url(url, place.at("url"))
    check_headers(headers or {}, place.at("headers"))
    make = HttpTransport if kind == "http" else SseTransport
    return build_server(
        check_server_name(name, file=f"server {name!r}"),
        make(url, dict(headers or {})),
        tags=tags,
        enabled=enabled,
        start_timeout_s=start_timeout_s,
        call_timeout_s=call_timeout_s,
        origin=origin,
        on_change=on_change,
    )
