"""What may not be learned of tools that need each other: refused pairs, and forgotten calls."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Build both tables."""
    op.create_table(
        "refused_needs",
        sa.Column("entry", _KEY, primary_key=True),
        sa.Column("needed", _KEY, primary_key=True),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
    )
    op.create_table(
        "forgotten_calls",
        sa.Column("tenant", _KEY, primary_key=True),
        sa.Column("principal", _KEY, primary_key=True),
        sa.Column("until", _TIME, nullable=False),
    )
