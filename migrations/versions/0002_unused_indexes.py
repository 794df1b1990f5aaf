"""Without the indexes that no statement looks into: each had cost something with every person and every proof."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Drop them: nobody is found by a name, a phone number or a login yet. Whoever adds such a search adds its index."""
    for index in ("person_search", "person_phone", "login_event_account"):
        op.execute(f"DROP INDEX {index}")
