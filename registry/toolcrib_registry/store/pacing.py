"""How often something was done in the last hour, all processes of a registry together.

A face of its own beside the store's, over the same database. Knows names and minutes; nothing of
what is done. A minute counts whole until none of it is in the last hour any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import text
from sqlmodel import Session

from toolcrib_registry.tables import PaceRow

from .database import Database

HOUR_S: Final = 3_600
_MINUTE_S: Final = 60
_OPENING: Final = "INSERT INTO paces (name, taken) VALUES (:name, '[]') ON CONFLICT DO NOTHING"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How much may still be done, and how long until one more may: 0 where it may now."""

    left: int
    waits_s: float
    granted: bool = False
    """Whether what was asked for was counted."""


class PaceRecords:
    """Counts what was done, by name. Every method is one unit of work."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, name: str, *, per_hour: int, now: datetime) -> Allowance:
        """Count one, if no more than ``per_hour`` were counted in the last hour.

        No two processes are granted the same one: the name's row is locked meanwhile.
        """
        with self._database.writing() as session:
            session.connection().execute(text(_OPENING), {"name": name})
            row = session.get_one(PaceRow, name, with_for_update=True)
            recent = _recent(row.taken, now)
            granted = sum(recent.values()) < per_hour
            if granted:
                minute = _minute_of(now)
                recent[minute] = recent.get(minute, 0) + 1
                row.taken = sorted([at, times] for at, times in recent.items())
                session.add(row)
            return _allow(recent, per_hour, now, granted=granted)

    def look(self, name: str, *, per_hour: int, now: datetime) -> Allowance:
        """Tell how it stands, and count nothing."""
        with self._database.reading() as session:
            return _allow(_recent(_taken(session, name), now), per_hour, now)


def _taken(session: Session, name: str) -> list[list[int]]:
    row = session.get(PaceRow, name)
    return [] if row is None else row.taken


def _recent(taken: list[list[int]], now: datetime) -> dict[int, int]:
    """Leave out what was before the last hour, or after the next one, by a clock that was wrong."""
    at = now.astimezone(UTC).timestamp()
    return {
        minute: times
        for minute, times in taken
        if at - HOUR_S < (minute + 1) * _MINUTE_S <= at + HOUR_S
    }


def _minute_of(now: datetime) -> int:
    return int(now.timestamp()) // _MINUTE_S


def _allow(
    recent: dict[int, int], per_hour: int, now: datetime, *, granted: bool = False
) -> Allowance:
    left = max(per_hour - sum(recent.values()), 0)
    if left or not recent:
        return Allowance(left=left, waits_s=0.0, granted=granted)
    over_at = (min(recent) + 1) * _MINUTE_S + HOUR_S
    return Allowance(left=0, waits_s=over_at - now.timestamp(), granted=granted)
