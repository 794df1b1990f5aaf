"""Alembic's entry: one migrator at a time, bounded locks, one transaction for each migration."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool

_LOCK = 4_711_2019  # any constant: whoever migrates this database holds it


def run() -> None:
    """Migrate the database whose URL the caller put into the configuration, as its owner."""
    engine = create_engine(context.config.get_main_option("sqlalchemy.url") or "", poolclass=pool.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({_LOCK})")  # first: it waits as long as the other migrator takes
        connection.exec_driver_sql("SET lock_timeout = '4s'")
        connection.commit()
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
        connection.exec_driver_sql(f"SELECT pg_advisory_unlock({_LOCK})")
        connection.commit()


run()
