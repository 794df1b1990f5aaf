"""Which logout tokens a portal acts on (OpenID Connect Back-Channel Logout 1.0 §2.4, §2.6)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey

from clients.portal.logout import LogoutKeyUnknown, LogoutNotice, LogoutRefused, read_logout_token

NOW = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
KEY = ECKey.generate_key("P-256", {"kid": "one", "use": "sig", "alg": "ES256"}, private=True)
STRANGER = ECKey.generate_key("P-256", {"kid": "one"}, private=True)
GOOD: dict[str, Any] = {
    "iss": "https://id.example",
    "aud": "national-portal",
    "iat": AT,
    "exp": AT + 120,
    "jti": "jti-1",
    "sub": "pairwise-1",
    "sid": "sid-1",
    "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
}


def signed(
    *, key: ECKey | OctKey = KEY, header: dict[str, Any] | None = None, without: str = "", **instead: object
) -> str:
    claims = {name: value for name, value in {**GOOD, **instead}.items() if name != without}
    return jwt.encode({"alg": "ES256", "kid": "one", "typ": "logout+jwt", **(header or {})}, claims, key)


def read(compact: str) -> LogoutNotice:
    return read_logout_token(
        compact,
        KeySet([ECKey.import_key(KEY.as_dict(private=False))]),
        issuer="https://id.example",
        client_id="national-portal",
        algorithms=["ES256"],
        now=NOW,
    )


def test_a_good_token_says_whose_session_is_over() -> None:
    told = read(signed())
    assert (told.jti, told.sid, told.sub) == ("jti-1", "sid-1", "pairwise-1")


@pytest.mark.parametrize(
    "compact",
    [
        signed(header={"typ": "application/LOGOUT+JWT"}),
        signed(aud=["another", "national-portal"]),
        signed(without="sid"),
        signed(without="sub"),
        signed(iat=AT + 30),
        signed(iat=AT - 300, exp=AT - 30),
    ],
    ids=["typ in full", "one audience of several", "no sid", "no sub", "clock a little ahead", "just expired"],
)
def test_a_token_within_the_rules_is_taken(compact: str) -> None:
    assert read(compact).jti == "jti-1"


@pytest.mark.parametrize(
    ("compact", "reason"),
    [
        (signed(header={"typ": "JWT"}), "typ is not logout+jwt"),
        (signed(header={"typ": "at+jwt"}), "typ is not logout+jwt"),
        (signed(iss="https://evil.example"), "another issuer"),
        (signed(iss="https://id.example/"), "another issuer"),
        (signed(without="iss"), "another issuer"),
        (signed(aud="provincial-portal"), "another audience"),
        (signed(aud=[]), "another audience"),
        (signed(without="aud"), "another audience"),
        (signed(without="iat"), "iat is not a time"),
        (signed(iat="now"), "iat is not a time"),
        (signed(iat=True), "iat is not a time"),
        (signed(iat=1e300), "iat is not a time"),
        (signed(iat=AT - 601), "iat too old, or in the future"),
        (signed(iat=AT + 61), "iat too old, or in the future"),
        (signed(without="exp"), "exp is not a time"),
        (signed(exp=AT - 60), "expired"),
        (signed(without="events"), "no back-channel logout event"),
        (signed(events={}), "no back-channel logout event"),
        (signed(events={"http://schemas.openid.net/event/backchannel-logout": True}), "no back-channel logout event"),
        (signed(events=["http://schemas.openid.net/event/backchannel-logout"]), "no back-channel logout event"),
        (signed(nonce="n"), "a nonce, which a logout token must not have"),
        (signed(without="jti"), "no jti"),
        (signed(jti=""), "jti is not a text"),
        (signed(jti=7), "jti is not a text"),
        (signed(sid=["sid-1"]), "sid is not a text"),
        (signed(sid=None, sub=None), "neither sid nor sub"),
        (signed(key=STRANGER), "signature or form not acceptable"),
        (signed(key=OctKey.import_key("a" * 32), header={"alg": "HS256"}), "signature or form not acceptable"),
        ("eyJhbGciOiJub25lIiwidHlwIjoibG9nb3V0K2p3dCJ9.e30.", "signature or form not acceptable"),
        (signed()[:-8], "signature or form not acceptable"),
        ("a.b.c", "signature or form not acceptable"),
        ("", "no logout token, or one too long"),
        ("a" * 8193, "no logout token, or one too long"),
    ],
)
def test_anything_else_is_refused(compact: str, reason: str) -> None:
    """Back-Channel Logout §2.6; RFC 8725 §3.11 for `typ`, §3.1 for the algorithm."""
    with pytest.raises(LogoutRefused) as refusal:
        read(compact)
    assert refusal.value.reason == reason


def test_an_unknown_key_is_told_apart_so_that_keys_can_be_fetched_anew() -> None:
    with pytest.raises(LogoutKeyUnknown):
        read(signed(header={"kid": "two"}))


def test_a_notice_is_remembered_for_longer_than_its_token_can_be_replayed() -> None:
    told = read(signed(iat=AT + 60, exp=AT + 100_000))
    assert (told.until - NOW).total_seconds() >= 60 + 600
