"""What grants do for others: each method is one step."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from idp.audit.store import OUTCOME, bodies, record
from idp.grants import store
from idp.grants.model import (
    ACCESS,
    CODE,
    REFRESH,
    TOLD_FOR,
    AttributesDisclosed,
    Authorization,
    ClientDead,
    ClientTokenIssued,
    CodeIssued,
    CodeRedeemed,
    CodeRefused,
    CodeReplayed,
    Consent,
    ConsentGiven,
    ConsentRefused,
    ConsentWithdrawn,
    GrantRevoked,
    Lifetimes,
    NoSuchConsent,
    NotRedeemed,
    Redeemed,
    RefreshRefused,
    RefreshReplayed,
    ScopeExceeded,
    Standing,
    TokenRefreshed,
    TokenRevoked,
)
from idp.kernel.digests import digest, new_bearer
from idp.kernel.ids import new_id
from idp.sessions.model import SEEN_EVERY, read_proofs

if TYPE_CHECKING:
    from idp.audit.model import Origin
    from idp.kernel.clock import Clock
    from idp.storage.postgres import Database, Row


_INTROSPECT: Final = {ACCESS: (store.INTROSPECT_ACCESS, store.INTROSPECT_CLIENT_ACCESS), REFRESH: (store.INTROSPECT_REFRESH,)}
"""What is asked of a token by its first letters, the commonest first."""


class Grants:
    """Issues, redeems, refreshes, discloses, introspects, revokes."""

    def __init__(self, database: Database, clock: Clock, lifetimes: Lifetimes) -> None:
        self._database = database
        self._clock = clock
        self.lifetimes = lifetimes

    def standing(self, cookie: str, client_id: UUID, sector: str, policy_version: str) -> Standing | None:
        """Return what stands between the session that `cookie` names and a client, or None without a live session."""
        row = self._database.step(
            store.READ_STANDING,
            {
                "secret_digest": digest(cookie),
                "client_id": client_id,
                "sector": sector,
                "policy_version": policy_version,
                "now": self._clock.now(),
            },
        )
        if row is None:
            return None
        consent = None
        if row.consent_id is not None:
            consent = Consent(row.consent_id, row.consent_version, frozenset(row.consent_scopes), frozenset(row.consent_claims))
        return Standing(
            session_id=row.session_id,
            session_version=row.session_version,
            account_id=row.account_id,
            holder_id=row.holder_id,
            proofs=read_proofs(row.proofs),
            until=row.until,
            seen_at=row.seen_at,
            locale=row.locale,
            ial=row.ial,
            consent=consent,
            sub=row.sub,
            sid=row.sid,
        )

    def issue_code(self, authorization: Authorization, origin: Origin) -> str | None:
        """Issue a code and return it, or None when something it rests on changed since it was read: then ask anew."""
        now, code = self._clock.now(), new_bearer(CODE)
        lifetimes, standing = self.lifetimes, authorization.standing
        parameters = bodies(now, issued=CodeIssued(origin, scopes=authorization.scopes, acr=authorization.acr))
        parameters |= {
            "session_id": standing.session_id,
            "session_version": standing.session_version,
            "client_id": authorization.client_id,
            "consent_id": authorization.consent.id,
            "consent_version": authorization.consent.version,
            "policy_version": authorization.policy_version,
            "sector": authorization.sector,
            "sid": standing.sid,
            "new_sid": new_bearer(""),
            "idle_until": authorization.idle_until,
            "seen_before": now - SEEN_EVERY,
            "family_id": new_id(now),
            "kind": authorization.kind,
            "scopes": list(authorization.scopes),
            "claims": authorization.claims,
            "nonce": authorization.nonce,
            "acr": authorization.acr,
            "ial": authorization.ial,
            "aal": authorization.aal,
            "amr": list(authorization.amr),
            "auth_time": authorization.auth_time,
            "family_until": now + lifetimes.refresh_for if authorization.kind == "offline" else standing.until + lifetimes.refresh_for,
            "digest": digest(code),
            "redirect_uri": authorization.redirect_uri,
            "challenge": authorization.challenge,
            "code_until": now + lifetimes.code_for,
        }
        moves_session = standing.sid is None or standing.seen_at < now - SEEN_EVERY
        statement = store.ISSUE_CODE if moves_session else store.ISSUE_CODE_AGAIN
        return code if self._database.step(statement, parameters) else None

    def redeem(self, code: str, client_id: UUID, redirect_uri: str | None, challenge: str | None, origin: Origin) -> Redeemed:
        """Spend `code` and return what it bought. `challenge` is the S256 of the verifier that was presented, if any.

        Raises:
            NotRedeemed: it bought nothing; whatever was presented is spent, and a replay has killed what the first use bought.
        """
        now = self._clock.now()
        parameters, access, refresh = self._fresh_tokens(now)
        parameters |= bodies(
            now,
            redeemed=CodeRedeemed(origin),
            replayed=CodeReplayed(origin),
            otherwise=CodeRefused(origin, reason=OUTCOME),
        )
        parameters |= {"digest": digest(code), "client_id": client_id, "redirect_uri": redirect_uri, "challenge": challenge}
        row = self._database.step(store.REDEEM_CODE, parameters)
        return self._issued(row, "redeemed", access, refresh)

    def refresh(self, token: str, client_id: UUID, scopes: tuple[str, ...] | None, origin: Origin) -> Redeemed:
        """Replace a refresh token by its successor, with a new access token for `scopes` (all that were granted if None).

        Raises:
            ScopeExceeded: more was asked for than was granted; the token is spent.
            NotRedeemed: it bought nothing; a replay has killed the family.
        """
        now = self._clock.now()
        parameters, access, refresh = self._fresh_tokens(now)
        parameters |= bodies(
            now,
            refreshed=TokenRefreshed(origin),
            replayed=RefreshReplayed(origin),
            otherwise=RefreshRefused(origin, reason=OUTCOME),
        )
        parameters |= {"digest": digest(token), "client_id": client_id, "scopes": list(scopes) if scopes is not None else None}
        row = self._database.step(store.REFRESH, parameters)
        return self._issued(row, "refreshed", access, refresh)

    def _fresh_tokens(self, now: datetime) -> tuple[dict[str, object], str, str]:
        access, refresh = new_bearer(ACCESS), new_bearer(REFRESH)
        return (
            {
                "access_digest": digest(access),
                "access_until": now + self.lifetimes.access_for,
                "refresh_digest": digest(refresh),
                "refresh_until": now + self.lifetimes.refresh_idle_for,
            },
            access,
            refresh,
        )

    def _issued(self, row: Any, good: str, access: str, refresh: str) -> Redeemed:
        if row.outcome != good:
            raise (ScopeExceeded if row.outcome == "scope_exceeded" else NotRedeemed)(row.outcome)
        return Redeemed(
            family_id=row.family_id,
            account_id=row.actor_account_id,
            holder_id=row.principal_holder_id,
            access_token=access,
            refresh_token=refresh if row.kind == "offline" else None,
            access_for=self.lifetimes.access_for,
            scopes=tuple(row.scopes),
            granted=tuple(row.granted),
            claims=row.claims,
            sub=row.sub,
            sid=row.sid,
            nonce=row.nonce,
            acr=row.acr,
            ial=row.ial,
            aal=row.aal,
            amr=tuple(row.amr),
            auth_time=row.auth_time,
        )

    def issue_to_client(self, client_id: UUID, scopes: tuple[str, ...], origin: Origin) -> str:
        """Issue an access token to a client acting for itself and return it.

        Raises:
            ClientDead: it was disabled since it authenticated.
        """
        now, access = self._clock.now(), new_bearer(ACCESS)
        parameters = bodies(now, issued=ClientTokenIssued(origin, scopes=scopes))
        parameters |= {
            "access_digest": digest(access),
            "access_until": now + self.lifetimes.access_for,
            "client_id": client_id,
            "scopes": list(scopes),
        }
        if self._database.step(store.ISSUE_TO_CLIENT, parameters) is None:
            raise ClientDead
        return access

    def disclose(self, token: str, origin: Origin) -> Row | None:
        """Return the attributes behind an access token (sealed values as they lie), or None if it is not good any more."""
        now = self._clock.now()
        parameters: dict[str, object] = {"now": now, "digest": digest(token)}
        again = self._database.step(store.READ_DISCLOSED, parameters)
        if again is not None:
            return again
        return self._database.step(store.DISCLOSE, parameters | bodies(now, disclosed=AttributesDisclosed(origin)))

    def disclose_in_id_token(self, issued: Redeemed, client_id: UUID, origin: Origin) -> Row | None:
        """Return the attributes of whom an ID token is about (sealed values as they lie), and record that the client gets some."""
        parameters = bodies(self._clock.now(), disclosed=AttributesDisclosed(origin))
        parameters |= {
            "holder_id": issued.holder_id,
            "account_id": issued.account_id,
            "client_id": client_id,
            "family_id": issued.family_id,
        }
        return self._database.step(store.DISCLOSE_IN_ID_TOKEN, parameters)

    def attributes(self, holder_id: UUID) -> Row | None:
        """Return a person's attributes (sealed values as they lie), to be shown to the person."""
        return self._database.step(store.ATTRIBUTES, {"holder_id": holder_id})

    def introspect(self, token: str, caller_id: UUID, *, may_ask_all: bool) -> Row | None:
        """Return what a live token is good for, or None; a caller learns nothing of a token it may not ask about."""
        may_ask_all = may_ask_all and token.startswith(ACCESS)  # nobody but its own client can use a refresh token (RFC 7662 §4)
        asked = {"digest": digest(token), "caller_id": caller_id, "may_ask_all": may_ask_all, "now": self._clock.now()}
        for statement in _INTROSPECT.get(token[: len(ACCESS)], ()):
            found = self._database.step(statement, asked)
            if found is not None:
                return found
        return None

    def revoke(self, token: str, client_id: UUID, origin: Origin) -> None:
        """Kill the client's own token; an unknown or foreign one is left alone, and nobody learns which it was.

        Raises:
            ClientDead: it was disabled since it authenticated.
        """
        parameters = bodies(self._clock.now(), access=TokenRevoked(origin, what="access"), family=TokenRevoked(origin, what="family"))
        parameters |= {"digest": digest(token), "client_id": client_id}
        if self._database.step(store.REVOKE, parameters) is None:
            raise ClientDead

    # consents ---------------------------------------------------------------------------------------------------------------------

    def give_consent(
        self, account_id: UUID, holder_id: UUID, client_id: UUID, scopes: frozenset[str], claims: frozenset[str], origin: Origin
    ) -> None:
        """Add `scopes` and `claims` to what the person allows the client; what was allowed before stays."""
        now = self._clock.now()
        who = {"account_id": account_id, "holder_id": holder_id, "client_id": client_id}
        with self._database.transaction() as transaction:
            held = transaction.one(store.LOCK_CONSENT, who)
            if held is None:
                fresh = {"id": new_id(now), "scopes": sorted(scopes), "claims": sorted(claims), "now": now}
                if transaction.one(store.GIVE_CONSENT, who | fresh) is None:  # another tab was faster: add to what it gave
                    held = transaction.one(store.LOCK_CONSENT, who)
            if held is not None:
                scopes, claims = scopes | set(held.scopes), claims | set(held.claims)
                transaction.run(
                    store.CHANGE_CONSENT, {"id": held.id, "scopes": sorted(scopes), "claims": sorted(claims), "now": now}
                )
            given = ConsentGiven(origin, tuple(sorted(scopes)), tuple(sorted(claims)))
            record(transaction, given, now, {"account_id": account_id, "client_id": client_id})

    def refuse_consent(
        self, account_id: UUID, client_id: UUID, scopes: frozenset[str], claims: frozenset[str], origin: Origin
    ) -> None:
        """Record that the person was asked and did not allow it; what was allowed before stays."""
        refused = ConsentRefused(origin, tuple(sorted(scopes)), tuple(sorted(claims)))
        with self._database.transaction() as transaction:
            record(transaction, refused, self._clock.now(), {"account_id": account_id, "client_id": client_id})

    def withdraw_consent(self, consent_id: UUID, account_id: UUID | None, origin: Origin) -> None:
        """Withdraw a consent, and with it everything issued under it. `account_id` None: an operator does it.

        Raises:
            NoSuchConsent: it is not in force, or not this account's.
        """
        now = self._clock.now()
        with self._database.transaction() as transaction:
            row = transaction.one(store.WITHDRAW_CONSENT, {"id": consent_id, "account_id": account_id, "now": now})
            if row is None:
                raise NoSuchConsent
            ids = {"account_id": row.actor_account_id, "client_id": row.client_id, "object_id": consent_id}
            record(transaction, ConsentWithdrawn(origin), now, ids)

    def consents(self, account_id: UUID) -> list[Row]:
        """Return the consents in force of an account, the latest first."""
        with self._database.transaction() as transaction:
            return transaction.all(store.LIST_CONSENTS, {"account_id": account_id})

    def families(self, account_id: UUID) -> list[Row]:
        """Return the live grants of an account, the latest first."""
        with self._database.transaction() as transaction:
            return transaction.all(store.LIST_FAMILIES, {"account_id": account_id, "now": self._clock.now()})

    def replayed(self, account_id: UUID) -> list[Row]:
        """Return the clients whose refresh tokens for this account were used twice of late, and when the last one was ended.

        The person is told (RFC 9700 §4.14.2): whoever came second, or first, may have had a copy.
        """
        with self._database.transaction() as transaction:
            return transaction.all(store.LIST_REPLAYED, {"account_id": account_id, "since": self._clock.now() - TOLD_FOR})

    def kill(self, family_id: UUID, reason: str, origin: Origin) -> bool:
        """Kill one family; return whether it lived."""
        now = self._clock.now()
        with self._database.transaction() as transaction:
            row = transaction.one(store.KILL_FAMILY, {"id": family_id, "reason": reason, "now": now})
            if row is None:
                return False
            ids = {"account_id": row.actor_account_id, "client_id": row.client_id, "session_id": row.session_id, "family_id": family_id}
            record(transaction, GrantRevoked(origin, reason=reason), now, ids)
        return True


def encode_claims(claims: dict[str, object] | None) -> str | None:
    """Return the `claims` parameter as it is kept with a family, or None."""
    return json.dumps(claims, separators=(",", ":")) if claims else None
