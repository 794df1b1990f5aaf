"""Tables `evidence` and `assessment`. Knows no policy: what a level needs is decided in `model`."""

from __future__ import annotations

INSERT_EVIDENCE = """
INSERT INTO evidence (id, person_id, kind, checked_by, how, checked_at, expires_at, recorded_at)
VALUES (%(evidence_id)s, %(person_id)s, %(kind)s, %(checked_by)s, %(how)s, %(checked_at)s, %(expires_at)s, %(now)s)
"""

STRIKE_EVIDENCE = """
UPDATE evidence SET struck_at = %(now)s, struck_by = %(by)s, struck_reason = %(reason)s
WHERE id = %(evidence_id)s AND struck_at IS NULL
RETURNING id
"""

FIND_EVIDENCE = """
SELECT person_id, struck_at FROM evidence WHERE id = %(evidence_id)s
"""

FIND_EVIDENCE_OF = """
SELECT id, kind, checked_by, how, checked_at, expires_at, struck_at
FROM evidence
WHERE person_id = %(person_id)s
ORDER BY recorded_at, id
"""

FIND_ASSESSMENT = """
SELECT ial, because, CASE WHEN isfinite(until) THEN until END AS until, policy_version
FROM assessment
WHERE person_id = %(person_id)s
"""

FIND_CURRENT_ASSESSMENT = """
SELECT ial, because, CASE WHEN isfinite(until) THEN until END AS until, policy_version
FROM assessment
WHERE person_id = %(person_id)s AND until > %(now)s AND policy_version = %(policy_version)s
"""
"""Hot statements of upper rooms join it under the same two conditions."""

FIND_OTHER_POLICIES = """
SELECT min(v.policy_version) AS first, max(v.policy_version) AS last FROM assessment v
"""
"""Two looks into an index, however many people there are."""

FIND_UNDER_POLICY = """
SELECT v.person_id FROM assessment v
WHERE v.policy_version = %(policy_version)s AND v.person_id > %(after)s
ORDER BY v.person_id
LIMIT %(most)s
"""

WRITE_ASSESSMENT = """
INSERT INTO assessment (person_id, ial, because, until, policy_version, assessed_at)
VALUES (%(person_id)s, %(ial)s, %(because)s::uuid[], coalesce(%(until)s::timestamptz, 'infinity'), %(policy_version)s, %(now)s)
ON CONFLICT (person_id) DO UPDATE SET
    ial = excluded.ial, because = excluded.because, until = excluded.until, policy_version = excluded.policy_version,
    assessed_at = excluded.assessed_at
"""
