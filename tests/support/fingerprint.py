"""What stands in the database, briefly: for tests that show that nothing was changed."""

from __future__ import annotations

from typing import Any

from idp.storage.postgres import Database

_TABLES = """
SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname NOT LIKE 'procrastinate%%'
ORDER BY 1
"""


def fingerprint(owner: Database) -> dict[str, Any]:
    """Return what stands in every table, as its owner sees it, briefly: it moves when any row does."""
    with owner.transaction() as transaction:
        names = [row.name for row in transaction.all(_TABLES)]
        told = {}
        for name in names:
            row = transaction.one(f"SELECT count(*) AS many, coalesce(sum(hashtextextended(t::text, 0)), 0) AS hashed FROM {name} t")
            assert row is not None
            told[name] = (row.many, row.hashed)
        return told
