from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import toolcrib_migrations
from toolcrib_migrations import upgrade
from toolcrib_migrations.schema import HEAD, VERSION_TABLE, VERSIONS, read_version
from toolcrib_registry.store.database import Database
from toolcrib_registry.tables import ServerRow


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of an empty database on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/toolcrib.db"
    make: Callable[[], str] = request.getfixturevalue("new_postgres_url")
    return make()


def test_the_versions_known_are_those_in_the_folder_in_order() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(toolcrib_migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)

    found = [script.revision for script in scripts.walk_revisions()]

    assert tuple(reversed(found)) == VERSIONS
    assert scripts.get_current_head() == HEAD


def test_upgrading_from_nothing_builds_exactly_the_tables(url: str) -> None:
    upgrade(url)
    database = Database(url, busy_timeout_s=5)

    with database.reading() as session:
        context = MigrationContext.configure(
            session.connection(),
            opts={
                "version_table": VERSION_TABLE,
                "compare_type": True,
                "compare_server_default": True,
            },
        )
        differences = compare_metadata(context, ServerRow.metadata)

    database.close()
    assert differences == []


def test_the_comparison_would_notice_a_missing_column(url: str) -> None:
    upgrade(url)
    database = Database(url, busy_timeout_s=5)
    with database.writing() as session:
        session.connection().exec_driver_sql("ALTER TABLE offers DROP COLUMN endpoint")

    with database.reading() as session:
        context = MigrationContext.configure(
            session.connection(), opts={"version_table": VERSION_TABLE}
        )
        differences = compare_metadata(context, ServerRow.metadata)

    database.close()
    assert [difference[0] for difference in differences] == ["add_column"]


def test_a_database_without_a_version_has_none(url: str) -> None:
    database = Database(url, busy_timeout_s=5)
    database.create_file()
    with database.reading() as session:
        assert read_version(session.connection()) is None
    upgrade(url)
    with database.reading() as session:
        assert read_version(session.connection()) == HEAD
    database.close()
