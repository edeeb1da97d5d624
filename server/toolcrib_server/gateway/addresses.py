"""URIs that say themselves of which server they are: ``toolcrib://servers/NAME/`` and its own URI.

A URI names one thing in a list, and two servers may have called theirs by the same. What is put
before a URI, or before a template, makes another one of it that can be read at once.
"""

from __future__ import annotations

from typing import Final

from toolcrib_registry.types import ServerName

PREFIX: Final = "toolcrib://servers/"


def address(server: ServerName, uri: str) -> str:
    """Say of which server a URI, or a URI template, is meant."""
    return f"{PREFIX}{server}/{uri}"


def split_address(uri: str) -> tuple[ServerName, str] | None:
    """Take an address apart: the server, and the URI that it knows; None if it is none."""
    if not uri.startswith(PREFIX):
        return None
    server, _, own = uri.removeprefix(PREFIX).partition("/")
    return (ServerName(server), own) if server and own else None
