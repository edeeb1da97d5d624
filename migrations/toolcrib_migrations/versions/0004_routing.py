"""Routing: how models did on queries, and what an operator's domains are."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Build both tables."""
    op.create_table(
        "model_outcomes",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant", _KEY, nullable=False),
        sa.Column("principal", _KEY, nullable=False),
        sa.Column("model", _KEY, nullable=False),
        sa.Column("score", sa.Double),
        sa.Column("cost_usd", sa.Double),
        sa.Column("latency_ms", sa.Double),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("query", sa.Text, nullable=False),
    )
    op.create_index("model_outcomes_by_tenant", "model_outcomes", ["tenant", "at", "id"])
    op.create_table(
        "domain_examples",
        sa.Column("name", _KEY, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("example", sa.Text, nullable=False),
    )
