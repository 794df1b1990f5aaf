"""Table `guess_allowance`: one row for each lane in which a secret was ever guessed.

Knows nothing of what is guessed. Every statement decides and counts at once, on the newest version of the row, so that
parallel guesses never get more than the limit (law 1).
"""

from __future__ import annotations

from idp.audit.store import written_by
from idp.throttle.model import GuessesExhausted

RESERVE = (
    """
WITH reserved AS (
    INSERT INTO guess_allowance AS g (kind, lane, short_count, short_until, long_count, long_until, consecutive)
    VALUES (%(kind)s, %(lane)s, 1, %(short_ends)s, 1, %(long_ends)s, 1)
    ON CONFLICT (kind, lane) DO UPDATE SET
        short_count = CASE WHEN g.short_until <= %(now)s THEN 1 ELSE g.short_count + 1 END,
        short_until = CASE WHEN g.short_until <= %(now)s THEN %(short_ends)s ELSE g.short_until END,
        long_count  = CASE WHEN g.long_until <= %(now)s THEN 1 ELSE g.long_count + 1 END,
        long_until  = CASE
            WHEN g.long_until <= %(now)s THEN %(long_ends)s
            WHEN g.long_count + 1 < %(long)s THEN g.long_until
            WHEN g.consecutive + 1 < 2 * %(long)s THEN greatest(g.long_until, %(pause_ends)s)
            ELSE greatest(g.long_until, %(longer_pause_ends)s) END,
        consecutive = g.consecutive + 1
    WHERE (g.short_until <= %(now)s OR g.short_count < %(short)s)
      AND (g.long_until <= %(now)s OR g.long_count < %(long)s)
      AND g.consecutive < %(consecutive)s
    RETURNING short_count, long_count, consecutive
), happened AS (
    SELECT 'exhausted'::text AS outcome
    FROM reserved r
    WHERE %(account_id)s::uuid IS NOT NULL
      AND (r.short_count >= %(short)s OR r.long_count >= %(long)s OR r.consecutive >= %(consecutive)s)
), audited AS ("""
    + written_by("happened", {"exhausted": GuessesExhausted}, account_id="%(account_id)s")
    + """
)
SELECT true AS is_reserved, NULL::timestamptz AS again_at, false AS is_disabled
FROM reserved
UNION ALL
SELECT false,
       greatest(CASE WHEN g.short_count >= %(short)s THEN g.short_until END,
                CASE WHEN g.long_count >= %(long)s THEN g.long_until END),
       g.consecutive >= %(consecutive)s
FROM guess_allowance g
WHERE g.kind = %(kind)s AND g.lane = %(lane)s AND NOT EXISTS (SELECT FROM reserved)
"""
)
"""Take one guess, or none. No row at all: refused by a row that another guess made a moment ago."""

FORGIVE = """
UPDATE guess_allowance
SET short_count = 0,
    long_count = CASE WHEN %(clears_long)s THEN 0 ELSE greatest(long_count - 1, 0) END,
    consecutive = 0
WHERE kind = %(kind)s AND lane = %(lane)s
"""
"""The guess was right: it counts no more. What others guessed today still does, where the kind says so."""

REFUND = """
UPDATE guess_allowance
SET short_count = greatest(short_count - 1, 0),
    long_count = greatest(long_count - 1, 0),
    consecutive = greatest(consecutive - 1, 0)
WHERE kind = %(kind)s AND lane = %(lane)s
RETURNING true AS is_given_back
"""
"""A guess that was reserved and never checked."""

RESET = """
DELETE FROM guess_allowance
WHERE kind = ANY(%(kinds)s) AND lane >= %(first)s AND lane <= %(last)s
"""
"""Everything of one account: its own lane and those of its devices, which share the first half of the lane."""

PURGE = """
DELETE FROM guess_allowance
WHERE (kind, lane) IN (
    SELECT kind, lane
    FROM guess_allowance
    WHERE short_until <= %(now)s AND long_until <= %(now)s AND (consecutive = 0 OR kind <> ALL(%(counted_for_ever)s))
    LIMIT %(at_most)s
    FOR UPDATE SKIP LOCKED
)
"""
"""Rows that refuse nobody any more. Where consecutive failures count for ever, a row stays until a success."""
