"""Values that must never be shown: kept in one private file, masked in any text.

Knows how a server's settings name a secret; does not know when they are resolved.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import threading
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit

from toolcrib_registry.errors import InvalidConfig
from toolcrib_registry.files import PRIVATE, write_whole
from toolcrib_registry.types import (
    CatalogTransport,
    HttpTransport,
    Server,
    ServerName,
    SseTransport,
    StdioTransport,
)

from .jsonc import parse_jsonc
from .references import has_reference, list_secret_keys
from .sensitive import Split, split_args, split_query, split_url

MASK = "•••"
_SHORTEST_SECRET = 6
"""Shorter values are too likely to be ordinary words to be masked everywhere."""
_NOT_IN_A_KEY = re.compile(r"[^\w.-]", re.ASCII)


class SecretStore:
    """A JSON file of secrets, readable by its owner alone. Thread-safe; safe between processes.

    Another process's writes are seen at the next look-up. A file that does not exist is empty.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._values: dict[str, str] = {}
        self._seen: tuple[int, int, int] | None = None

    def find(self, key: str) -> str | None:
        """Look up a secret; None when there is none of that key.

        Raises:
            InvalidConfig: the file is damaged.
        """
        with self._guard:
            self._refresh()
            return self._values.get(key)

    def list_keys(self) -> tuple[str, ...]:
        """List every key, sorted; no values.

        Raises:
            InvalidConfig: the file is damaged.
        """
        with self._guard:
            self._refresh()
            return tuple(sorted(self._values))

    def put(self, values: Mapping[str, str]) -> None:
        """Add or replace secrets, in one write.

        Raises:
            InvalidConfig: the file is damaged.
        """
        if values:
            self._change(lambda now: {**now, **values})

    def remove_server(self, name: ServerName) -> int:
        """Drop every secret of a server; say how many there were.

        Raises:
            InvalidConfig: the file is damaged.
        """
        prefix = f"{name}/"
        return self._change(
            lambda now: {key: value for key, value in now.items() if not key.startswith(prefix)}
        )

    def _change(self, change: Callable[[dict[str, str]], dict[str, str]]) -> int:
        with self._guard, _locked(self._path):
            self._refresh()
            values = change(self._values)
            removed = len(self._values) - len(values)
            if values != self._values:
                write_whole(self._path, json.dumps(values, indent=1, sort_keys=True).encode())
                self._refresh()
            return removed

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._values, self._seen = {}, None
            return
        seen = (status.st_mtime_ns, status.st_ino, status.st_size)
        if seen != self._seen:
            if status.st_mode & 0o077:
                self._path.chmod(PRIVATE)
            self._values, self._seen = _read(self._path), seen


def _read(path: Path) -> dict[str, str]:
    decoded = parse_jsonc(path.read_text(encoding="utf-8"), file=str(path))
    if not isinstance(decoded, dict):
        raise InvalidConfig("is not a JSON object.", file=str(path), fix="Restore or remove it.")
    return {str(key): str(value) for key, value in decoded.items()}  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]  # keys and values of decoded JSON


@contextmanager
def _locked(path: Path) -> Generator[None]:
    """Keep other processes from writing between our read and our write."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        import fcntl  # noqa: PLC0415  # absent on Windows, where the last writer wins
    except ImportError:
        yield
        return
    with path.with_name(f"{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def seal(server: Server, secrets: SecretStore) -> Server:
    """Move literal secrets into ``secrets``; return the server with references in their places.

    They are the values of env and headers, and what `sensitive` finds in arguments and in a URL's
    query. Values that hold a reference already, and empty ones, stay as they are.

    Raises:
        InvalidConfig: the secrets file is damaged.
    """
    sealing = _Sealing(server)
    match server.transport:
        case StdioTransport(args=args, env=env) as stdio:
            transport = replace(stdio, args=sealing.args(args), env=sealing.values("env", env))
        case HttpTransport(url=url, headers=headers) | SseTransport(url=url, headers=headers) as to:
            transport = replace(
                to, url=sealing.url(url), headers=sealing.values("headers", headers)
            )
        case CatalogTransport():
            return server
    secrets.put(sealing.moved)
    return replace(server, transport=transport)


class _Sealing:
    """Puts references in the place of literals; ``moved`` is what they refer to."""

    def __init__(self, server: Server) -> None:
        self._server = server.name
        self._referred = list_secret_keys(server.transport)
        self.moved: dict[str, str] = {}

    def values(self, field: str, values: Mapping[str, str]) -> dict[str, str]:
        return {name: self._reference(field, name, value) for name, value in values.items()}

    def args(self, args: Sequence[str]) -> tuple[str, ...]:
        parts = enumerate(split_args(args))
        return tuple(self._rejoin("args", str(at), part) for at, part in parts)

    def url(self, url: str) -> str:
        head, query, fragment = split_url(url)
        parts = split_query(query)
        sealed = [self._rejoin("query", _NOT_IN_A_KEY.sub("_", p.name), p) for p in parts]
        return "".join((head, *sealed, fragment))

    def _rejoin(self, field: str, name: str, part: Split) -> str:
        if has_reference(part.shown):
            return part.shown + part.secret  # cut inside of a reference
        return part.shown + self._reference(field, name, part.secret)

    def _reference(self, field: str, name: str, value: str) -> str:
        if not value or has_reference(value):
            return value
        key = self._free_key(f"{self._server}/{field}/{name}")
        # An escaped "$${" would be unescaped when expanded; a secret is taken as it is.
        self.moved[key] = value.replace("$${", "${")
        return f"${{secret:{key}}}"

    def _free_key(self, key: str) -> str:
        """Find a key that nothing else refers to: an argument may have moved to another place."""
        taken = self._referred | self.moved.keys()
        numbered = (f"{key}-{number}" for number in itertools.count(2))
        return key if key not in taken else next(each for each in numbered if each not in taken)


class Redactor:
    """Masks the given secrets in any text, also where they were URL-encoded or in base64."""

    def __init__(self, secrets: Collection[str]) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, text: str) -> str:
        """Return ``text`` with each secret replaced by `MASK`."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    @property
    def has_secrets(self) -> bool:
        """Whether there is anything to mask."""
        return self._pattern is not None

    def mask_all(self, value: Any) -> Any:
        """Return decoded JSON with the secrets in every string and key masked; None stays None."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self._pattern.sub(MASK, value)
        if isinstance(value, list):
            return [self.mask_all(each) for each in cast("list[Any]", value)]
        if isinstance(value, dict):
            known = cast("dict[str, Any]", value)
            return {self(key): self.mask_all(each) for key, each in known.items()}
        return value


def _forms(secret: str) -> set[str]:
    # "Bearer x": the token leaks just as well without its scheme.
    scheme, _, token = secret.rpartition(" ")
    parts = {secret, token} if scheme else {secret}
    forms = {part for part in parts if _is_long(part)}
    with suppress(ValueError):
        forms |= {form for form in (urlsplit(secret).password or "",) if _is_long(form)}
    for part in tuple(forms):
        forms |= {quote(part, safe=""), quote_plus(part), json.dumps(part)[1:-1]}
        # Those of a query are kept encoded.
        forms |= {form for form in (unquote(part), unquote_plus(part)) if _is_long(form)}
        forms.add(base64.b64encode(part.encode()).decode().rstrip("="))
        with suppress(ValueError):
            decoded = base64.b64decode(part, validate=True).decode()
            password = decoded.partition(":")[2]
            forms |= {form for form in (decoded, password) if _is_long(form)}
    return forms


def _is_long(text: str) -> bool:
    return len(text) >= _SHORTEST_SECRET
