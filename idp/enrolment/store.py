"""Table `activation_code`: bearer values of 120 bits, stored as digests."""

from __future__ import annotations

REPLACE_CODES = """
UPDATE activation_code SET replaced_at = %(now)s
WHERE account_id = %(account_id)s AND used_at IS NULL AND replaced_at IS NULL
"""

INSERT_CODE = """
INSERT INTO activation_code (digest, account_id, issued_by, issued_at, expires_at)
VALUES (%(digest)s, %(account_id)s, %(issued_by)s, %(now)s, %(expires_at)s)
"""

FIND_CODE = """
SELECT account_id, expires_at, used_at, replaced_at FROM activation_code WHERE digest = %(digest)s
"""

TAKE_CODE = """
UPDATE activation_code SET used_at = %(now)s
WHERE digest = %(digest)s AND used_at IS NULL
RETURNING account_id, expires_at, replaced_at
"""
