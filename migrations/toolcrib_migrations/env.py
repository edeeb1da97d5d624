"""What Alembic runs for each upgrade: the steps, on the connection and in the transaction given.

Knows no URL and no file: whoever upgrades opens the database and holds its lock.
"""

from alembic import context

from toolcrib_migrations.schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # both engines; Alembic's default for SQLite says otherwise
)
context.run_migrations()
