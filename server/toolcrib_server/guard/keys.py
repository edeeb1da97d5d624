"""Who bears which key, and what that allows. Knows no route and no settings."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from toolcrib_registry.errors import InvalidInput, NotAuthenticated

from .refusal import AsgiApp, Problem, Receive, Scope, Send, header_of, refuse

_PRINCIPAL = "toolcrib.principal"


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
    def is_local(self) -> bool:
        """Whether it is this machine's own user, of whom no key was asked."""
        return self.name == _LOCAL

    @property
    def actor(self) -> str:
        """Its name in the change log."""
        return "api" if self.is_local else f"api:{self.name}"


_LOCAL = "local"
_TAKEN = {_LOCAL, "everyone"}
"""Names with a meaning of their own: this machine's user, and the tenant that all may share."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, the name it is logged under, and what its bearer may do."""

    name: str
    secret: str = field(repr=False)
    role: Role = Role.USER

    def __post_init__(self) -> None:
        """Refuse a name that is taken.

        Raises:
            InvalidInput: It is.
        """
        if self.name in _TAKEN:
            raise InvalidInput(f"A key may not be named '{self.name}': give it another name.")


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
                    header_of(scope, b"authorization"), client_host=client[0] if client else None
                )
            except NotAuthenticated as error:
                problem = Problem(401, error.code, error.title, error.detail)
                return await refuse(
                    scope, send, problem, headers=[(b"www-authenticate", b"Bearer")]
                )
        return await self._app(scope, receive, send)


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
