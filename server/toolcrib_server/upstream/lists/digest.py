"""The fingerprint of all that a server lists and says, to see at once that it is as it was.

Equal digests mean that sifting and comparing would come to the same entries. The order of a list
does not count, except among objects of one name, of which the first is the one that is kept.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, cast

from toolcrib_server.upstream.config.secrets import Redactor
from toolcrib_server.upstream.connecting.era import Greeting

from .shelves import Pages, Shelf, have_failed, narrowest_scope

_RULES = "1"
"""Raise it when the rules for what is kept of a listing change: all is then sifted anew."""

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), check_circular=False).encode


def digest_pages(pages: Pages, greeting: Greeting, *, redact: Redactor) -> str | None:
    """SHA-256 over what was said and listed, in hex; None when a part of it could not be read."""
    if have_failed(pages.values()):
        return None
    try:
        lists = [[shelf.method, _in_order(shelf, read.objects)] for shelf, read in pages.items()]
        text = _encode([_RULES, _said(greeting, redact), narrowest_scope(pages), lists])
    except (RecursionError, ValueError):
        return None
    return hashlib.sha256(text.encode()).hexdigest()


def _said(greeting: Greeting, redact: Redactor) -> list[Any]:
    said = [greeting.name, greeting.version, greeting.instructions, greeting.capabilities]
    return [greeting.protocol_version, *redact.mask_all(said)]


def _in_order(shelf: Shelf, objects: list[Any]) -> list[Any]:
    if len(objects) < 2:  # noqa: PLR2004  # nothing to order
        return objects
    return sorted(objects, key=lambda listed: _identity(shelf, listed))  # stable


def _identity(shelf: Shelf, listed: object) -> str:
    if not isinstance(listed, dict):
        return ""
    return str(cast("dict[str, Any]", listed).get(shelf.identity))
