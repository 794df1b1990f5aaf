"""Tables `session`, `login_event`, `session_client`, `logout_notice`, and the view `session_alive`."""

from __future__ import annotations

BEGIN = """
INSERT INTO session (id, secret_digest, account_id, version, proofs, user_agent, started_at, seen_at, idle_until, expires_at)
VALUES (%(id)s, %(secret_digest)s, %(account_id)s, 1, %(proofs)s, %(user_agent)s, %(now)s, %(now)s, %(idle_until)s, %(expires_at)s)
"""

FIND = """
SELECT s.id, s.account_id, s.version, s.proofs, s.started_at, s.until
FROM session_alive s
WHERE s.secret_digest = %(secret_digest)s AND s.until > %(now)s
"""

# The secret moves with every proof, so that whoever knew the session before does not know it after. The view says that it lives;
# whether it was ended while this waited for the row, only the row itself says.
PROVE = """
UPDATE session s SET secret_digest = %(secret_digest)s, version = s.version + 1, proofs = s.proofs || %(proofs)s::jsonb,
       seen_at = %(now)s, idle_until = %(idle_until)s
FROM session_alive l
WHERE s.id = %(id)s AND s.version = %(version)s AND s.account_id = %(account_id)s AND s.ended_at IS NULL
  AND l.id = s.id AND l.until > %(now)s
RETURNING s.id, s.version
"""

RECORD_LOGIN = """
INSERT INTO login_event (id, at, account_id, session_id, method, client_id, device_id, address)
VALUES (%(id)s, %(now)s, %(account_id)s, %(session_id)s, %(method)s, %(client_id)s, %(device_id)s, %(address)s)
"""

END = """
UPDATE session SET ended_at = %(now)s, end_reason = %(reason)s
WHERE id = %(id)s AND (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s) AND ended_at IS NULL
RETURNING id, account_id
"""

REACHED = """
SELECT r.client_id, r.sid, r.sub, r.first_at
FROM session_client r
WHERE r.session_id = %(session_id)s
ORDER BY r.first_at
"""

NOTIFY = """
INSERT INTO logout_notice (id, session_id, client_id, sid, sub, created_at)
VALUES (%(id)s, %(session_id)s, %(client_id)s, %(sid)s, %(sub)s, %(now)s)
ON CONFLICT (session_id, client_id) DO NOTHING
RETURNING id
"""

NOTICES = """
SELECT n.client_id, n.attempts, n.last_outcome, n.delivered_at, n.given_up_at
FROM logout_notice n
WHERE n.session_id = %(session_id)s
ORDER BY n.created_at, n.id
"""

NOTICE = """
SELECT n.id, n.session_id, n.client_id, n.sid, n.sub, n.created_at, n.attempts, n.delivered_at, n.given_up_at
FROM logout_notice n
WHERE n.id = %(id)s
"""

TRIED = """
UPDATE logout_notice SET attempts = attempts + 1, last_tried_at = %(now)s, last_outcome = %(outcome)s,
       delivered_at = CASE WHEN %(delivered)s THEN %(now)s END, given_up_at = CASE WHEN %(given_up)s THEN %(now)s END
WHERE id = %(id)s AND delivered_at IS NULL AND given_up_at IS NULL
RETURNING attempts
"""

# Sessions that the view no longer shows and nobody has marked yet: of accounts that were locked, closed or bound anew, and of the
# time before a restored database. Whatever kills an account moves its `not_before`, so only accounts that were touched since are
# looked at; and only where the database's own was moved since, the sessions that began in between, by the time in their ids.
DEAD = """
SELECT s.id, s.reason
FROM (
    SELECT s.id, s.account_id, s.expires_at, 'account_dead' AS reason
    FROM account a
    JOIN session s ON s.account_id = a.id AND s.ended_at IS NULL
    WHERE a.not_before > '-infinity' AND a.not_before > %(since)s AND NOT EXISTS (SELECT 1 FROM session_alive l WHERE l.id = s.id)
    UNION ALL
    SELECT s.id, s.account_id, s.expires_at, 'restored' AS reason
    FROM session s
    WHERE (SELECT d.not_before FROM deployment d) > %(since)s AND s.started_at < (SELECT d.not_before FROM deployment d)
      AND s.id >= %(first_id)s AND s.ended_at IS NULL
) s
WHERE (%(account_id)s::uuid IS NULL OR s.account_id = %(account_id)s) AND s.expires_at > %(now)s
ORDER BY s.id
LIMIT %(most)s
"""

LIST = """
SELECT s.id, s.account_id, s.user_agent, s.started_at, s.seen_at, s.idle_until, s.expires_at, s.proofs,
       (SELECT array_agg(c.client_id ORDER BY c.first_at) FROM session_client c WHERE c.session_id = s.id) AS clients
FROM session s
JOIN session_alive l ON l.id = s.id
WHERE s.account_id = %(account_id)s AND l.until > %(now)s
ORDER BY s.started_at DESC
LIMIT 200
"""

# For the statement that issues a code (`idp.grants`): the session is seen, and reaches the client under a `sid` of their own.
# `alive` is a CTE of that statement with `session_id`, `client_id`, `sub`.
SEEN_FRAGMENT = """
UPDATE session s SET seen_at = %(now)s, idle_until = %(idle_until)s
FROM alive WHERE s.id = alive.session_id AND s.seen_at < %(seen_before)s"""

REACHED_FRAGMENT = """
INSERT INTO session_client (session_id, client_id, sid, sub, first_at)
SELECT alive.session_id, alive.client_id, %(new_sid)s, alive.sub, %(now)s FROM alive WHERE %(sid)s::text IS NULL
ON CONFLICT (session_id, client_id) DO UPDATE SET sub = excluded.sub
RETURNING sid"""
