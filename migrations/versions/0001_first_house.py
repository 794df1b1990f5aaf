"""The first house, with the tables of the job queue."""

from __future__ import annotations

from pathlib import Path

from alembic import op
from procrastinate.schema import SchemaManager

revision = "0001"
down_revision = None

_QUEUE_GRANTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON procrastinate_jobs, procrastinate_events, procrastinate_periodic_defers,
    procrastinate_workers TO idp_app, idp_worker;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO idp_app, idp_worker;
"""


def upgrade() -> None:
    """Create every table, view and function, and grant the roles what they need."""
    driver = op.get_bind().connection.driver_connection     # the scripts are whole files: no parameters, so no `%` to double
    driver.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
    driver.execute(SchemaManager.get_schema())
    driver.execute(_QUEUE_GRANTS)
