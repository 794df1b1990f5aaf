"""Tables `holder`, `person`, `person_number`, `account`, `account_lock`, `subject_identifier`, and the view `account_alive`.

Knows sealed values and indexes only as bytes.
"""

from __future__ import annotations

INSERT_HOLDER = """
INSERT INTO holder (id, kind, created_at) VALUES (%(holder_id)s, 'person', %(now)s)
"""

INSERT_PERSON = """
INSERT INTO person (holder_id, person_type, full_name, search_key, birth_date, sex, nationality, phone_sealed, phone_index,
                    email_sealed, email_index, address_sealed, updated_at)
VALUES (%(holder_id)s, %(person_type)s, %(full_name)s, %(search_key)s, %(birth_date)s, %(sex)s, %(nationality)s,
        %(phone_sealed)s, %(phone_index)s, %(email_sealed)s, %(email_index)s, %(address_sealed)s, %(now)s)
"""

FIND_NUMBER_EVER = """
SELECT id FROM person_number WHERE number_index = ANY(%(number_indexes)s)
"""

INSERT_NUMBER = """
INSERT INTO person_number (id, holder_id, number_sealed, number_index, since)
VALUES (%(number_id)s, %(holder_id)s, %(number_sealed)s, %(number_index)s, %(now)s)
ON CONFLICT (number_index) DO NOTHING
RETURNING id
"""

INSERT_ACCOUNT = """
INSERT INTO account (id, holder_id, state, locale, created_at)
VALUES (%(account_id)s, %(holder_id)s, 'pending', %(locale)s, %(now)s)
"""

FIND_BY_NUMBER = """
SELECT a.id, a.holder_id, a.state, a.locale,
       EXISTS (SELECT FROM account_lock l WHERE l.account_id = a.id AND l.lifted_at IS NULL OFFSET 0) AS is_locked
FROM unnest(%(number_indexes)s::bytea[]) AS wanted (number_index)
CROSS JOIN LATERAL (
    SELECT n.holder_id FROM person_number n WHERE n.number_index = wanted.number_index AND n.replaced_at IS NULL OFFSET 0
) n
JOIN account a ON a.holder_id = n.holder_id
"""

FIND_PERSON = """
SELECT p.holder_id, p.person_type, p.full_name, p.birth_date, p.sex, p.nationality, p.phone_sealed, p.phone_verified_at,
       p.email_sealed, p.email_verified_at, p.address_sealed, p.updated_at, n.id AS number_id, n.number_sealed
FROM person p
JOIN person_number n ON n.holder_id = p.holder_id AND n.replaced_at IS NULL
WHERE p.holder_id = %(holder_id)s
"""

FIND_ACCOUNT = """
SELECT a.id, a.holder_id, a.state, a.locale, a.created_at, a.activated_at,
       CASE WHEN isfinite(a.not_before) THEN a.not_before END AS not_before
FROM account a
WHERE a.id = %(account_id)s
"""

HOLD_ACCOUNT = """
SELECT a.id, a.holder_id, a.state, a.activated_at
FROM account a
WHERE a.id = %(account_id)s
FOR NO KEY UPDATE
"""

HOLD_PERSON = """
SELECT p.person_type, p.birth_date, a.id AS account_id
FROM person p
LEFT JOIN account a ON a.holder_id = p.holder_id
WHERE p.holder_id = %(holder_id)s
FOR NO KEY UPDATE OF p
"""
"""For upper rooms too: changes of what is known about a person follow each other."""

FIND_LOCKS = """
SELECT l.id, l.account_id, l.reason, l.legal_basis, l.placed_by, l.placed_at, l.until, l.lifted_at, l.lifted_by
FROM account_lock l
WHERE l.account_id = %(account_id)s
ORDER BY l.placed_at, l.id
"""

INSERT_LOCK = """
INSERT INTO account_lock (id, account_id, reason, legal_basis, placed_by, placed_at, until)
VALUES (%(lock_id)s, %(account_id)s, %(reason)s, %(legal_basis)s, %(placed_by)s, %(now)s, %(until)s)
"""

LIFT_LOCK = """
UPDATE account_lock SET lifted_at = %(now)s, lifted_by = %(lifted_by)s
WHERE account_id = %(account_id)s AND lifted_at IS NULL AND (%(lock_id)s::uuid IS NULL OR id = %(lock_id)s)
RETURNING id
"""

COUNT_HELD_LOCKS = """
SELECT count(*) AS held FROM account_lock WHERE account_id = %(account_id)s AND lifted_at IS NULL
"""

FIND_ENDED_LOCKS = """
SELECT l.id, l.account_id FROM account_lock l
JOIN account a ON a.id = l.account_id AND a.state <> 'closed'
WHERE l.lifted_at IS NULL AND l.until <= %(now)s ORDER BY l.until LIMIT %(at_most)s
"""
"""Those of closed accounts are never lifted, and would stand before all others."""

FORGET_BEFORE = """
UPDATE account SET not_before = greatest(not_before, %(now)s) WHERE id = %(account_id)s
"""
"""What began earlier is dead, whatever becomes of the account afterwards."""

ACTIVATE = """
UPDATE account
SET state = 'active', activated_at = coalesce(activated_at, %(now)s), not_before = greatest(not_before, %(now)s)
WHERE id = %(account_id)s AND state IN ('pending', 'active')
RETURNING id
"""

CLOSE = """
UPDATE account SET state = 'closed', not_before = greatest(not_before, %(now)s)
WHERE id = %(account_id)s AND state <> 'closed'
RETURNING id
"""

FIND_SUBJECT = """
SELECT sub FROM subject_identifier WHERE holder_id = %(holder_id)s AND sector = %(sector)s
"""

INSERT_SUBJECT = """
INSERT INTO subject_identifier (holder_id, sector, sub, created_at)
VALUES (%(holder_id)s, %(sector)s, %(sub)s, %(now)s)
ON CONFLICT (holder_id, sector) DO UPDATE SET sector = excluded.sector
RETURNING sub
"""
"""The update of nothing makes the statement return the winner's `sub` to the loser of a race as well."""
