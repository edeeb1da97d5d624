"""The first schema: servers, entries, offers, the change log, vectors and the audit."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Build every table, and the one row of the log's head."""
    _create_registry()
    _create_change_log()
    _create_embeddings_and_calls()


def _create_registry() -> None:
    op.create_table(
        "servers",
        sa.Column("name", _KEY, primary_key=True),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("start_timeout_s", sa.Double, nullable=False),
        sa.Column("call_timeout_s", sa.Double, nullable=False),
        sa.Column("added_at", _TIME),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("attempted_at", _TIME),
        sa.Column("synced_at", _TIME),
        sa.Column("error", sa.Text),
        sa.Column("protocol_version", sa.Text),
        sa.Column("reported_name", sa.Text),
        sa.Column("reported_version", sa.Text),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("transport", sa.Text, nullable=False),
        sa.Column("instructions", sa.Text),
        sa.Column("quarantined", sa.Text, nullable=False),
    )
    op.create_table(
        "entries",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("kind", _KEY, nullable=False),
        sa.Column("name", _KEY, nullable=False),
        sa.Column("server", _KEY, sa.ForeignKey("servers.name")),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("added_at", _TIME),
        sa.Column("updated_at", _TIME),
        sa.Column("local_name", sa.Text),
        sa.Column("source_id", sa.Text),
        sa.Column("family", sa.Text),
        sa.Column("title", sa.Text),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("definition", sa.Text),
        sa.Column("descriptor", sa.Text),
    )
    op.create_index("entries_by_name", "entries", ["kind", "name"], unique=True)
    op.create_index("entries_by_server", "entries", ["server", "id", "content_hash"])
    op.create_table(
        "offers",
        sa.Column("entry_id", _KEY, sa.ForeignKey("entries.id"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("remote_model", sa.Text, nullable=False),
        sa.Column("endpoint", sa.Text),
        sa.Column("api_key", sa.Text),
        sa.Column("terms", sa.Text, nullable=False),
    )


def _create_change_log() -> None:
    op.create_table(
        "changes",
        sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("server", _KEY),
        sa.Column("fields", sa.Text, nullable=False),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
    )
    op.create_index("changes_by_server", "changes", ["server", "revision"])
    head = op.create_table(
        "log_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(head, [{"id": 1, "revision": 0}])


def _create_embeddings_and_calls() -> None:
    op.create_table(
        "embeddings",
        sa.Column("encoder_id", _KEY, primary_key=True),
        sa.Column("text_hash", _KEY, primary_key=True),
        sa.Column("vector", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "calls",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("server", _KEY),
        sa.Column("face", sa.Text, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("duration_ms", sa.Double, nullable=False),
        sa.Column("argument_shape", sa.Text, nullable=False),
    )
    op.create_index("calls_by_time", "calls", ["at", "id"])
