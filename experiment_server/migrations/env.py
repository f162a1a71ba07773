"""Runs migrations on the connection that it is given; alembic calls it."""

from alembic import context

from experiment_server.tables import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    # SQLite can't alter most of a table; alembic then copies it.
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
