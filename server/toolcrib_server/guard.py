"""Who may come in: the Host and Origin of a request, and the key it bears. Plain ASGI.

Both faces stand behind it. Knows no framework, no route and no settings.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from toolcrib_registry.errors import NotAuthenticated

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
PROBLEM_TYPE = b"application/problem+json"
_PRINCIPAL = "toolcrib.principal"
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:]+)(?::\d+)?")
_POLICY_VIOLATION = 1008
"""WebSocket close code (RFC 6455, section 7.4.1)."""


class Role(StrEnum):
    """What a principal may do."""

    USER = "user"
    """Search, select, call and read."""
    ADMIN = "admin"
    """Everything."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request comes from."""

    name: str
    role: Role

    @property
    def actor(self) -> str:
        """Its name in the change log."""
        return "api" if self.name == _LOCAL else f"api:{self.name}"


_LOCAL = "local"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, the name it is logged under, and what its bearer may do."""

    name: str
    secret: str = field(repr=False)
    role: Role = Role.USER


class KeyRing:
    """The keys that are known. Without any, whoever is on this machine is its administrator."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self._keys = [(_digest(key.secret), Principal(key.name, key.role)) for key in keys]

    def resolve(self, authorization: str | None, *, client_host: str | None) -> Principal:
        """Name who bears an ``Authorization`` header.

        Raises:
            NotAuthenticated: A key is needed and none that is known was shown.
        """
        if not self._keys:
            return _local(client_host)
        scheme, _, secret = (authorization or "").strip().partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise NotAuthenticated("Send an API key, as the header 'Authorization: Bearer KEY'.")
        shown, found = _digest(secret.strip()), None
        # Every key is compared, so that the time taken tells nothing of which came close.
        for digest, principal in self._keys:
            if hmac.compare_digest(shown, digest):
                found = principal
        if found is None:
            raise NotAuthenticated(
                "The API key is not known. Check that it is one of this server's."
            )
        return found


def principal_of(scope: Scope) -> Principal:
    """Return the principal that `KeyGuard` put into a request's scope.

    Raises:
        NotAuthenticated: No guard stood in front of this request.
    """
    principal = scope.get(_PRINCIPAL)
    if not isinstance(principal, Principal):
        raise NotAuthenticated("This request was not checked for an API key.")
    return principal


class KeyGuard:
    """Lets in requests that bear a known key; answers others with 401."""

    def __init__(self, app: AsgiApp, *, keys: KeyRing, open_paths: Collection[str] = ()) -> None:
        self._app = app
        self._keys = keys
        self._open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] in {"http", "websocket"} and scope.get("path") not in self._open_paths:
            client = scope.get("client")
            try:
                scope[_PRINCIPAL] = self._keys.resolve(
                    _header(scope, b"authorization"), client_host=client[0] if client else None
                )
            except NotAuthenticated as error:
                problem = _Problem(401, error.code, error.title, error.detail)
                return await _refuse(
                    scope, send, problem, headers=[(b"www-authenticate", b"Bearer")]
                )
        return await self._app(scope, receive, send)


class HostGuard:
    """Lets in requests addressed to a known host, and from a known web origin if from any.

    A browser can be made to send requests here by a page of another site, or under a name that was
    rebound to this address; it cannot be made to lie in ``Host`` and ``Origin``. ``hosts`` holds
    names, with a port only where it matters; ``*`` is any. ``origins`` are whole, as
    ``https://app.example.com``.
    """

    def __init__(
        self, app: AsgiApp, *, hosts: Collection[str], origins: Collection[str] = ()
    ) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] in {"http", "websocket"}:
            problem = self._problem_of(scope)
            if problem is not None:
                return await _refuse(scope, send, problem)
        return await self._app(scope, receive, send)

    def _problem_of(self, scope: Scope) -> _Problem | None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not self._knows(hosts[0].decode("latin-1")):
            detail = (
                "The Host header does not name this server. Use one of its names, or let the "
                "operator allow this one with TOOLCRIB_ALLOWED_HOSTS."
            )
            return _Problem(421, "misdirected-request", "Not a name of this server", detail)
        origin = _header(scope, b"origin")
        if origin is not None and not self._knows_origin(origin):
            detail = (
                "Requests from this web origin are not allowed. Let the operator allow it with "
                "TOOLCRIB_ALLOWED_ORIGINS."
            )
            return _Problem(403, "not-permitted", "Origin not allowed", detail)
        return None

    def _knows(self, host: str) -> bool:
        host = host.strip().lower()
        return "*" in self._hosts or bool({host, _without_port(host)} & self._hosts)

    def _knows_origin(self, origin: str) -> bool:
        origin = origin.strip().lower()
        if origin in self._origins or "*" in self._origins:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        # "*" among the hosts says nothing about web pages: those are named one by one.
        return parts.scheme in {"http", "https"} and bool(
            {parts.netloc, _without_port(parts.netloc)} & self._hosts
        )


def _local(client_host: str | None) -> Principal:
    if not _is_loopback(client_host or ""):
        raise NotAuthenticated(
            "No API key is configured here, so only this machine itself may come in."
        )
    return Principal(_LOCAL, Role.ADMIN)


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # A socket for both families shows IPv4 peers as ::ffff:127.0.0.1.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _header(scope: Scope, name: bytes) -> str | None:
    values = [value for key, value in scope["headers"] if key == name]
    return values[0].decode("latin-1") if values else None


def _without_port(host: str) -> str:
    match = _HOST.fullmatch(host)
    return match.group(1) if match else host


@dataclass(frozen=True, slots=True)
class _Problem:
    """An RFC 9457 problem, as `ProblemOut` has it: that model costs a start of 0.2 s to import."""

    status: int
    code: str
    title: str
    detail: str

    def dump(self) -> bytes:
        kind = f"urn:toolcrib:problem:{self.code}"
        return json.dumps({"type": kind, **asdict(self)}).encode()


async def _refuse(
    scope: Scope,
    send: Send,
    problem: _Problem,
    *,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    if scope["type"] == "websocket":
        return await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
    body = problem.dump()
    about = [(b"content-type", PROBLEM_TYPE), (b"content-length", str(len(body)).encode())]
    start = {"type": "http.response.start", "status": problem.status, "headers": [*about, *headers]}
    await send(start)
    await send({"type": "http.response.body", "body": body})
    return None
