"""Tells from what came of a call whether the tool is not what the registry says it is.

Knows how servers say that they have no such tool, or want other arguments: by the specification as
an error, in practice often as the text of a result. Only what the registry contradicts counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, cast

import anyio
from mcp_types import HEADER_MISMATCH, INVALID_PARAMS, METHOD_NOT_FOUND

from toolcrib_registry.errors import UpstreamProtocolError
from toolcrib_registry.types import ServerName, Tool
from toolcrib_server.upstream.backoff import Backoff

_MOST_CHARS = 8000
_PAUSE_S = (5.0, 300.0)
_QUIET_S = 600.0
_MOST_SERVERS = 10_000

_UNKNOWN = r"\b(?:unknown|no such|invalid) tool|\bno tool (?:named|called|with name)"
_ABSENT = r"(?:not found|unknown|does not exist|no longer|is not (?:available|registered))"
_BETWEEN = r"[\s:'\"`]{0,4}"
_WANTED = (
    re.compile(r"'([^'\n]{1,200})' is a required property"),
    re.compile(r"^(\S{1,200})\n\s{1,8}(?:Field required|Missing required)", re.MULTILINE),
    re.compile(
        r"missing (?:a )?required (?:argument|parameter|property|field)s?:? {0,2}"
        r"['\"`]?([A-Za-z_][\w-]{0,100})",
        re.IGNORECASE,
    ),
    re.compile(r'"received": ?"undefined",\s{0,20}"path": ?\[\s{0,20}"([^"\n]{1,200})"'),
)
"""What a server says it was not given."""
_UNWANTED = (
    re.compile(
        r"Additional properties are not allowed \((?:'[^'\n]{1,200}', ){0,20}'([^'\n]{1,200})'"
    ),
    re.compile(
        r"^(\S{1,200})\n\s{1,8}(?:Unexpected keyword argument|Extra inputs are not permitted)",
        re.MULTILINE,
    ),
    re.compile(
        r"(?:unknown|unexpected|unsupported|unrecognized) (?:keyword )?"
        r"(?:argument|parameter|property|field|key)s?(?:\(s\))?(?: in object)?:? {0,2}"
        r"['\"`]?([A-Za-z_][\w-]{0,100})",
        re.IGNORECASE,
    ),
)
"""What a server says it does not take."""


class Drift(StrEnum):
    """How a tool differs from what the registry says."""

    GONE = "gone"
    CHANGED = "changed"


def find_drift_in_error(tool: Tool, error: UpstreamProtocolError) -> Drift | None:
    """Judge the error that a call ended in."""
    match error.rpc_code:
        case code if code == METHOD_NOT_FOUND:
            return Drift.GONE
        case code if code == HEADER_MISMATCH:
            return Drift.CHANGED
        case code if code == INVALID_PARAMS:
            return _judge(tool, error.reason)
        case _:
            return None


def find_drift_in_result(tool: Tool, result: dict[str, Any]) -> Drift | None:
    """Judge a result that says of itself that it is an error."""
    return _judge(tool, read_text(result)) if result.get("isError") is True else None


def _judge(tool: Tool, text: str) -> Drift | None:
    if _says_gone(tool.local_name, text):
        return Drift.GONE
    known = tool.input_schema.get("properties")
    properties = cast("dict[str, Any]", known) if isinstance(known, dict) else {}
    wants_more = any(name not in properties for name in _named(_WANTED, text))
    takes_less = any(name in properties for name in _named(_UNWANTED, text))
    return Drift.CHANGED if wants_more or takes_less else None


def _says_gone(name: str, text: str) -> bool:
    if name not in text:
        return False
    exact = _BETWEEN + re.escape(name) + r"(?![\w-])" + _BETWEEN
    said = rf"(?:{_UNKNOWN}){exact}|\btool{exact}(?:was |is |could be )?{_ABSENT}"
    return re.search(said, text, re.IGNORECASE) is not None


def _named(patterns: tuple[re.Pattern[str], ...], text: str) -> Iterator[str]:
    for pattern in patterns:
        for found in pattern.finditer(text):
            yield found[1].partition(".")[0]


def read_text(result: dict[str, Any]) -> str:
    """Join the text of a result, as far as it is looked at."""
    blocks = cast("list[dict[str, Any]]", result.get("content") or [])
    texts = [text for block in blocks if isinstance(text := block.get("text"), str)]
    return "\n".join(texts)[:_MOST_CHARS]


def describe_drift(error: UpstreamProtocolError, drift: Drift) -> UpstreamProtocolError:
    """Say it to whoever called, who may have the tool from a search a moment ago."""
    how = "has this tool no more" if drift is Drift.GONE else "wants other arguments now"
    reason = error.reason.rstrip()
    ended = reason if reason.endswith((".", "!", "?")) else f"{reason}."
    return UpstreamProtocolError(
        error.server,
        f"{ended} It seems that the server {how}; the catalogue is being brought up to date: "
        "search again, or read the tool's details, before another call.",
        rpc_code=error.rpc_code,
        rpc_message=error.rpc_message,
        rpc_data=error.rpc_data,
    )


class Notices:
    """Has servers looked at again, each once per burst, and ever more rarely while it goes on."""

    def __init__(self, notice: Callable[[ServerName], None]) -> None:
        self._notice = notice
        self._pauses: dict[ServerName, tuple[Backoff, float]] = {}

    def tell(self, name: ServerName) -> None:
        """Note that something about a server is out of date, in the event loop."""
        now = anyio.current_time()
        backoff, until = self._pauses.get(name) or (Backoff(*_PAUSE_S), now)
        if now < until:
            return
        if now - until > _QUIET_S:
            backoff.reset()
        if len(self._pauses) >= _MOST_SERVERS:
            self._pauses.clear()
        self._pauses[name] = backoff, now + backoff.next_s()
        self._notice(name)
