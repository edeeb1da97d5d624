"""What a server may be called, so that ``server__tool`` can be read back and stands in a URL."""

from __future__ import annotations

import re

from toolcrib_registry.errors import InvalidConfig
from toolcrib_registry.types import NAME_SEPARATOR, ServerName

MAX_SERVER_NAME_LENGTH = 40
"""Leaves room for the tool's own name within the 64 characters model providers accept."""

_GOOD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9.-])?")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_RULE = (
    f"1 to {MAX_SERVER_NAME_LENGTH} letters, digits, '_', '-' or '.', starting with a letter or "
    f"digit, not ending in '_', and without {NAME_SEPARATOR!r}"
)


def suggest_server_name(name: str) -> str:
    """Clean ``name`` until it may name a server: a spelling close to what was meant."""
    clean = _NOT_IN_A_NAME.sub("-", name)
    clean = re.sub(r"_{2,}", "_", clean)
    clean = clean[:MAX_SERVER_NAME_LENGTH].lstrip("_.-").rstrip("_-")
    return clean or "server"


def check_server_name(name: str, *, file: str, key: str | None = None) -> ServerName:
    """Narrow ``name`` to one that may name a server.

    Raises:
        InvalidConfig: it may not; the fix suggests a name that may.
    """
    fits = len(name) <= MAX_SERVER_NAME_LENGTH and _GOOD.fullmatch(name)
    if not fits or NAME_SEPARATOR in name:
        raise InvalidConfig(
            f"{name!r} cannot name a server ({_RULE}).",
            file=file,
            key=key,
            fix=f"Call it {suggest_server_name(name)!r}.",
        )
    return ServerName(name)
