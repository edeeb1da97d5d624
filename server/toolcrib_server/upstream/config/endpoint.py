"""What the URL and headers of a remote server may look like. Nothing is dialled here."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from .place import Place

# --- values ------------------------------------------------------------------------------------


def check_url(url: str, place: Place, *, resolved: bool = False) -> None:
    """Refuse what is not an http or https URL, or carries credentials.

    ``resolved`` says that its references have been replaced, and all of it is to be judged.

    Raises:
        InvalidConfig: it names the fix.
    """
    if url.startswith("${") and not resolved:
        return  # nothing to see until it is resolved, at connect time
    try:
        parts = urlsplit(url)
        port_is_number = parts.port is None or parts.port > 0
    except ValueError as error:
        raise place.wrong(f"is not a URL: {error}.", "Write http://HOST:PORT/PATH.") from None
    if parts.scheme not in {"http", "https"} or not parts.netloc or not port_is_number:
        raise place.wrong(
            f"{_without_userinfo(url)!r} is not an http or https URL.",
            "Write http://HOST:PORT/PATH or https://HOST/PATH.",
        )
    if not url.isascii() or "\\" in url or any(character <= " " for character in url):
        raise place.wrong(
            "holds a space, a backslash or a letter outside ASCII.",
            "Write the host in its ASCII form (xn--…) and percent-encode the rest.",
        )
    if "@" in parts.netloc:
        raise place.wrong(
            "holds a user name or password.",
            'Put the credentials under headers, as {"Authorization": "Basic ${VAR}"}.',
        )


def _without_userinfo(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"{head.partition('//')[0]}//…@{tail}" if at else url


_TOKEN_MARKS = frozenset("!#$%&'*+-.^_`|~")


def check_headers(headers: Mapping[str, str], place: Place) -> None:
    """Refuse header names and values that cannot be sent.

    Raises:
        InvalidConfig: it names the header.
    """
    for name, value in headers.items():
        if not name or not all((c.isascii() and c.isalnum()) or c in _TOKEN_MARKS for c in name):
            raise place.at(name).wrong("is not a header name.", "Use letters, digits and '-'.")
        if any(character in value for character in "\r\n\0"):
            raise place.at(name).wrong("its value holds a line break.", "Put one line there.")
