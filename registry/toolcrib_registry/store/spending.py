"""What keys have spent on models, by UTC day, and what is set aside for calls under way.

A face of its own beside the store's, over the same database: every process that shares it sees
the same sums. Knows keys by name and sums in USD; nothing of limits' origin, nothing of models.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Date, Double, TextClause, bindparam, text
from sqlalchemy.types import TypeEngine
from sqlmodel import Session, col, delete

from toolcrib_registry.tables import KeyText, ReservationRow, SpendingRow, UtcTime

from .database import Database

_KEPT_DAYS = 31
_NOISE = 1e-9
"""What adding many small sums may err by."""

_OPENING = (
    "INSERT INTO spending (principal, day, spent_usd) VALUES (:principal, :day, :usd)"
    " ON CONFLICT (principal, day) DO NOTHING RETURNING 1"
)
_ADDING = (
    "INSERT INTO spending (principal, day, spent_usd) VALUES (:principal, :day, :usd)"
    " ON CONFLICT (principal, day)"
    " DO UPDATE SET spent_usd = spending.spent_usd + excluded.spent_usd"
)
_LOCKING = (
    "UPDATE spending SET spent_usd = spent_usd WHERE principal = :principal AND day = :day"
    " RETURNING spent_usd"
)
_SPENT = "SELECT spent_usd FROM spending WHERE principal = :principal AND day = :day"
_HELD = (
    "SELECT COALESCE(SUM(usd), 0.0) FROM reservations"
    " WHERE principal = :principal AND day = :day AND expires_at > :now"
)
_HOLDING = (
    "INSERT INTO reservations (id, principal, day, usd, expires_at)"
    " VALUES (:id, :principal, :day, :usd, :expires_at)"
)
_LETTING_GO = "DELETE FROM reservations WHERE id = :id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What is set aside for one call. After ``expires_at`` it counts for nothing."""

    id: str
    principal: str
    day: date
    usd: float
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """How a key stands on a day, all processes together."""

    spent_usd: float
    held_usd: float
    """Set aside for other calls that are under way."""
    granted: bool = False
    """Whether what was asked for is set aside now."""


class SpendingRecords:
    """Spending by key and day. Every method is one unit of work."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Built once: each call of a model needs several.
        self._opening = _statement(_OPENING)
        self._adding = _statement(_ADDING)
        self._locking = _statement(_LOCKING)
        self._spent = _statement(_SPENT)
        self._held = _statement(_HELD)
        self._holding = _statement(_HOLDING)
        self._letting_go = _statement(_LETTING_GO)

    def open(self, principal: str, day: date, *, spent_usd: float) -> bool:
        """Begin a key's day with what it has spent before; False where it has begun already.

        Days long past are dropped on the way.
        """
        values = {"principal": principal, "day": day, "usd": spent_usd}
        with self._database.writing() as session:
            begun = session.connection().execute(self._opening, values).first() is not None
            if begun:
                _drop_old(session, before=day - timedelta(days=_KEPT_DAYS))
            return begun

    def reserve(self, asked: Reservation, *, limit_usd: float, now: datetime) -> Balance | None:
        """Set a sum aside unless the key would exceed its limit; None where its day has not begun.

        No two processes are granted the same money: the key's row is locked meanwhile.
        """
        key = {"principal": asked.principal, "day": asked.day}
        with self._database.writing() as session:
            database = session.connection()
            spent = database.execute(self._locking, key).scalar()
            if spent is None:
                return None
            # A statement of its own: on PostgreSQL it sees what was committed before the lock.
            held: float = database.execute(self._held, {**key, "now": now}).scalar_one()
            granted = spent + held + asked.usd <= limit_usd * (1 + _NOISE)
            if granted:
                database.execute(self._holding, {**key, **_rest_of(asked)})
            return Balance(spent_usd=spent, held_usd=held, granted=granted)

    def settle(self, reservation: Reservation, *, spent_usd: float) -> None:
        """Put what a call has cost in the place of what was set aside, on the day of the call.

        Doing so late, when the reservation has run out, counts the cost all the same.
        """
        values = {"principal": reservation.principal, "day": reservation.day, "usd": spent_usd}
        with self._database.writing() as session:
            database = session.connection()
            database.execute(self._letting_go, {"id": reservation.id})
            database.execute(self._adding, values)

    def balance(self, principal: str, day: date, *, now: datetime) -> Balance:
        """Tell how a key stands on a day."""
        key = {"principal": principal, "day": day}
        with self._database.reading() as session:
            database = session.connection()
            spent = database.execute(self._spent, key).scalar()
            held = database.execute(self._held, {**key, "now": now}).scalar_one()
            return Balance(spent_usd=spent or 0.0, held_usd=held)


def _statement(words: str) -> TextClause:
    """Prepare a statement for both engines."""
    types: dict[str, TypeEngine[Any]] = {
        "id": KeyText(),
        "principal": KeyText(),
        "day": Date(),
        "usd": Double(),
        "now": UtcTime(),
        "expires_at": UtcTime(),
    }
    named = [name for name in types if f":{name}" in words]
    return text(words).bindparams(*(bindparam(name, type_=types[name]) for name in named))


def _drop_old(session: Session, *, before: date) -> None:
    session.exec(delete(ReservationRow).where(col(ReservationRow.day) < before))
    session.exec(delete(SpendingRow).where(col(SpendingRow.day) < before))


def _rest_of(asked: Reservation) -> dict[str, object]:
    return {"id": asked.id, "usd": asked.usd, "expires_at": asked.expires_at}
