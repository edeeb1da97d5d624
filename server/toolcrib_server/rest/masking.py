"""How a server is reached, as it may be shown: no secret in it; and back, where it comes unchanged.

References (``${…}``) show, so that one can see where a value comes from; literals do not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import (
    CatalogTransport,
    HttpTransport,
    SseTransport,
    StdioTransport,
    Transport,
)
from toolcrib_server.upstream.config.references import has_reference
from toolcrib_server.upstream.config.sensitive import split_args

MASK = "•••"
_REFERENCE = re.compile(r"\$\{([^{}]*?)(?::-[^{}]*)?\}")


def masked(transport: Transport) -> Transport:
    """Return the transport as it may be shown."""
    match transport:
        case StdioTransport(args=args, env=env):
            return replace(transport, args=_masked_args(args), env=_masked_values(env))
        case HttpTransport(url=url, headers=headers) | SseTransport(url=url, headers=headers):
            return replace(transport, url=mask_url(url), headers=_masked_values(headers))
        case CatalogTransport():
            return transport


def unmasked(given: Transport, stored: Transport) -> Transport:
    """Put stored values in the place of those that come back as they were shown.

    Only where they go to the same place: a secret does not follow to another host or command.

    Raises:
        InvalidInput: A masked value came for which nothing is stored.
    """
    whole = _restored(given, stored)
    for where, value in _values(whole):
        if MASK in value:
            raise InvalidInput(
                f"{where} is masked: send the value itself, or a reference such as ${{NAME}}."
            )
    return whole


def new_references(given: Transport, stored: Transport | None) -> list[str]:
    """Name the places of ``given`` that hold a reference which ``stored`` has not in that place.

    A stored one counts only while it goes to the same host or command.
    """
    known = _values(stored) if stored is not None and _same_place(given, stored) else []
    return [
        where
        for where, value in _values(given)
        if has_reference(value) and (where, value) not in known
    ]


def _same_place(given: Transport, stored: Transport) -> bool:
    match given, stored:
        case StdioTransport(), StdioTransport():
            return given.command == stored.command
        case ((HttpTransport() | SseTransport()), (HttpTransport() | SseTransport())):
            return _origin(given.url) == _origin(stored.url)
        case _:
            return False


def mask_value(value: str) -> str:
    """Mask all of a value but its references; their defaults go too."""
    parts = _REFERENCE.split(value)
    # split gives literal, name, literal, name, … literal
    return "".join(
        f"${{{part}}}" if index % 2 else (MASK if part.strip() else "")
        for index, part in enumerate(parts)
    )


def mask_url(url: str) -> str:
    """Mask a URL's user and the values of its query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return MASK
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{MASK}@{host}" if "@" in parts.netloc else parts.netloc
    pairs = [pair.partition("=") for pair in parts.query.split("&")] if parts.query else []
    query = "&".join(f"{name}={mask_value(value)}" if eq else name for name, eq, value in pairs)
    return urlunsplit((parts.scheme, netloc, parts.path, query, ""))


def _masked_values(values: Mapping[str, str]) -> dict[str, str]:
    return {name: mask_value(value) for name, value in values.items()}


def _masked_args(args: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        f"{part.shown}{mask_value(part.secret)}"
        if part.secret
        else (mask_url(part.shown) if "://" in part.shown else part.shown)
        for part in split_args(args)
    )


def mask_args(args: Sequence[str]) -> list[str]:
    """Mask what follows a flag that names a secret, and secrets in URLs."""
    return list(_masked_args(args))


def _restored(given: Transport, stored: Transport) -> Transport:
    match given, stored:
        case StdioTransport(), StdioTransport():
            if not _same_place(given, stored):
                return given
            args = stored.args if given.args == _masked_args(stored.args) else given.args
            return replace(given, args=args, env=_restored_values(given.env, stored.env))
        case ((HttpTransport() | SseTransport()), (HttpTransport() | SseTransport())):
            url = stored.url if given.url == mask_url(stored.url) else given.url
            if not _same_place(replace(given, url=url), stored):
                return given
            headers = _restored_values(given.headers, stored.headers)
            return replace(given, url=url, headers=headers)
        case _:
            return given


def _origin(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", url
    return parts.scheme, parts.netloc.rpartition("@")[2]


def _restored_values(given: Mapping[str, str], stored: Mapping[str, str]) -> dict[str, str]:
    return {
        name: stored[name] if name in stored and value == mask_value(stored[name]) else value
        for name, value in given.items()
    }


def _values(transport: Transport) -> list[tuple[str, str]]:
    match transport:
        case StdioTransport(args=args, env=env):
            listed = [("an argument", arg) for arg in args]
            return [*listed, *((f"env.{name}", value) for name, value in env.items())]
        case HttpTransport(url=url, headers=headers) | SseTransport(url=url, headers=headers):
            named = [(f"headers.{name}", value) for name, value in headers.items()]
            return [("url", url), *named]
        case CatalogTransport():
            return []
