"""Views: saved subsets of the registry. A server without a deadline of its own says so."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Build the table, and let the setting apply to servers that set no deadline."""
    op.create_table(
        "views",
        sa.Column("name", _KEY, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("added_at", _TIME),
        sa.Column("updated_at", _TIME),
        sa.Column("title", sa.Text),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    # Until now those that set none had the default written down; 0 stands for none.
    op.execute("UPDATE servers SET call_timeout_s = 0 WHERE call_timeout_s = 60")
