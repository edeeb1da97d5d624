"""Which server, and which client of it, has which place: who may have one, and who makes way.

Opens no connection, and closes one only to make room for another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from toolcrib_registry.errors import NotCallable, UpstreamUnavailable
from toolcrib_registry.types import CatalogTransport, Server, ServerName
from toolcrib_server.upstream.messages.interaction import Profile
from toolcrib_server.upstream.processes.room import ProcessLimits

from .eras import Eras
from .slot import ConnectionState, Slot, describe_places

_YIELDS_S = 30.0
"""A client's connection that was idle for so long makes way for another's, if there are many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """How many connections stay open when nobody uses them, and for how long."""

    idle_timeout_s: float
    warm: int
    """Connections that were opened for a listing alone, and are kept for what may come next."""
    private_idle_timeout_s: float = 300.0
    """As ``idle_timeout_s``, for connections that belong to one client each."""
    private: int = 256
    """So many of those, of all servers."""
    private_per_server: int = 64
    processes: ProcessLimits = field(default_factory=ProcessLimits)


class Places:
    """The places of all servers, by server and key of the profile; "" is everybody's."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._slots: dict[tuple[ServerName, str], Slot] = {}
        self.eras = Eras()

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots.values())

    def find(self, name: ServerName, key: str = "") -> Slot | None:
        """Find a place."""
        return self._slots.get((name, key))

    def describe(self) -> tuple[ConnectionState, ...]:
        """Say how each server stands, by name."""
        slots: dict[ServerName, list[Slot]] = {}
        for (name, _), slot in sorted(self._slots.items(), key=lambda item: item[0]):
            slots.setdefault(name, []).append(slot)
        return tuple(describe_places(each) for each in slots.values())

    def make(self, server: Server, profile: Profile, *, instead: Slot | None) -> Slot:
        """Make a place; ``instead`` is one whose server's settings have changed.

        Raises:
            NotCallable: The server is a catalogue.
            UpstreamUnavailable: As many clients have one as may.
        """
        if isinstance(server.transport, CatalogTransport):
            source = server.transport.source
            raise NotCallable(
                f"Server {server.name!r} was imported from {source}; register the live server to "
                "call its tools."
            )
        if instead is not None:
            for slot in self.clear_server(server.name):
                slot.close()
        if profile.key:
            self._make_room(server.name, profile.owner)
        slot = Slot(server, profile)
        self._slots[server.name, profile.key] = slot
        return slot

    def forget(self, slot: Slot) -> None:
        """Give a place up."""
        if self.find(slot.server.name, slot.profile.key) is slot:
            del self._slots[slot.server.name, slot.profile.key]

    def clear_server(self, name: ServerName) -> list[Slot]:
        """Give up every place of a server, and what is known of it; return them."""
        self.eras.forget(name)
        return [self._slots.pop(key) for key in tuple(self._slots) if key[0] == name]

    def clear_profile(self, profile_key: str) -> list[Slot]:
        """Give up every place of a client; return them."""
        return [self._slots.pop(key) for key in tuple(self._slots) if key[1] == profile_key]

    def _make_room(self, name: ServerName, owner: str) -> None:
        """Make room for one more connection that belongs to one client.

        Raises:
            UpstreamUnavailable: There is none.
        """
        private = [slot for slot in self if slot.profile.key]
        of_server = [slot for slot in private if slot.server.name == name]
        most = self._capacity.private_per_server
        if len(of_server) >= most and not self._let_one_go(of_server, owner):
            setting = "TOOLCRIB_PRIVATE_CONNECTIONS_PER_SERVER"
            raise UpstreamUnavailable(name, _too_many("of its own", most, setting))
        most = self._capacity.private
        if len(private) >= most and not self._let_one_go(private, owner):
            setting = "TOOLCRIB_PRIVATE_CONNECTIONS"
            raise UpstreamUnavailable(name, _too_many("to some server", most, setting))

    def _let_one_go(self, slots: Collection[Slot], owner: str) -> bool:
        """Close the connection that was idle for longest, if that is long enough.

        Of whoever has more of them than the newcomer, one that is not in use goes at once: nobody
        may keep the others out.
        """
        idle = [slot for slot in slots if _yields(slot, _YIELDS_S)]
        if not idle:
            most = _find_hog(slots, owner)
            idle = [s for s in slots if s.profile.owner == most and _yields(s, 0.0)]
        if not idle:
            return False
        slot = min(idle, key=lambda each: each.connection.last_used if each.connection else 0.0)
        self.forget(slot)
        slot.close()
        return True


def _yields(slot: Slot, idle_s: float) -> bool:
    return slot.is_idle(idle_s) or (slot.connection is None and not slot.is_in_use)


def _find_hog(slots: Collection[Slot], owner: str) -> str | None:
    """Name the principal that has most places, unless a newcomer has about as many."""
    each = Counter(slot.profile.owner for slot in slots)
    most, number = each.most_common(1)[0]
    return most if number > each[owner] + 1 else None


def _too_many(whose: str, most: int, setting: str) -> str:
    return f"{most} clients have a connection {whose} already, as many as {setting} allows"
