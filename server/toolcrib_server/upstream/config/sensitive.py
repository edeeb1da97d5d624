"""Which parts of a server's settings hold a secret, told by their names and, at last, their shape.

Knows spelling alone: nothing is moved, masked or looked up here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

_WORDS = r"key|token|secret|passw|auth|credential"
_NAME = rf"[\w-]*(?:{_WORDS})[\w-]*"
_SECRET_FLAG = re.compile(rf"--?{_NAME}", re.IGNORECASE)
_SECRET_INSIDE = re.compile(rf"--?{_NAME}[^=:]*[=:]|{_NAME}\s*[=:]\s*(?!/)", re.IGNORECASE)
"""`--token=X`; also `NAME_TOKEN=X` and `Authorization: X`, which other flags take."""
_SECRET_PARAMETER = re.compile(_WORDS, re.IGNORECASE)
_SECRET_NAME = re.compile(rf"{_WORDS}|pass|pwd|cookie", re.IGNORECASE)
_RUN = re.compile(r"(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9+=]{20,}")
_OPEN_REFERENCE = re.compile(r"\$\{[^{}]*\Z")
_BETWEEN_PAIRS = re.compile(r"&(?![^{}]*\})")  # not one inside of a reference


@dataclass(frozen=True, slots=True)
class Split:
    """A text in two: what may be shown, and the secret that follows it (empty when there is none).

    ``name`` is that of a query's parameter.
    """

    shown: str
    secret: str = ""
    name: str = ""


def split_args(args: Sequence[str]) -> list[Split]:
    """Part each argument of a command from the secret in it.

    The whole of a URL with a password, or with a secret in its query, is one.
    """
    parts: list[Split] = []
    follows_flag = False
    for arg in args:
        inside = _SECRET_INSIDE.match(arg)
        follows, follows_flag = follows_flag, not inside and bool(_SECRET_FLAG.match(arg))
        if follows and not arg.startswith("-"):
            parts.append(Split("", arg))
        elif inside:
            parts.append(Split(inside.group(), arg[inside.end() :]))
        else:
            parts.append(Split("", arg) if _is_secret_url(arg) else Split(arg))
    return parts


def split_query(query: str) -> Iterator[Split]:
    """Part each ``name=value`` of a query, undecoded; the value is secret where its name says so.

    The shown parts hold the separators: all parts joined are the query.
    """
    for at, pair in enumerate(_BETWEEN_PAIRS.split(query)):
        name, equals, value = pair.partition("=")
        lead = "&" if at else ""
        if equals and _SECRET_PARAMETER.search(name):
            yield Split(f"{lead}{name}=", value, name)
        else:
            yield Split(f"{lead}{pair}")


def split_url(url: str) -> tuple[str, str, str]:
    """Cut a URL into what precedes its query (with the ``?``), the query, and its fragment."""
    head, mark, rest = url.partition("?")
    if _OPEN_REFERENCE.search(head):
        return url, "", ""
    query, sharp, fragment = rest.partition("#")
    return head + mark, query, sharp + fragment


def find_url_secrets(url: str) -> list[str]:
    """Find the secret values in a URL's query, undecoded."""
    return [part.secret for part in split_query(split_url(url)[1]) if part.secret]


def is_secret(name: str, value: str) -> bool:
    """Whether a variable or header holds a secret, rather than a word such as ``production``."""
    return bool(_SECRET_NAME.search(name) or _RUN.search(value)) or _is_secret_url(value)


def _is_secret_url(arg: str) -> bool:
    if "://" not in arg:
        return False
    try:
        netloc = urlsplit(arg).netloc
    except ValueError:
        netloc = ""
    has_password = ":" in netloc.rpartition("@")[0]
    return has_password or bool(find_url_secrets(arg))
