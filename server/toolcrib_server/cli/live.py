"""``sync --watch``: how each server's sync stands, as it changes.

Read from the database, so that it works beside a process that serves; it says so where none does.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from toolcrib_registry.errors import StoreBusy
from toolcrib_registry.types import Revision, ServerName, ServerStatus
from toolcrib_server.presence import is_anybody_present
from toolcrib_server.runtime import Runtime
from toolcrib_server.selection.freshness import say_age
from toolcrib_server.sync.prose import cut
from toolcrib_server.sync.states import SyncState, sync_states

from .output import flush, plain, print_line, print_note, widths

if TYPE_CHECKING:
    from rich.console import RenderableType

INTERVAL_S: Final = 1.0
_WINDOW_S: Final = 60.0
_LONGEST_ERROR: Final = 160
_COLUMNS: Final = ("server", "state", "lag", "changed", "took", "next", "last error")
_LINES_BESIDE: Final = 6
"""Of the screen, that are no server's."""
_FEWEST_SHOWN: Final = 3
_COLOURS: Final = {"unreachable": "red", "degraded": "yellow", "syncing": "cyan", "new": "dim"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at the registry shows."""

    at: datetime
    states: tuple[SyncState, ...]
    head: Revision
    syncs_per_s: float
    changes_per_s: float
    served: bool
    """Whether a process of this data folder keeps the servers in step."""

    @property
    def moved(self) -> object:
        """What is different when anything happened: all but what only time changes."""
        quiet = tuple(
            (s.server, s.status, s.enabled, s.in_progress, s.failures, s.attempted_at, s.error)
            for s in self.states
        )
        return quiet, self.head, self.served


@dataclass(slots=True)
class Watch:
    """Looks again and again, and works out how fast things went in the last minute."""

    runtime: Runtime
    names: frozenset[str] | None
    _attempts: dict[ServerName, datetime | None] = field(
        default_factory=dict[ServerName, datetime | None]
    )
    _head: Revision | None = None
    _recent: deque[tuple[datetime, int, int]] = field(
        default_factory=deque[tuple[datetime, int, int]]
    )

    def look(self, now: datetime) -> Look:
        """Read how every server stands. Blocks."""
        store = self.runtime.store
        running = frozenset(lease.server for lease in store.list_leases())
        wanted = (s for s in store.iter_servers() if self.names is None or s.name in self.names)
        states = sync_states(wanted, now=now, running=running)
        self._note(now, states, store.head())
        window_s = max(1.0, (now - self._recent[0][0]).total_seconds())
        return Look(
            at=now,
            states=states,
            head=store.head(),
            syncs_per_s=sum(syncs for _, syncs, _ in self._recent) / window_s,
            changes_per_s=sum(changes for _, _, changes in self._recent) / window_s,
            served=is_anybody_present(self.runtime.settings.data_dir),
        )

    def _note(self, now: datetime, states: Sequence[SyncState], head: Revision) -> None:
        known, self._attempts = self._attempts, {s.server: s.attempted_at for s in states}
        synced = sum(known[s.server] != s.attempted_at for s in states if s.server in known)
        changed = 0 if self._head is None else max(0, head - self._head)
        self._head = head
        self._recent.append((now, synced, changed))
        while (now - self._recent[0][0]).total_seconds() > _WINDOW_S:
            self._recent.popleft()


async def watch(runtime: Runtime, names: Sequence[str] | None, *, as_json: bool) -> None:
    """Show how syncing stands until it is interrupted.

    Raises:
        NotFound: A name is not registered.
    """
    for name in names or ():
        await anyio.to_thread.run_sync(runtime.store.get_server, ServerName(name))
    watching = Watch(runtime, frozenset(names) if names else None)
    if as_json:
        await _in_lines(watching, _print_json)
    elif sys.stdout.isatty():
        await _on_screen(watching)
    else:
        await _in_lines(watching, _Lines().print)


async def _looks(watching: Watch) -> AsyncIterator[Look]:
    while True:
        look: Look | None = None
        with contextlib.suppress(StoreBusy):
            look = await anyio.to_thread.run_sync(watching.look, datetime.now(UTC))
        if look is not None:
            yield look
        await anyio.sleep(INTERVAL_S)


async def _in_lines(watching: Watch, show: Callable[[Look], None]) -> None:
    """Show what is different, when something is."""
    before: object = None
    async for look in _looks(watching):
        if look.moved != before:
            show(look)
            before = look.moved
        flush()


def _print_json(look: Look) -> None:
    view = {
        "at": look.at,
        "revision": look.head,
        "serving": look.served,
        "rates": {
            "syncsPerS": round(look.syncs_per_s, 3),
            "changesPerS": round(look.changes_per_s, 3),
        },
        "servers": look.states,
    }
    print_line(json.dumps(plain(view), ensure_ascii=False))


class _Lines:
    """A line for each server that is not as it was, for where there is no terminal."""

    def __init__(self) -> None:
        self._shown: dict[str, tuple[str, ...]] = {}
        self._served: bool | None = None

    def print(self, look: Look) -> None:
        """Print what is new since the last look."""
        if look.served is not self._served:
            if self._served is None:
                print_note(f"Each line: time  {'  '.join(_COLUMNS)}")
            self._served = look.served
            print_note(say_presence(look))
        for state in look.states:
            key = (say_state(state), str(state.attempted_at), state.error or "")
            if self._shown.get(state.server) != key:
                self._shown[state.server] = key
                print_line("  ".join((f"{look.at:%H:%M:%S}", *_row(state, look.at))))


async def _on_screen(watching: Watch) -> None:
    # Rich is imported late: most of a command's time would be its import.
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415

    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, transient=False, screen=False) as live:
        async for look in _looks(watching):
            live.update(_drawn(look, *console.size), refresh=True)


def _drawn(look: Look, width: int, height: int) -> RenderableType:
    from rich.console import Group  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    states = sorted(look.states, key=_urgency)
    room = max(height - _LINES_BESIDE, _FEWEST_SHOWN)
    rows = [list(_row(state, look.at)) for state in states[:room]]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, wide in zip(_COLUMNS, widths(_COLUMNS, rows, width), strict=True):
        table.add_column(column, no_wrap=True, overflow="ellipsis", width=wide)
    for name, shown, *others in rows:
        style = _COLOURS.get(shown.partition(" ")[0], "")
        table.add_row(Text(name), Text(shown, style=style), *map(Text, others))
    lines = [Text(summary(look), style="bold"), Text("")]
    lines += [Text(say_presence(look), style="yellow"), Text("")] if not look.served else []
    if not states:
        return Group(*lines, Text("No live server is registered. Add one: toolcrib add"))
    more = len(states) - len(rows)
    rest = [Text(f"… and {more} more in good order", style="dim")] if more > 0 else []
    return Group(*lines, table, *rest)


def summary(look: Look) -> str:
    """Say in one line how it stands altogether."""
    counts = Counter(say_state(state).partition(" ")[0] for state in look.states)
    said = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    servers = "1 server" if len(look.states) == 1 else f"{len(look.states)} servers"
    return (
        f"{servers}{': ' if said else ''}{said} · revision {look.head} · "
        f"{look.syncs_per_s:.1f} syncs/s · {look.changes_per_s:.1f} changes/s · "
        f"{look.at.astimezone():%H:%M:%S}"
    )


def say_presence(look: Look) -> str:
    """Say whether anything keeps the servers in step."""
    if look.served:
        return "A process of this data folder serves and keeps them in step."
    return "Nothing serves from this data folder: run `toolcrib serve`, or `toolcrib sync` once."


def say_state(state: SyncState) -> str:
    """Say in a word or two how one server stands."""
    if not state.enabled:
        return "disabled"
    if state.in_progress:
        return "syncing"
    failed = f" x{state.failures}" if state.failures > 1 else ""
    return f"{state.status.value}{failed}"


def _urgency(state: SyncState) -> tuple[bool, bool, float, str]:
    in_trouble = state.status in (ServerStatus.UNREACHABLE, ServerStatus.DEGRADED)
    return (not state.enabled, not in_trouble, -(state.lag_s or 0.0), state.server)


def _row(state: SyncState, now: datetime) -> Iterator[str]:
    yield state.server
    yield say_state(state)
    yield "never" if state.synced_at is None else say_age(state.synced_at, now)
    yield "-" if state.changed_at is None else say_age(state.changed_at, now)
    yield "-" if state.duration_ms is None else f"{state.duration_ms / 1e3:.2f} s"
    yield _say_next(state, now)
    yield cut(" ".join((state.error or "-").split()), _LONGEST_ERROR)


def _say_next(state: SyncState, now: datetime) -> str:
    if not state.enabled or state.next_attempt_at is None:
        return "-"
    if state.next_attempt_at <= now:
        return "due"
    return f"in {say_age(now, state.next_attempt_at)}"
