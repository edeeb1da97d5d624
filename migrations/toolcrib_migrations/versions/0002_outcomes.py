"""Learning from use: outcomes of calls and feedback, and what was learned from them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Build both tables."""
    op.create_table(
        "outcomes",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("tenant", _KEY, nullable=False),
        sa.Column("principal", _KEY, nullable=False),
        sa.Column("entry", _KEY, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("weight", sa.Double, nullable=False),
        sa.Column("query", sa.Text, nullable=False),
    )
    op.create_index("outcomes_by_time", "outcomes", ["at", "id"])
    op.create_index("outcomes_by_tenant", "outcomes", ["tenant", "at", "id"])
    op.create_table(
        "learned",
        sa.Column("tenant", _KEY, primary_key=True),
        sa.Column("encoder_id", _KEY, primary_key=True),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("report", sa.Text, nullable=False),
        sa.Column("adapter", sa.LargeBinary),
    )
