"""Who may write what a server lists: at most one process at a time, fenced by a growing token.

The clock decides only when a lease may be taken over. That a late holder writes nothing any more
is decided by its token, inside the transaction that writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import BigInteger, TextClause, bindparam, column, text
from sqlmodel import Session, col, select, update

from toolcrib_registry.errors import LeaseLost
from toolcrib_registry.tables import KeyText, LeaseRow, PlainText, UtcTime
from toolcrib_registry.types import Lease, ServerName

from .entries import chunks

_FIRST_TOKEN = 1


def _acquisition(count: int) -> TextClause:
    """One statement for both engines: take leases that nobody has, or that have run out."""
    rows = ", ".join(f"(:server_{n}, :holder, :token, :expires_at)" for n in range(count))
    statement = text(
        f"INSERT INTO leases (server, holder, token, expires_at) VALUES {rows}"  # noqa: S608  # numbers
        " ON CONFLICT (server) DO UPDATE SET holder = excluded.holder,"
        " token = leases.token + 1, expires_at = excluded.expires_at"
        " WHERE leases.expires_at <= :now RETURNING server, token"
    )
    times = (bindparam("expires_at", type_=UtcTime()), bindparam("now", type_=UtcTime()))
    servers = (bindparam(f"server_{n}", type_=KeyText()) for n in range(count))
    others = (bindparam("holder", type_=PlainText()), bindparam("token", type_=BigInteger()))
    return statement.bindparams(*times, *servers, *others)


def acquire(
    session: Session, names: Sequence[ServerName], *, holder: str, ttl_s: float
) -> dict[ServerName, Lease]:
    """Take the leases that can be had; those of others are left out."""
    now = datetime.now(UTC)
    expires_at = now + timedelta(seconds=ttl_s)
    taken: dict[ServerName, Lease] = {}
    for chunk in chunks(sorted(set(names))):  # one order for all processes, so that none deadlock
        statement = _acquisition(len(chunk))
        typed = statement.columns(column("server", KeyText), column("token", BigInteger))
        values: dict[str, object] = {f"server_{n}": name for n, name in enumerate(chunk)}
        values |= {"holder": holder, "token": _FIRST_TOKEN, "expires_at": expires_at, "now": now}
        for name, token in session.connection().execute(typed, values):
            lease = Lease(server=name, holder=holder, token=token, expires_at=expires_at)
            taken[lease.server] = lease
    return taken


def renew(session: Session, held: Sequence[Lease], *, ttl_s: float) -> dict[ServerName, Lease]:
    """Put off the end of leases; those that others have taken meanwhile are left out."""
    until = datetime.now(UTC) + timedelta(seconds=ttl_s)
    return {
        lease.server: replace(lease, expires_at=until) for lease in _end_at(session, held, until)
    }


def release(session: Session, held: Sequence[Lease]) -> None:
    """Give leases back. The rows stay, so that tokens go on growing."""
    _end_at(session, held, datetime.fromtimestamp(0, UTC))


def list_held(session: Session) -> tuple[Lease, ...]:
    """List the leases that have not run out, by server."""
    now = datetime.now(UTC)
    query = select(LeaseRow).where(col(LeaseRow.expires_at) > now).order_by(col(LeaseRow.server))
    return tuple(
        Lease(
            server=ServerName(row.server),
            holder=row.holder,
            token=row.token,
            expires_at=row.expires_at,
        )
        for row in session.exec(query)
    )


def check_held(session: Session, held: Sequence[Lease]) -> None:
    """Refuse to go on without every lease, and keep them from being taken until the commit.

    Raises:
        LeaseLost: another has taken one.
    """
    current = _current(session, held)
    for lease in held:
        if current.get(lease.server) != (lease.holder, lease.token):
            raise LeaseLost(lease.server)


def _end_at(session: Session, held: Sequence[Lease], until: datetime) -> list[Lease]:
    current = _current(session, held)
    ours = [one for one in held if current.get(one.server) == (one.holder, one.token)]
    for chunk in chunks([lease.server for lease in ours]):
        mine = update(LeaseRow).where(col(LeaseRow.server).in_(chunk))
        session.connection().execute(mine.values(expires_at=until))
    return ours


def _current(session: Session, held: Sequence[Lease]) -> dict[str, tuple[str, int]]:
    found: dict[str, tuple[str, int]] = {}
    for chunk in chunks(sorted({lease.server for lease in held})):
        query = select(LeaseRow.server, LeaseRow.holder, LeaseRow.token)
        mine = query.where(col(LeaseRow.server).in_(chunk)).order_by(col(LeaseRow.server))
        for server, holder, token in session.exec(mine.with_for_update()):
            found[server] = (holder, token)
    return found
