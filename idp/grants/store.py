"""Tables `consent`, `family`, `code`, `access_token`, `refresh_token`, the views `consent_alive`, `grant_alive`; the hot statements.

Why each has its shape (law 1, and decision 0002): the UPDATE that consumes tests only the digest and that it is unused, so that an
empty RETURNING for a known digest is a replay and nothing else; expiry, parents, client, verifier are judged on what it returns.
Under READ COMMITTED a loser of the race does not see what the winner inserted: so the family was made with the code, and a replay
marks that row. A replayed row is marked by UPDATE (a FOR NO KEY UPDATE lock), last in the statement: nothing waits for it in turn.
"""

from __future__ import annotations

from typing import Final

from idp.audit.store import written_by
from idp.grants.model import (
    AttributesDisclosed,
    ClientTokenIssued,
    CodeIssued,
    CodeRedeemed,
    CodeRefused,
    CodeReplayed,
    RefreshRefused,
    RefreshReplayed,
    TokenRefreshed,
    TokenRevoked,
)
from idp.sessions.store import REACHED_FRAGMENT, SEEN_FRAGMENT

READ_STANDING: Final = """
SELECT s.id AS session_id, s.version AS session_version, s.account_id, s.proofs, s.until, s.seen_at, s.holder_id, s.locale,
       CASE WHEN v.policy_version = %(policy_version)s AND v.until > %(now)s THEN v.ial END AS ial,
       co.id AS consent_id, co.version AS consent_version, co.scopes AS consent_scopes, co.claims AS consent_claims,
       sub.sub, r.sid
FROM session_alive s
LEFT JOIN assessed v ON v.person_id = s.holder_id
LEFT JOIN consent_alive co ON co.actor_account_id = s.account_id AND co.principal_holder_id = s.holder_id
     AND co.client_id = %(client_id)s AND co.mandate_id IS NULL AND co.until > %(now)s
LEFT JOIN subject_known sub ON sub.holder_id = s.holder_id AND sub.sector = %(sector)s
LEFT JOIN session_reached r ON r.session_id = s.id AND r.client_id = %(client_id)s
WHERE s.secret_digest = %(secret_digest)s AND s.until > %(now)s
"""


def _issuing(*, first: str, sid: str) -> str:
    """Return the statement that issues a code only if session, consent and level are the versions read, and everything is alive.

    `first` are CTEs that come before the family is made; `sid` is the expression of the session's identifier at this client.
    """
    return f"""
WITH alive AS (
    SELECT s.id AS session_id, s.started_at, s.account_id, s.holder_id, cl.id AS client_id, co.id AS consent_id, sub.sub
    FROM session_alive s
    JOIN client_alive cl ON cl.id = %(client_id)s AND cl.until > %(now)s
    JOIN consent_alive co ON co.id = %(consent_id)s AND co.version = %(consent_version)s AND co.actor_account_id = s.account_id
         AND co.client_id = cl.id AND co.until > %(now)s
    JOIN assessed v ON v.person_id = s.holder_id AND v.ial = %(ial)s AND v.policy_version = %(policy_version)s AND v.until > %(now)s
    JOIN subject_known sub ON sub.holder_id = s.holder_id AND sub.sector = %(sector)s
    WHERE s.id = %(session_id)s AND s.version = %(session_version)s AND s.until > %(now)s
){first}, family_made AS (
    INSERT INTO family (id, kind, client_id, actor_account_id, principal_holder_id, consent_id, session_id, sid, sub, scopes, claims,
                        nonce, acr, ial, aal, amr, auth_time, session_started_at, issued_at, expires_at)
    SELECT %(family_id)s, %(kind)s, alive.client_id, alive.account_id, alive.holder_id, alive.consent_id, alive.session_id, {sid},
           alive.sub, %(scopes)s, %(claims)s, %(nonce)s, %(acr)s, %(ial)s, %(aal)s, %(amr)s, %(auth_time)s,
           alive.started_at, %(now)s, %(family_until)s
    FROM alive
), code_made AS (
    INSERT INTO code (digest, family_id, client_id, redirect_uri, challenge, issued_at, expires_at)
    SELECT %(digest)s, %(family_id)s, alive.client_id, %(redirect_uri)s, %(challenge)s, %(now)s, %(code_until)s
    FROM alive
), happened AS (
    SELECT 'issued' AS outcome, alive.account_id, alive.client_id, alive.session_id FROM alive
), audited AS ({
        written_by(
            "happened",
            {"issued": CodeIssued},
            account_id="happened.account_id",
            client_id="happened.client_id",
            session_id="happened.session_id",
            family_id="%(family_id)s",
        )
    })
SELECT alive.session_id FROM alive
"""


# At a client that the session reached before, and seen a moment ago, a code moves nothing of the session: the smaller statement.
ISSUE_CODE: Final = _issuing(
    first=f""", seen AS ({SEEN_FRAGMENT}
), reached AS ({REACHED_FRAGMENT}
)""",
    sid="coalesce(%(sid)s, (SELECT reached.sid FROM reached))",
)
ISSUE_CODE_AGAIN: Final = _issuing(first="", sid="%(sid)s")

_FAMILY_COLUMNS: Final = """g.id AS family_id, g.kind, g.actor_account_id, g.principal_holder_id, g.session_id, g.sid, g.sub,
           g.scopes AS granted, g.claims, g.nonce, g.acr, g.ial, g.aal, g.amr, g.auth_time"""

_ISSUED_COLUMNS: Final = """judged.outcome, judged.family_id, judged.kind, judged.actor_account_id, judged.principal_holder_id, judged.sid,
       judged.sub, judged.scopes, judged.granted, judged.claims, judged.nonce, judged.acr, judged.ial, judged.aal, judged.amr,
       judged.auth_time"""

# The fence (OFFSET 0) has the planner look the one grant up by its id: it would otherwise join the whole view before it takes one row.
_GRANT_OF_TAKEN: Final = """
        SELECT a.id, a.kind, a.actor_account_id, a.principal_holder_id, a.session_id, a.sid, a.sub, a.scopes, a.claims, a.nonce, a.acr,
               a.ial, a.aal, a.amr, a.auth_time
        FROM grant_alive a WHERE a.id = taken.family_id AND a.until > %(now)s OFFSET 0"""

REDEEM_CODE: Final = f"""
WITH taken AS (
    UPDATE code SET used_at = %(now)s
    WHERE digest = %(digest)s AND used_at IS NULL
    RETURNING family_id, client_id, redirect_uri, challenge, expires_at
), known AS (
    SELECT c.family_id, f.actor_account_id, f.session_id
    FROM code c LEFT JOIN family f ON f.id = c.family_id
    WHERE c.digest = %(digest)s
), judged AS (
    SELECT CASE WHEN known.family_id IS NULL THEN 'unknown'
                WHEN taken.family_id IS NULL THEN 'replayed'
                WHEN taken.client_id <> %(client_id)s THEN 'wrong_client'
                WHEN taken.expires_at <= %(now)s THEN 'expired'
                WHEN taken.redirect_uri IS DISTINCT FROM %(redirect_uri)s THEN 'wrong_redirect_uri'
                WHEN taken.challenge IS DISTINCT FROM %(challenge)s THEN 'wrong_verifier'
                WHEN g.id IS NULL THEN 'dead'
                ELSE 'redeemed' END AS outcome,
           known.family_id AS presented_family_id, known.actor_account_id AS presented_account_id,
           known.session_id AS presented_session_id, g.scopes, {_FAMILY_COLUMNS}
    FROM (SELECT 1) AS always
    LEFT JOIN known ON true
    LEFT JOIN taken ON true
    LEFT JOIN LATERAL ({_GRANT_OF_TAKEN}) g ON true
), access AS (
    INSERT INTO access_token (digest, family_id, client_id, scopes, issued_at, expires_at)
    SELECT %(access_digest)s, judged.family_id, %(client_id)s, judged.scopes, %(now)s, %(access_until)s
    FROM judged WHERE judged.outcome = 'redeemed'
), refresh AS (
    INSERT INTO refresh_token (digest, family_id, client_id, scopes, issued_at, expires_at)
    SELECT %(refresh_digest)s, judged.family_id, %(client_id)s, judged.granted, %(now)s, %(refresh_until)s
    FROM judged WHERE judged.outcome = 'redeemed' AND judged.kind = 'offline'
), killed AS (
    UPDATE family f SET killed_at = %(now)s, kill_reason = 'code_replayed'
    FROM judged
    WHERE judged.outcome = 'replayed' AND f.id = judged.presented_family_id AND f.killed_at IS NULL
), audited AS ({
    written_by(
        "judged",
        {"redeemed": CodeRedeemed, "replayed": CodeReplayed},
        otherwise=CodeRefused,
        account_id="judged.presented_account_id",
        client_id="%(client_id)s",
        session_id="judged.presented_session_id",
        family_id="judged.presented_family_id",
    )
})
SELECT {_ISSUED_COLUMNS} FROM judged
"""

REFRESH: Final = f"""
WITH taken AS (
    UPDATE refresh_token SET used_at = %(now)s
    WHERE digest = %(digest)s AND used_at IS NULL
    RETURNING family_id, client_id, scopes, expires_at
), known AS (
    SELECT r.family_id, f.actor_account_id, f.session_id
    FROM refresh_token r LEFT JOIN family f ON f.id = r.family_id
    WHERE r.digest = %(digest)s
), judged AS (
    SELECT CASE WHEN known.family_id IS NULL THEN 'unknown'
                WHEN taken.family_id IS NULL THEN 'replayed'
                WHEN taken.client_id <> %(client_id)s THEN 'wrong_client'
                WHEN taken.expires_at <= %(now)s THEN 'expired'
                WHEN g.id IS NULL THEN 'dead'
                WHEN NOT coalesce(%(scopes)s::text[] <@ taken.scopes, true) THEN 'scope_exceeded'
                ELSE 'refreshed' END AS outcome,
           known.family_id AS presented_family_id, known.actor_account_id AS presented_account_id,
           known.session_id AS presented_session_id, coalesce(%(scopes)s::text[], taken.scopes) AS scopes, {_FAMILY_COLUMNS}
    FROM (SELECT 1) AS always
    LEFT JOIN known ON true
    LEFT JOIN taken ON true
    LEFT JOIN LATERAL ({_GRANT_OF_TAKEN}) g ON true
), access AS (
    INSERT INTO access_token (digest, family_id, client_id, scopes, issued_at, expires_at)
    SELECT %(access_digest)s, judged.family_id, %(client_id)s, judged.scopes, %(now)s, %(access_until)s
    FROM judged WHERE judged.outcome = 'refreshed'
), refresh AS (
    INSERT INTO refresh_token (digest, family_id, client_id, scopes, issued_at, expires_at)
    SELECT %(refresh_digest)s, judged.family_id, %(client_id)s, taken.scopes, %(now)s, %(refresh_until)s
    FROM judged, taken WHERE judged.outcome = 'refreshed'
), killed AS (
    UPDATE family f SET killed_at = %(now)s, kill_reason = 'refresh_replayed'
    FROM judged
    WHERE judged.outcome = 'replayed' AND f.id = judged.presented_family_id AND f.killed_at IS NULL
), audited AS ({
    written_by(
        "judged",
        {"refreshed": TokenRefreshed, "replayed": RefreshReplayed},
        otherwise=RefreshRefused,
        account_id="judged.presented_account_id",
        client_id="%(client_id)s",
        session_id="judged.presented_session_id",
        family_id="judged.presented_family_id",
    )
})
SELECT {_ISSUED_COLUMNS} FROM judged
"""

ISSUE_TO_CLIENT: Final = f"""
WITH happened AS (
    SELECT 'issued' AS outcome, c.id FROM client_alive c WHERE c.id = %(client_id)s AND c.until > %(now)s
), access AS (
    INSERT INTO access_token (digest, client_id, scopes, issued_at, expires_at)
    SELECT %(access_digest)s, happened.id, %(scopes)s, %(now)s, %(access_until)s FROM happened
), audited AS ({written_by("happened", {"issued": ClientTokenIssued}, client_id="happened.id")})
SELECT happened.id FROM happened
"""

_DISCLOSED_COLUMNS: Final = """p.person_type, p.full_name, p.birth_date, p.sex, p.nationality, p.phone_sealed, p.phone_verified_at,
       p.email_sealed, p.email_verified_at, p.address_sealed, p.updated_at, p.number_id, p.number_sealed"""

# The attributes behind an access token. The first fetch with a token is recorded as a disclosure, by the step that reads them;
# later ones write nothing, and find what was recorded by this smaller statement. Both ask for the same token and the same life.
READ_DISCLOSED: Final = f"""
SELECT t.scopes, g.sub, g.claims, g.ial, g.principal_holder_id AS holder_id, g.locale, {_DISCLOSED_COLUMNS}
FROM access_token t
JOIN LATERAL (
    SELECT a.sub, a.claims, a.ial, a.principal_holder_id, a.locale FROM grant_alive a
    WHERE a.id = t.family_id AND a.until > %(now)s OFFSET 0
) g ON true
JOIN person_known p ON p.holder_id = g.principal_holder_id
WHERE t.digest = %(digest)s AND t.revoked_at IS NULL AND t.expires_at > %(now)s AND t.disclosed_at IS NOT NULL
"""

DISCLOSE: Final = f"""
WITH found AS (
    SELECT t.digest, t.client_id, t.scopes, t.disclosed_at, g.id AS family_id, g.actor_account_id, g.principal_holder_id, g.session_id,
           g.sub, g.claims, g.ial, g.locale
    FROM access_token t
    JOIN grant_alive g ON g.id = t.family_id AND g.until > %(now)s
    WHERE t.digest = %(digest)s AND t.revoked_at IS NULL AND t.expires_at > %(now)s
), first AS (
    UPDATE access_token t SET disclosed_at = %(now)s
    FROM found WHERE found.disclosed_at IS NULL AND t.digest = found.digest AND t.disclosed_at IS NULL
    RETURNING 'disclosed'::text AS outcome, found.client_id, found.family_id, found.actor_account_id, found.session_id
), audited AS ({
    written_by(
        "first",
        {"disclosed": AttributesDisclosed},
        account_id="first.actor_account_id",
        client_id="first.client_id",
        session_id="first.session_id",
        family_id="first.family_id",
    )
})
SELECT found.scopes, found.sub, found.claims, found.ial, found.principal_holder_id AS holder_id, found.locale, {_DISCLOSED_COLUMNS}
FROM found
JOIN person_known p ON p.holder_id = found.principal_holder_id
"""

ATTRIBUTES: Final = f"""
SELECT p.holder_id, a.locale, {_DISCLOSED_COLUMNS}
FROM person_known p
JOIN account_known a ON a.holder_id = p.holder_id
WHERE p.holder_id = %(holder_id)s
"""

# What the `claims` parameter asked for in an ID token goes out with the token itself, so each time is a disclosure.
DISCLOSE_IN_ID_TOKEN: Final = f"""
WITH found AS ({ATTRIBUTES}
), happened AS (
    SELECT 'disclosed' AS outcome FROM found
), audited AS ({
    written_by(
        "happened",
        {"disclosed": AttributesDisclosed},
        account_id="%(account_id)s",
        client_id="%(client_id)s",
        family_id="%(family_id)s",
    )
})
SELECT p.holder_id, p.locale, {_DISCLOSED_COLUMNS} FROM found p
"""

# `caller` is alive, and asks about its own token or may ask about everybody's. A grant that lives has a client that does.
_CALLER: Final = """
JOIN client_alive caller ON caller.id = %(caller_id)s AND caller.until > %(now)s AND (%(may_ask_all)s OR caller.id = t.client_id)"""

_GRANTED: Final = "t.scopes, t.issued_at, t.expires_at, g.client_name AS client_id, g.sub, g.acr, g.ial, g.aal, g.amr, g.auth_time"

INTROSPECT_ACCESS: Final = f"""
SELECT 'Bearer' AS token_type, {_GRANTED}
FROM access_token t{_CALLER}
JOIN LATERAL (
    SELECT a.client_name, a.sub, a.acr, a.ial, a.aal, a.amr, a.auth_time FROM grant_alive a
    WHERE a.id = t.family_id AND a.until > %(now)s OFFSET 0
) g ON true
WHERE t.digest = %(digest)s AND t.revoked_at IS NULL AND t.expires_at > %(now)s
"""

# A token that a client got for itself: it lives as long as its client, and while neither was told to forget what came before.
INTROSPECT_CLIENT_ACCESS: Final = f"""
SELECT 'Bearer' AS token_type, t.scopes, t.issued_at, t.expires_at, c.client_id, NULL AS sub, NULL AS acr, NULL AS ial, NULL AS aal,
       NULL AS amr, NULL AS auth_time
FROM access_token t{_CALLER}
JOIN client_alive c ON c.id = t.client_id AND c.until > %(now)s AND t.issued_at >= c.not_before
WHERE t.digest = %(digest)s AND t.family_id IS NULL AND t.revoked_at IS NULL AND t.expires_at > %(now)s
  AND t.issued_at >= (SELECT d.not_before FROM deployment d)
"""

INTROSPECT_REFRESH: Final = f"""
SELECT 'refresh_token' AS token_type, {_GRANTED}
FROM refresh_token t{_CALLER}
JOIN grant_alive g ON g.id = t.family_id AND g.until > %(now)s
WHERE t.digest = %(digest)s AND t.used_at IS NULL AND t.expires_at > %(now)s
"""

# An access token dies alone; a refresh token takes its family with it (RFC 7009 §2.1). Another client's token is left alone. No row
# comes back when the client itself is dead: then nothing was done.
REVOKE: Final = f"""
WITH caller AS (
    SELECT c.id FROM client_alive c WHERE c.id = %(client_id)s AND c.until > %(now)s
), access AS (
    UPDATE access_token t SET revoked_at = %(now)s
    FROM caller WHERE t.digest = %(digest)s AND t.client_id = caller.id AND t.revoked_at IS NULL
    RETURNING t.family_id
), refresh AS (
    SELECT r.family_id FROM refresh_token r JOIN caller ON caller.id = r.client_id WHERE r.digest = %(digest)s
), killed AS (
    UPDATE family f SET killed_at = %(now)s, kill_reason = 'revoked'
    FROM refresh WHERE f.id = refresh.family_id AND f.killed_at IS NULL
    RETURNING f.id
), happened AS (
    SELECT 'access'::text AS outcome, access.family_id FROM access
    UNION ALL
    SELECT 'family'::text AS outcome, killed.id FROM killed
), audited AS ({
    written_by(
        "happened",
        {"access": TokenRevoked, "family": TokenRevoked},
        account_id="(SELECT f.actor_account_id FROM family f WHERE f.id = happened.family_id)",
        client_id="%(client_id)s",
        session_id="(SELECT f.session_id FROM family f WHERE f.id = happened.family_id)",
        family_id="happened.family_id",
    )
})
SELECT caller.id FROM caller
"""

# consents: transactions ---------------------------------------------------------------------------------------------------------------

LOCK_CONSENT: Final = """
SELECT c.id, c.version, c.scopes, c.claims
FROM consent c
WHERE c.actor_account_id = %(account_id)s AND c.principal_holder_id = %(holder_id)s AND c.client_id = %(client_id)s
  AND c.mandate_id IS NULL AND c.withdrawn_at IS NULL
FOR NO KEY UPDATE
"""

GIVE_CONSENT: Final = """
INSERT INTO consent (id, actor_account_id, principal_holder_id, client_id, scopes, claims, version, given_at, changed_at)
VALUES (%(id)s, %(account_id)s, %(holder_id)s, %(client_id)s, %(scopes)s, %(claims)s, 1, %(now)s, %(now)s)
ON CONFLICT (actor_account_id, principal_holder_id, client_id, coalesce(mandate_id, '00000000-0000-0000-0000-000000000000'))
    WHERE withdrawn_at IS NULL DO NOTHING
RETURNING id
"""

CHANGE_CONSENT: Final = """
UPDATE consent SET scopes = %(scopes)s, claims = %(claims)s, version = version + 1, changed_at = %(now)s
WHERE id = %(id)s
"""

WITHDRAW_CONSENT: Final = """
UPDATE consent SET withdrawn_at = %(now)s
WHERE id = %(id)s AND (%(account_id)s::uuid IS NULL OR actor_account_id = %(account_id)s) AND withdrawn_at IS NULL
RETURNING id, actor_account_id, client_id
"""

LIST_CONSENTS: Final = """
SELECT c.id, c.client_id, c.scopes, c.claims, c.given_at, c.changed_at
FROM consent c
WHERE c.actor_account_id = %(account_id)s AND c.withdrawn_at IS NULL
ORDER BY c.changed_at DESC
LIMIT 200
"""

LIST_FAMILIES: Final = """
SELECT g.id, g.kind, g.client_id, g.session_id, g.scopes, g.acr, g.issued_at, g.until
FROM grant_alive g
WHERE g.actor_account_id = %(account_id)s AND g.until > %(now)s
ORDER BY g.issued_at DESC
LIMIT 200
"""

# Of grants that would live but for that: where the person ended a grant before, a client that tries again copies nothing.
LIST_REPLAYED: Final = """
SELECT f.client_id, max(f.killed_at) AS killed_at
FROM family f
JOIN account_alive a ON a.id = f.actor_account_id AND f.session_started_at >= a.not_before
JOIN client_alive cl ON cl.id = f.client_id AND f.issued_at >= cl.not_before
JOIN consent_alive co ON co.id = f.consent_id
JOIN assessed v ON v.person_id = f.principal_holder_id AND v.ial >= f.ial
WHERE f.actor_account_id = %(account_id)s AND f.kill_reason = 'refresh_replayed' AND f.killed_at > %(since)s
  AND f.killed_at < f.expires_at AND f.session_started_at >= (SELECT d.not_before FROM deployment d)
GROUP BY f.client_id
ORDER BY killed_at DESC
LIMIT 20
"""

KILL_FAMILY: Final = """
UPDATE family SET killed_at = %(now)s, kill_reason = %(reason)s
WHERE id = %(id)s AND killed_at IS NULL
RETURNING id, actor_account_id, client_id, session_id
"""
