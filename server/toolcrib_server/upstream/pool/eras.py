"""Of which era each server was when it was last met, and so what is tried first with it.

A server of before 2026-07-28 may log each method that it does not know, and is spared the question
whether it knows `server/discover`. It is asked again when it is not what it was, when it cannot be
opened so, and once a day: what it speaks may have changed as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from toolcrib_registry.types import Server, ServerName
from toolcrib_server.upstream.messages.interaction import Profile

_ASKED_EVERY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Identity:
    """What a server says it is; texts are redacted, as they are where they are stored."""

    protocol_version: str | None
    name: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class _Met:
    """A server as it was met, and when it was asked of which era it is."""

    identity: Identity
    asked_at: datetime

    @property
    def is_handshake(self) -> bool:
        return self.identity.protocol_version in HANDSHAKE_PROTOCOL_VERSIONS


class Eras:
    """Remembers it of every server, across processes by what the registry has from the last."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._met: dict[ServerName, _Met] = {}
        self._doubted: set[ServerName] = set()
        """Servers that could not be opened so, or were others: what is known does not count."""
        self._refusing: set[ServerName] = set()
        """Servers that refused a handshake."""

    def speaks_handshake(self, server: Server, profile: Profile) -> bool:
        """Whether a server is, as far as is known, to be met with a handshake for this client."""
        if profile.handshake and server.name not in self._refusing:
            return True
        met = self._met.get(server.name)
        if met is not None:
            return met.is_handshake
        return server.health.protocol_version in HANDSHAKE_PROTOCOL_VERSIONS

    def begins_with_handshake(self, server: Server, profile: Profile) -> bool:
        """Whether a connection is opened with a handshake, without asking for anything else."""
        if profile.handshake:
            return True
        met = self._find(server)
        if met is None or not met.is_handshake:
            return False
        return (self._now() - met.asked_at).total_seconds() < _ASKED_EVERY_S

    def is_as_met(self, server: Server, identity: Identity) -> bool:
        """Whether a server still says of itself what it said when it was last met."""
        met = self._find(server)
        return met is None or met.identity == identity

    def note(
        self, server: Server, profile: Profile, identity: Identity, *, is_modern: bool, asked: bool
    ) -> None:
        """Remember as what a server was greeted; ``asked`` says that it was no guess."""
        name = server.name
        if profile.handshake:
            if is_modern:
                self._refusing.add(name)
            return
        met = self._find(server)
        asked_at = self._now() if asked or met is None else met.asked_at
        self._met[name] = _Met(identity, asked_at)
        self._doubted.discard(name)

    def doubt(self, server: Server) -> None:
        """Ask a server anew next time: it could not be opened, or is not what it was."""
        self._doubted.add(server.name)

    def forget(self, name: ServerName) -> None:
        """Forget what was learned of a server here: its settings have changed, or it is gone."""
        self._met.pop(name, None)
        self._doubted.discard(name)
        self._refusing.discard(name)

    def _find(self, server: Server) -> _Met | None:
        """Find how it was met: by this process, else by whichever has synced it."""
        if server.name in self._doubted:
            return None
        health = server.health
        met = self._met.get(server.name)
        if met is None and health.synced_at is not None:
            known = (health.protocol_version, health.reported_name, health.reported_version)
            met = _Met(Identity(*known), health.synced_at)
        return met
