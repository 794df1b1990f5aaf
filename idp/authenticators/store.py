"""Tables `password`, `totp`, `recovery_code`, `known_device`. Knows secrets only sealed, as indexes or as digests."""

from __future__ import annotations

from idp.audit.store import written_by
from idp.authenticators.model import ProofRefused

FIND_HASH = """
SELECT hash_sealed, version FROM password WHERE account_id = %(account_id)s
"""

HOLD_HASH = """
SELECT version FROM password WHERE account_id = %(account_id)s AND version = %(version)s FOR NO KEY UPDATE
"""
"""What was checked, if it is still what is stored; until the transaction ends, nobody sets another."""

REPLACE_HASH = """
UPDATE password SET hash_sealed = %(hash_sealed)s
WHERE account_id = %(account_id)s AND hash_sealed = %(old_sealed)s
RETURNING account_id
"""
"""The same password under new parameters; not when it was changed meanwhile."""

SET_HASH = """
INSERT INTO password AS p (account_id, hash_sealed, version, set_at) VALUES (%(account_id)s, %(hash_sealed)s, 1, %(now)s)
ON CONFLICT (account_id) DO UPDATE SET hash_sealed = excluded.hash_sealed, version = p.version + 1, set_at = excluded.set_at
RETURNING (xmax = 0) AS is_first
"""

RECORD_REFUSAL = (
    "WITH happened AS (SELECT 'refused'::text AS outcome)"
    + written_by("happened", {"refused": ProofRefused}, account_id="%(account_id)s", client_id="%(client_id)s")
    + " RETURNING id"
)
"""One statement whether the identifier named somebody or not, so that both take the same time."""

FIND_TOTPS = """
SELECT id, secret_sealed, last_step FROM totp
WHERE account_id = %(account_id)s AND confirmed_at IS NOT NULL AND removed_at IS NULL
ORDER BY id
"""

FIND_PENDING_TOTP = """
SELECT id, secret_sealed FROM totp
WHERE id = %(totp_id)s AND account_id = %(account_id)s AND confirmed_at IS NULL AND removed_at IS NULL
  AND created_at > %(pending_since)s
"""

HOLD_PENDING_TOTP = FIND_PENDING_TOTP + " FOR NO KEY UPDATE"

TAKE_STEP = """
UPDATE totp SET last_step = %(step)s
WHERE id = %(totp_id)s AND account_id = %(account_id)s AND last_step < %(step)s
  AND confirmed_at IS NOT NULL AND removed_at IS NULL
RETURNING id
"""
"""A time step is accepted once, and never an earlier one after it (NIST SP 800-63B-4 §3.1.4)."""

DROP_PENDING_TOTPS = """
UPDATE totp SET removed_at = %(now)s WHERE account_id = %(account_id)s AND confirmed_at IS NULL AND removed_at IS NULL
"""

INSERT_TOTP = """
INSERT INTO totp (id, account_id, secret_sealed, created_at, confirmed_at, last_step)
VALUES (%(totp_id)s, %(account_id)s, %(secret_sealed)s, %(now)s, %(confirmed_at)s, %(step)s)
"""

CONFIRM_TOTP = """
UPDATE totp SET confirmed_at = %(now)s, last_step = %(step)s WHERE id = %(totp_id)s AND confirmed_at IS NULL
"""

COUNT_TOTPS = """
SELECT count(*) AS held FROM totp
WHERE account_id = %(account_id)s AND confirmed_at IS NOT NULL AND removed_at IS NULL
"""

REMOVE_TOTPS = """
UPDATE totp SET removed_at = %(now)s
WHERE account_id = %(account_id)s AND removed_at IS NULL
RETURNING id, confirmed_at
"""

VOID_RECOVERY_CODES = """
UPDATE recovery_code SET replaced_at = %(now)s
WHERE account_id = %(account_id)s AND used_at IS NULL AND replaced_at IS NULL
"""

INSERT_RECOVERY_CODES = """
INSERT INTO recovery_code (account_id, code_index, created_at)
SELECT %(account_id)s, each.code_index, %(now)s FROM unnest(%(code_indexes)s::bytea[]) AS each (code_index)
"""

TAKE_RECOVERY_CODE = """
UPDATE recovery_code SET used_at = %(now)s
WHERE account_id = %(account_id)s AND code_index = ANY(%(code_indexes)s::bytea[])
  AND used_at IS NULL AND replaced_at IS NULL
RETURNING account_id
"""

COUNT_RECOVERY_CODES = """
SELECT count(*) AS held FROM recovery_code
WHERE account_id = %(account_id)s AND used_at IS NULL AND replaced_at IS NULL
"""

FIND_POSSIBLE = """
SELECT EXISTS (SELECT FROM password p WHERE p.account_id = %(account_id)s) AS password,
       EXISTS (SELECT FROM totp t WHERE t.account_id = %(account_id)s AND t.confirmed_at IS NOT NULL
               AND t.removed_at IS NULL) AS otp,
       EXISTS (SELECT FROM recovery_code r WHERE r.account_id = %(account_id)s AND r.used_at IS NULL
               AND r.replaced_at IS NULL) AS rc
"""

FIND_HELD = """
SELECT (SELECT p.set_at FROM password p WHERE p.account_id = %(account_id)s) AS password_at,
       (SELECT max(t.confirmed_at) FROM totp t WHERE t.account_id = %(account_id)s AND t.removed_at IS NULL) AS otp_at,
       max(r.created_at) AS rc_at, count(*) FILTER (WHERE r.used_at IS NULL) AS rc_left
FROM recovery_code r
WHERE r.account_id = %(account_id)s AND r.replaced_at IS NULL
"""

FIND_DEVICE = """
SELECT id FROM known_device
WHERE device_digest = %(device_digest)s AND account_id = %(account_id)s
  AND revoked_at IS NULL AND last_seen_at > %(seen_since)s
"""

IS_DEVICE_OF_ANYBODY = """
SELECT 1 AS found FROM known_device
WHERE device_digest = %(device_digest)s AND revoked_at IS NULL AND last_seen_at > %(seen_since)s
LIMIT 1
"""

REMEMBER_DEVICE = """
INSERT INTO known_device AS d (id, account_id, device_digest, first_seen_at, last_seen_at)
VALUES (%(device_id)s, %(account_id)s, %(device_digest)s, %(now)s, %(now)s)
ON CONFLICT (device_digest, account_id) DO UPDATE SET last_seen_at = excluded.last_seen_at
WHERE d.revoked_at IS NULL
RETURNING id, (xmax = 0) AS is_first
"""

FORGET_DEVICES = """
UPDATE known_device SET revoked_at = %(now)s
WHERE account_id = %(account_id)s AND revoked_at IS NULL
RETURNING id
"""
