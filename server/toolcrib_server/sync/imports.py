"""What is in this file? Servers, tools or models, told by the content and not by the name."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TextIO, cast

from toolcrib_registry.errors import InvalidConfig, InvalidInput
from toolcrib_registry.types import ChangePolicy, JsonObject, Model, Server, Tool
from toolcrib_server.catalog.card import is_card, read_card
from toolcrib_server.catalog.models import read_models
from toolcrib_server.catalog.problem import Problem
from toolcrib_server.catalog.tools import read_tools_jsonl
from toolcrib_server.upstream.config.mcp_servers import load_servers

from .bulk import uncollected

_SERVER_KEYS = frozenset({"mcpServers", "servers", "mcp"})
_TOOL_KEYS = frozenset({"input_schema", "inputSchema"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A file's content: one of servers, tools and models, and what in it could not be read."""

    source: str
    servers: tuple[Server, ...] = ()
    tools: tuple[Tool, ...] = ()
    models: tuple[Model, ...] = ()
    problems: tuple[str, ...] = ()


def read_import(
    path: Path,
    *,
    base: Path | None = None,
    name: str | None = None,
    on_change: ChangePolicy = ChangePolicy.MARK,
) -> Imported:
    """Read a file of servers (``mcpServers``), tools (JSON lines) or models (any known shape).

    A model's card may need to be told by ``name`` whose it is.

    ``base`` is the catalogue of models that a file of provider offers refers to; ``on_change`` the
    policy of servers that name none.

    Raises:
        InvalidInput: The file cannot be read, is empty, or is none of these.
        InvalidConfig: It is an mcpServers file with something wrong in it.
    """
    source = str(path.resolve())
    if card := _card_in(path, name):
        return Imported(source=source, models=(card,))
    first = _first_object(path)
    if first is None or _SERVER_KEYS & first.keys():
        parsed = _read_servers(path, on_change)
        if parsed is not None:
            return parsed
    if first is not None and _is_tool(first):
        return _read_tools(path, source)
    try:
        catalog = read_models(path, base=base)
    except InvalidInput as error:
        raise InvalidInput(
            f"{path} is neither an mcpServers file, nor a tools.jsonl (name and description, with "
            f"input_schema or server), nor a catalogue of models: {error.detail}"
        ) from error
    return Imported(
        source=source,
        models=catalog.models,
        problems=tuple(str(problem) for problem in catalog.problems),
    )


def _card_in(path: Path, name: str | None) -> Model | None:
    """Read a Hugging Face model card; None where it is none."""
    with _opened(path) as file:
        text = file.read() if file.read(3) == "---" else ""
    if not text or not is_card(f"---{text}"):
        return None
    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC).date()
    return read_card(f"---{text}", name=name, as_of=modified)


def _read_servers(path: Path, on_change: ChangePolicy) -> Imported | None:
    """Read it as an ``mcpServers`` file, or return None where it plainly is none."""
    with _opened(path) as file:
        text = file.read().lstrip()
    if not text.startswith(("{", "//", "/*")):
        return None
    parsed = load_servers(path, on_change=on_change)
    if not parsed.servers:
        raise InvalidConfig(
            "there are no servers in it.",
            file=str(path),
            fix="Servers stand under 'mcpServers' (or 'servers', in VS Code's file).",
        )
    return Imported(
        source=str(path.resolve()), servers=parsed.servers, problems=tuple(parsed.warnings)
    )


@uncollected()
def _read_tools(path: Path, source: str) -> Imported:
    tools: list[Tool] = []
    problems: list[str] = []
    with path.open("rb") as lines:
        for row in read_tools_jsonl(lines, default_server=path.stem):
            if isinstance(row, Problem):
                problems.append(str(row))
            else:
                tools.append(row.tool)
    if not tools:
        raise InvalidInput(f"{path} holds no tool that can be read. {' '.join(problems[:3])}")
    return Imported(source=source, tools=tuple(tools), problems=tuple(problems))


def _is_tool(row: JsonObject) -> bool:
    """Whether a row describes a tool: models have prices and limits, never arguments."""
    if _TOOL_KEYS & row.keys():
        return True
    return {"name", "description"} <= row.keys() and bool({"server", "group"} & row.keys())


def _first_object(path: Path) -> JsonObject | None:
    """Read the first line that is a JSON object, or the file if it is one; else None."""
    for text in _candidates(path):
        try:
            decoded = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(decoded, dict):
            return cast("JsonObject", decoded)
        if isinstance(decoded, list) and decoded and isinstance(decoded[0], dict):
            return cast("JsonObject", decoded[0])
    return None


def _candidates(path: Path) -> Iterator[str]:
    with _opened(path) as file:
        head = list(islice(file, 3))
    if not "".join(head).strip():
        raise InvalidInput(f"{path} is empty.")
    yield from (line for line in head if line.strip())
    with _opened(path) as file:
        yield file.read()


@contextmanager
def _opened(path: Path) -> Generator[TextIO]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield file
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InvalidInput(f"{path} cannot be read: {why}.") from error
