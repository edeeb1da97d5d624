"""Paces: how often something was done lately, for limits that hold for all processes."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Build the table."""
    op.create_table(
        "paces",
        sa.Column("name", _KEY, primary_key=True),
        sa.Column("taken", sa.Text, nullable=False),
    )
