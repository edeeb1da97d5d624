"""Each step keeps what the release before it wrote."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

import toolcrib_migrations
from toolcrib_migrations import open_store
from toolcrib_migrations.schema import HEAD, read_version
from toolcrib_registry.store.database import Database
from toolcrib_registry.types import (
    ChangePolicy,
    EntryId,
    EntryKind,
    Outcome,
    OutcomeSource,
    Tool,
    Trust,
    Verdict,
)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of an empty database on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/toolcrib.db"
    make: Callable[[], str] = request.getfixturevalue("new_postgres_url")
    return make()


def build(url: str, version: str, *statements: str) -> None:
    """Make a database as the release with that schema left it."""
    database = Database(url, busy_timeout_s=5)
    database.create_file()
    database.prepare_for_writers()
    config = Config()
    config.set_main_option("script_location", str(Path(toolcrib_migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    with database.writing() as session:
        config.attributes["connection"] = session.connection()
        command.upgrade(config, version)
        for statement in statements:
            session.connection().execute(text(statement))
    database.close()


def test_the_first_release_is_upgraded_with_all_it_holds(url: str) -> None:
    build(
        url,
        "0001",
        "INSERT INTO servers (name, enabled, origin, start_timeout_s, call_timeout_s, status, tags,"
        " transport, quarantined) VALUES ('s', true, 'cli', 60, 60, 'ready', '[]',"
        ' \'{"type": "catalog", "source": "f"}\', \'[]\')',
        "INSERT INTO entries (id, kind, name, server, enabled, content_hash, revision, local_name,"
        " tags, description, definition) VALUES ('tool:s__t', 'tool', 's__t', 's', true, 'h0', 1,"
        " 't', '[]', 'A tool', '{}')",
        "INSERT INTO entries (id, kind, name, enabled, content_hash, revision, tags, description,"
        " descriptor) VALUES ('model:m', 'model', 'm', true, 'h', 1, '[]', 'A model', '{}')",
        "INSERT INTO changes (revision, at, actor, action, subject, fields)"
        " VALUES (1, '2026-08-01 00:00:00+00:00', 'test', 'added', 'model:m', '[]')",
        "UPDATE log_head SET revision = 1",
        "INSERT INTO calls (id, at, subject, face, principal, outcome, duration_ms, argument_shape)"
        " VALUES ('c', '2026-08-01 00:00:00+00:00', 'tool:t', 'mcp', 'local', 'ok', 1.5, '{}')",
    )

    store = open_store(url)

    assert store.head() == 1
    assert [entry.id for entry in store.list_entries().items] == ["model:m", "tool:s__t"]
    tool = store.get_entry(EntryKind.TOOL, "s__t")
    assert isinstance(tool, Tool)
    assert (tool.trust, tool.pinned_hash, tool.marks) == (Trust.TRUSTED, "h0", ())
    (server,) = store.iter_servers()
    assert (server.on_change, server.health.failures) == (ChangePolicy.MARK, 0)
    assert store.live_revisions() == {"model:m": 1, "tool:s__t": 1}
    assert [change.subject for change in store.list_changes()] == ["model:m"]
    assert [call.principal for call in store.list_calls()] == ["local"]
    assert store.count_outcomes() == {}
    one = Outcome(
        id="o",
        at=datetime(2026, 8, 1, tzinfo=UTC),
        tenant="t",
        principal="p",
        query="q",
        entry=EntryId("tool:t"),
        verdict=Verdict.WORKED,
        source=OutcomeSource.FEEDBACK,
    )
    store.record_outcomes([one])
    assert [*store.iter_outcomes()] == [one]
    store.close()
    database = Database(url, busy_timeout_s=5)
    with database.reading() as session:
        assert read_version(session.connection()) == HEAD
    database.close()
