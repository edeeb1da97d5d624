"""References in settings: ``${VAR}``, ``${VAR:-default}``, ``${env:VAR}``, ``${secret:KEY}``.

They are stored as written and resolved only when a connection is opened, so that no value of a
secret is ever kept with the server. ``$${`` stands for a plain ``${``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from toolcrib_registry.errors import InvalidConfig, Peer
from toolcrib_registry.types import (
    CatalogTransport,
    HttpTransport,
    Server,
    SseTransport,
    StdioTransport,
    Transport,
)

from .sensitive import find_url_secrets, is_secret, split_args

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<body>[^{}]*)\}|\$\{")
_BODY = re.compile(
    r"(?:(?P<scheme>[A-Za-z]+):(?!-))?(?P<name>.*?)(?::-(?P<default>.*))?", re.DOTALL
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OWN_VARIABLES = "TOOLCRIB_"
_HOST_VARIABLES = frozenset(
    {"workspaceFolder", "workspaceFolderBasename", "userHome", "pathSeparator", "file", "cwd"}
)

LiveTransport = StdioTransport | HttpTransport | SseTransport
"""A transport that leads to a live server."""


class Secrets(Protocol):
    """Where ``${secret:KEY}`` is looked up."""

    def find(self, key: str) -> str | None:
        """Look up a secret; None when there is none of that key."""
        ...


@dataclass(frozen=True, slots=True)
class Resolved:
    """A transport with every reference replaced, and the values that must never be shown."""

    transport: LiveTransport
    secrets: frozenset[str]
    """All that was filled in; masked in errors."""
    credentials: frozenset[str] = frozenset()
    """Those of them that are no ordinary words; masked in what the server lists."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value stands, for the error that may be raised about it."""

    server: str
    key: str
    peer: Peer = Peer.SERVER

    def wrong(self, problem: str, fix: str) -> InvalidConfig:
        return InvalidConfig(problem, file=f"{self.peer} {self.server!r}", key=self.key, fix=fix)


def expand(
    value: str,
    *,
    env: Mapping[str, str],
    secrets: Secrets,
    server: str = "",
    key: str = "",
    peer: Peer = Peer.SERVER,
) -> str:
    """Replace every reference in ``value``, which is of a server, or of another ``peer``.

    Raises:
        InvalidConfig: a variable or secret is missing, or a reference is not one we know; it names
            the server, the key, the variable and what to do.
    """
    place = _Place(server, key, peer)
    return _expand(value, lambda body: _look_up(body, env=env, secrets=secrets, place=place), place)


def has_reference(value: str) -> bool:
    """Whether ``value`` holds any ``${…}`` that will be replaced."""
    return any(match.group() != "$${" for match in _REFERENCE.finditer(value))


def list_secret_keys(transport: Transport) -> frozenset[str]:
    """List the keys of all ``${secret:KEY}`` in a transport."""
    match transport:
        case StdioTransport(command=command, args=args, env=env, cwd=cwd):
            values = [command, *args, *env.values(), cwd or ""]
        case HttpTransport(url=url, headers=headers) | SseTransport(url=url, headers=headers):
            values = [url, *headers.values()]
        case CatalogTransport():
            values = []
    bodies = (each["body"] or "" for value in values for each in _REFERENCE.finditer(value))
    return frozenset(b.removeprefix("secret:") for b in bodies if b.startswith("secret:"))


def list_host_references(value: str) -> tuple[str, ...]:
    """List the references in ``value`` that only an editor can resolve, as ``input:token``."""
    bodies = (match.group("body") or "" for match in _REFERENCE.finditer(value))
    return tuple(b for b in bodies if b.startswith("input:") or b in _HOST_VARIABLES)


def resolve(server: Server, *, env: Mapping[str, str], secrets: Secrets) -> Resolved:
    """Replace every reference in a server's transport.

    Raises:
        InvalidConfig: as `expand`, or the server is a catalogue and has nothing to connect to.
    """
    hidden: set[str] = set()

    def fill(key: str, value: str, *, hide: bool = False) -> str:
        place = _Place(server.name, key)

        def look_up(body: str) -> str:
            found = _look_up(body, env=env, secrets=secrets, place=place)
            if body.startswith("secret:"):
                hidden.add(found)
            return found

        filled = _expand(value, look_up, place)
        if hide and has_reference(value):
            hidden.add(filled)
        return filled

    transport = _fill_transport(server, fill)
    credentials = frozenset(_find_credentials(transport))
    return Resolved(transport, credentials | hidden, credentials)


def _find_credentials(transport: LiveTransport) -> Iterator[str]:
    match transport:
        case StdioTransport(args=args, env=named):
            yield from (part.secret for part in split_args(args) if part.secret)
        case HttpTransport(url=url, headers=named) | SseTransport(url=url, headers=named):
            yield from find_url_secrets(url)
    yield from (value for name, value in named.items() if is_secret(name, value))


class _Fill(Protocol):
    def __call__(self, key: str, value: str, *, hide: bool = False) -> str: ...


def _fill_transport(server: Server, fill: _Fill) -> LiveTransport:
    match server.transport:
        case StdioTransport(command=command, args=args, env=env, cwd=cwd):
            return StdioTransport(
                fill("command", command),
                tuple(fill(f"args.{at}", arg) for at, arg in enumerate(args)),
                {name: fill(f"env.{name}", value, hide=True) for name, value in env.items()},
                None if cwd is None else fill("cwd", cwd),
            )
        case HttpTransport() | SseTransport() as remote:
            headers = {
                name: _one_line(
                    fill(f"headers.{name}", value, hide=True), server.name, f"headers.{name}"
                )
                for name, value in remote.headers.items()
            }
            return replace(remote, url=fill("url", remote.url), headers=headers)
        case CatalogTransport(source=source):
            raise _Place(server.name, "transport").wrong(
                f"its entries were imported from {source}; there is no server to connect to.",
                "Register the live server to call its tools.",
            )


def _one_line(value: str, server: str, key: str) -> str:
    if any(ord(character) < ord(" ") or character == "\x7f" for character in value):
        raise _Place(server, key).wrong(
            "its value holds a line break or control character.", "Put one line there."
        )
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise _Place(server, key).wrong("its value is not UTF-8 text.", "Set it to such text.")
    return value.strip()


def _expand(value: str, look_up: Callable[[str], str], place: _Place) -> str:
    def one(match: re.Match[str]) -> str:
        if match.group() == "$${":
            return "${"
        body = match.group("body")
        if body is None:
            raise place.wrong(
                "a '${' is never closed.", "Close it with '}', or write '$${' for a plain '${'."
            )
        return look_up(body)

    return _REFERENCE.sub(one, value)


def _look_up(body: str, *, env: Mapping[str, str], secrets: Secrets, place: _Place) -> str:
    scheme, name, default = _split(body)
    if scheme == "secret":
        return _secret(name, secrets, place)
    if name.startswith(_OWN_VARIABLES):
        raise place.wrong(
            f"{name} is a setting of Toolcrib itself, which no server is shown.",
            "Use a variable of another name.",
        )
    if scheme == "input" or body in _HOST_VARIABLES:
        raise place.wrong(
            f"${{{body}}} can be filled in by an editor only.",
            f"Write ${{{suggest_variable(name)}}} and set that variable, or write the value.",
        )
    if scheme not in {"", "env"} or not _VARIABLE.fullmatch(name):
        raise place.wrong(
            f"${{{body}}} is not a reference Toolcrib knows.",
            "Use ${VAR}, ${VAR:-default}, ${env:VAR} or ${secret:KEY}.",
        )
    found = env.get(name)
    # As in a shell, ":-" also covers a variable that is set and empty.
    if found or (found is not None and default is None):
        return found
    if default is not None:
        return default
    raise place.wrong(
        f"the environment variable {name} is not set.",
        f"Set {name} before starting Toolcrib, or write ${{{name}:-default}}.",
    )


def _split(body: str) -> tuple[str, str, str | None]:
    match = _BODY.fullmatch(body)
    if match is None:
        return "", body, None
    return match["scheme"] or "", match["name"], match["default"]


def _secret(key: str, secrets: Secrets, place: _Place) -> str:
    if not key.startswith(f"{place.server}/"):
        raise place.wrong(
            f"the secret {key} belongs to another {place.peer}.", "Write the value, or a variable."
        )
    found = secrets.find(key)
    if found is None:
        raise place.wrong(
            f"the secret {key} is not in the secrets file.",
            f"Add the {place.peer} again with its value.",
        )
    return found


def suggest_variable(name: str) -> str:
    """Spell ``name`` as an environment variable: ``github-token`` as ``GITHUB_TOKEN``."""
    bare = name.removeprefix("input:")
    spelled = re.sub(r"[^A-Za-z0-9]+", "_", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", bare))
    return spelled.strip("_").upper() or "VALUE"
