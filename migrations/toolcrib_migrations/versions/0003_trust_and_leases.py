"""Sync that can be proved: trust, tombstones, leases, and what a server's schedule goes by."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the columns, pin every entry to what it says now, and build the table of leases."""
    _extend_servers()
    _extend_entries()
    _extend_changes()
    op.create_table(
        "leases",
        sa.Column("server", _KEY, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
    )


def _extend_servers() -> None:
    for column in (
        sa.Column("on_change", sa.Text, nullable=False, server_default=sa.text("'mark'")),
        sa.Column("failures", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("next_attempt_at", _TIME),
        sa.Column("fresh_until", _TIME),
        sa.Column("changed_at", _TIME),
        sa.Column("duration_ms", sa.Double),
        sa.Column("listing_digest", sa.Text),
        sa.Column("cache_scope", sa.Text),
        sa.Column("capabilities", sa.Text),
    ):
        op.add_column("servers", column)


def _extend_entries() -> None:
    for column in (
        sa.Column("trust", _KEY, nullable=False, server_default=sa.text("'trusted'")),
        sa.Column("pinned_hash", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("marks", sa.Text, nullable=False, server_default=sa.text("'[]'")),
    ):
        op.add_column("entries", column)
    op.execute("UPDATE entries SET pinned_hash = content_hash WHERE server IS NOT NULL")
    op.create_index("entries_by_state", "entries", ["enabled", "trust", "server", "id", "revision"])


def _extend_changes() -> None:
    op.add_column("changes", sa.Column("related", _KEY))
    op.add_column(
        "changes", sa.Column("marks", sa.Text, nullable=False, server_default=sa.text("'[]'"))
    )
    op.create_index("changes_by_subject", "changes", ["subject", "revision"])
