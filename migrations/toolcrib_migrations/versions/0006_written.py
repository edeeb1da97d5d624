"""What a registered model wrote: example questions of entries, and readings of queries."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Build both tables."""
    op.create_table(
        "written_questions",
        sa.Column("content_hash", _KEY, primary_key=True),
        sa.Column("writer", _KEY, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("refusal", sa.Text),
        sa.Column("questions", sa.Text, nullable=False),
    )
    op.create_table(
        "written_readings",
        sa.Column("query_hash", _KEY, primary_key=True),
        sa.Column("writer", _KEY, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("english", sa.Text),
        sa.Column("steps", sa.Text, nullable=False),
    )
    op.create_index("written_readings_by_time", "written_readings", ["at"])
