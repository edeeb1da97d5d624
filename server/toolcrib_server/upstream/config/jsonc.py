"""JSON as people keep it in configuration files: comments, trailing commas, repeated keys noticed.

Knows nothing of servers. Positions in errors are those of the text as it was written.
"""

from __future__ import annotations

import json
import re
from typing import Any

from toolcrib_registry.errors import InvalidConfig

_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*"'  # a string: left alone, whatever it holds
    r"|//[^\n]*"
    r"|/\*.*?\*/"
    r"|,(?=(?:\s|//[^\n]*|/\*.*?\*/)*[}\]])",
    re.DOTALL,
)
_NOT_NEWLINE = re.compile(r"[^\n]")


class JsonObject(dict[str, Any]):
    """A decoded object that remembers which of its keys were written more than once."""

    repeated: tuple[str, ...] = ()


def parse_jsonc(text: str, *, file: str) -> Any:
    """Decode JSON, allowing comments and trailing commas. Objects come as `JsonObject`.

    Raises:
        InvalidConfig: the text is not JSON; the message holds line and column.
    """
    plain = _TOKEN.sub(_blank, text.removeprefix("\ufeff"))
    try:
        return json.loads(plain, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise InvalidConfig(
            f"line {error.lineno}, column {error.colno} is not JSON: {error.msg}.",
            file=file,
            fix=_fix_for(plain, error.pos),
        ) from None
    except RecursionError:
        raise InvalidConfig("is nested too deeply.", file=file, fix="Flatten it.") from None


def _blank(match: re.Match[str]) -> str:
    """Put spaces in place of what JSON forbids, so that positions stay true."""
    token = match.group()
    return token if token.startswith('"') else _NOT_NEWLINE.sub(" ", token)


def _object(pairs: list[tuple[str, Any]]) -> JsonObject:
    decoded = JsonObject(pairs)
    if len(decoded) != len(pairs):
        keys = [key for key, _ in pairs]
        decoded.repeated = tuple(sorted({key for key in keys if keys.count(key) > 1}))
    return decoded


def _fix_for(text: str, position: int) -> str:
    found = text[position : position + 1]
    if not text.strip():
        return 'The file is empty; write {"mcpServers": {}}.'
    if found == "'":
        return "JSON strings stand in double quotes."
    if not found:
        return "It ends too early; a closing bracket or quote is missing."
    return "Look there for a missing comma, quote or bracket."
