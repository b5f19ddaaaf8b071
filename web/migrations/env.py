"""Alembic's entry: it runs on the connection that `upgrade` hands over."""

from alembic import context

from web.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    # SQLite cannot alter a table in place; Alembic copies it.
    render_as_batch=True,
    compare_type=False,
)
with context.begin_transaction():
    # Two processes that start at once: the second one waits and then finds nothing to do.
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(727401)")
    context.run_migrations()
