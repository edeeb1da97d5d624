"""Who may use what: one rule for lists and calls. Knows entries and servers, and no call."""

from __future__ import annotations

from typing import Protocol

from toolcrib_registry.errors import EntryQuarantined, NotCallable, ToolcribError
from toolcrib_registry.types import OwnedEntry, Server, Trust
from toolcrib_server.selection.brief import MARKED, reasons_of


class Permission(Protocol):
    """Decides whether somebody may use an entry, or a server as a whole."""

    def check(self, principal: str, server: Server, entry: OwnedEntry | None) -> None:
        """Let it pass, or say why not. Without an entry, the server itself is meant.

        Asked at every call and for every line of a list: it must be quick.

        Raises:
            ToolcribError: It may not be used; `NotPermitted` if that is because of who asks.
        """
        ...


class AsRegistered:
    """Everybody may use what is switched on, trusted, and has a server behind it."""

    def check(self, principal: str, server: Server, entry: OwnedEntry | None) -> None:
        """Let it pass, whoever asks, or say why not.

        Raises:
            EntryQuarantined: It is set aside until somebody approves it.
            NotCallable: It, or its server, is disabled, or it comes from a catalogue.
        """
        del principal  # everybody may do the same
        what = entry.name if entry is not None else f"The server {server.name!r}"
        if entry is not None and entry.trust is Trust.QUARANTINED:
            raise EntryQuarantined(entry.name, [MARKED[reason] for reason in reasons_of(entry)])
        if not server.callable:
            raise NotCallable(
                f"{what} comes from the imported catalogue {server.name!r}: it can be found, but "
                "there is no server behind it. Register the server itself to call it."
            )
        if not server.enabled:
            raise NotCallable(f"{what} is off, because its server {server.name!r} is disabled.")
        if entry is not None and not entry.enabled:
            raise NotCallable(f"{what} is disabled.")


def allows(
    permission: Permission, principal: str, server: Server, entry: OwnedEntry | None
) -> bool:
    """Whether something may be used: what a list asks where a call would be refused."""
    try:
        permission.check(principal, server, entry)
    except ToolcribError:
        return False
    return True
