"""Spending: what each key has spent on models in a UTC day, and what is set aside for calls."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Build both tables."""
    op.create_table(
        "spending",
        sa.Column("principal", _KEY, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("spent_usd", sa.Double, nullable=False),
    )
    op.create_table(
        "reservations",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("principal", _KEY, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("usd", sa.Double, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("reservations_by_key", "reservations", ["principal", "day"])
