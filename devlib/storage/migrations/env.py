"""What Alembic runs: migrations on the connection, and in the transaction, that `migrate` gives it."""

from alembic import context

from devlib.storage.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
