"""How calls are treated: one policy for all, and what differs for a server or a tool.

Plain values, read from settings. Knows no call.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, cast

from toolcrib_registry.errors import InvalidConfig
from toolcrib_registry.types import NAME_SEPARATOR, ServerName

EVERYTHING = "*"
"""Names all servers."""
_WHERE = "TOOLCRIB_CALL_POLICY"
_MOST = 1_000_000_000


class OutputCheck(StrEnum):
    """What becomes of a result that its tool's output schema forbids."""

    OFF = "off"
    """Nobody looks."""
    WARN = "warn"
    """It is handed on, and marked."""
    REFUSE = "refuse"
    """The call ends in an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPolicy:
    """How calls of one tool, or other requests to one server, are treated."""

    concurrency: int = 100
    """Calls that a server answers at once; of the server, not of a tool, as the next two."""
    queue: int = 1_000
    """Calls that may wait for that."""
    queue_wait_s: float = 30.0
    """How long one may wait, within its deadline."""
    retries: int = 2
    """Further tries of a call that may be repeated unnoticed."""
    hedge_after_s: float = 0.0
    """When a second try is sent beside one that may be repeated and is not answered; 0 is never."""
    breaker: bool = True
    """Whether a server that fails again and again is left alone for a while; of the server."""
    output: OutputCheck = OutputCheck.WARN
    inline_bytes: int = 1024 * 1024
    """How much text and structured content of a result is handed on at once; 0 is all."""
    cache_s: float = 0.0
    """How long results of a read-only tool are kept; 0 is not at all."""
    cache_shared: bool = False
    """Whether a kept result may be shown to others than who called."""


_LIMITS: Mapping[str, tuple[float, float]] = {
    "concurrency": (1, _MOST),
    "queue": (0, _MOST),
    "queue_wait_s": (0, _MOST),
    "retries": (0, 10),
    "hedge_after_s": (0, _MOST),
    "inline_bytes": (0, _MOST),
    "cache_s": (0, _MOST),
}
_OF_SERVERS = frozenset({"concurrency", "queue", "queue_wait_s", "breaker"})
_NAMES = tuple(each.name for each in fields(CallPolicy))


class Policies:
    """The policy of each server and tool. ``overrides`` are fields by ``*``, server or tool."""

    def __init__(self, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Check them.

        Raises:
            InvalidConfig: A name, or a value, makes no sense.
        """
        self._overrides = {
            name: _checked(name, values) for name, values in (overrides or {}).items()
        }
        self._base = replace(CallPolicy(), **self._overrides.get(EVERYTHING, {}))

    def of(self, server: ServerName, tool: str | None = None) -> CallPolicy:
        """Return the policy of a server, or of one of its tools by its public name."""
        changes = self._overrides.get(server, {})
        if tool is not None and tool in self._overrides:
            changes = {**changes, **self._overrides[tool]}
        return replace(self._base, **changes) if changes else self._base


def _checked(name: str, values: object) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise InvalidConfig("is no JSON object.", file=_WHERE, key=name)
    given = cast("Mapping[str, Any]", values)
    return {key: _value(name, key, value) for key, value in given.items()}


def _value(name: str, key: str, value: object) -> Any:
    where = f"{name}.{key}"
    if key not in _NAMES:
        known = ", ".join(_NAMES)
        raise InvalidConfig("is not known.", file=_WHERE, key=where, fix=f"Known are: {known}.")
    if NAME_SEPARATOR in name and key in _OF_SERVERS:
        server = name.partition(NAME_SEPARATOR)[0]
        raise InvalidConfig(
            "is of a whole server, not of a tool.", file=_WHERE, key=where, fix=f"Use {server!r}."
        )
    if key == "output":
        return _choice(where, value)
    if key in {"breaker", "cache_shared"}:
        if isinstance(value, bool):
            return value
        raise InvalidConfig("is neither true nor false.", file=_WHERE, key=where)
    return _number(where, key, value)


def _choice(where: str, value: object) -> OutputCheck:
    if isinstance(value, str) and value in set(OutputCheck):
        return OutputCheck(value)
    known = ", ".join(OutputCheck)
    raise InvalidConfig("is not known.", file=_WHERE, key=where, fix=f"Known are: {known}.")


def _number(where: str, key: str, value: object) -> float:
    lowest, highest = _LIMITS[key]
    whole = not key.endswith("_s")
    right = isinstance(value, int) if whole else isinstance(value, int | float)
    if isinstance(value, bool) or not right or not math.isfinite(cast("float", value)):
        kind = "a whole number" if whole else "a number"
        raise InvalidConfig(f"is not {kind}.", file=_WHERE, key=where)
    number = cast("float", value)
    if not lowest <= number <= highest:
        fix = f"It is from {lowest:g} to {highest:g}."
        raise InvalidConfig(f"is {number:g}.", file=_WHERE, key=where, fix=fix)
    return number
