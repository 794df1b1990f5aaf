"""Without the indexes that no statement looks into: each had cost something with every person, proof or event."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Drop them: nobody is found by a name, a phone number or a login yet, no event by its time alone (its id begins with it).

    Whoever adds such a search adds its index.
    """
    for index in ("person_search", "person_phone", "login_event_account", "audit_event_at"):
        op.execute(f"DROP INDEX {index}")
