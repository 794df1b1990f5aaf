"""The authorization code (RFC 6749 §4.1.2, §4.1.3, §10.5; RFC 9700 §4.5)."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest

from tests.support.asking import answer_of, later, signed_in
from tests.support.provider import OPERATOR, Browser, Person, Portal, Provider, claims_of

OFFLINE = "openid profile offline_access"


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal", redirect_uris=["https://portal.example/cb", "https://portal.example/other"])


@pytest.fixture(scope="module")
def other(op: Provider) -> Portal:
    return op.client("other", redirect_uris=["https://portal.example/cb"])


@pytest.fixture(scope="module")
def citizen(op: Provider) -> Person:
    return op.person()


@pytest.fixture
def home(op: Provider, portal: Portal, citizen: Person) -> Browser:
    return signed_in(op, portal, citizen, scope=OFFLINE)


def test_a_replayed_code_kills_what_it_bought(portal: Portal, home: Browser) -> None:
    """RFC 6749 §4.1.2: access and refresh token of the first use are dead with the very request that replays."""
    code = answer_of(portal, home, scope=OFFLINE)["code"]
    first = portal.redeem(code).json
    renewed = portal.refresh(first["refresh_token"]).json
    assert portal.userinfo(first["access_token"]).status == 200

    replay = portal.redeem(code)

    assert (replay.status, replay.json["error"]) == (400, "invalid_grant")
    for token in (first["access_token"], renewed["access_token"]):
        assert portal.userinfo(token).status == 401
        assert portal.introspect(token) == {"active": False}
    assert portal.refresh(renewed["refresh_token"]).json["error"] == "invalid_grant"
    assert "code" in answer_of(portal, home, scope=OFFLINE), "the consent stays, and so does the session"


def test_a_replay_by_another_client_or_long_after_kills_as_well(op: Provider, portal: Portal, other: Portal, home: Browser) -> None:
    """Whoever has a spent code has stolen it; nothing of what it bought is worth keeping."""
    code = answer_of(portal, home, scope=OFFLINE)["code"]
    first = portal.redeem(code).json
    later(op, hours=3)
    assert other.redeem(code).json["error"] == "invalid_grant"
    assert portal.refresh(first["refresh_token"]).json["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "faults", list(itertools.product([False, True], repeat=4)), ids=lambda faults: "".join("01"[each] for each in faults)
)
def test_every_fault_and_every_mixture_of_them_refuses(
    op: Provider, portal: Portal, other: Portal, home: Browser, faults: tuple[bool, bool, bool, bool]
) -> None:
    """Wrong client, expired, wrong redirect URI, wrong verifier: one is enough; only without any is there a token."""
    wrong_client, expired, wrong_redirect_uri, wrong_verifier = faults
    code = answer_of(portal, home, scope=OFFLINE)["code"]
    if expired:
        later(op, seconds=61)
    answered = (other if wrong_client else portal).redeem(
        code,
        redirect_uri="https://portal.example/other" if wrong_redirect_uri else "https://portal.example/cb",
        code_verifier="w" * 43 if wrong_verifier else portal.verifier,
    )
    if any(faults):
        assert (answered.status, answered.json["error"]) == (400, "invalid_grant")
        assert set(answered.json) == {"error", "error_description"}
        again = portal.redeem(code)
        assert again.json["error"] == "invalid_grant", "a code that was presented wrongly is spent"
    else:
        assert answered.status == 200


def test_a_code_lives_sixty_seconds(op: Provider, portal: Portal, home: Browser) -> None:
    """ASVS 10.4.3, level 3."""
    code = answer_of(portal, home)["code"]
    later(op, seconds=59)
    assert portal.redeem(code).status == 200
    code = answer_of(portal, home)["code"]
    later(op, seconds=60)
    assert portal.redeem(code).json["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "uri",
    ["https://portal.example/other", "https://portal.example/CB", "https://portal.example/cb/", "https://portal.example/cb?", "x", "*"],
)
def test_the_redirect_uri_is_the_one_of_the_request(portal: Portal, home: Browser, uri: str) -> None:
    """Registered or not, another is another."""
    assert portal.redeem(answer_of(portal, home)["code"], redirect_uri=uri).json["error"] == "invalid_grant"


def test_a_code_put_into_another_session_buys_nothing_there(op: Provider, portal: Portal, home: Browser) -> None:
    """RFC 9700 §4.5: the verifier of the victim's session does not fit; nor would its nonce."""
    injected = answer_of(portal, home, code_challenge="E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", nonce="of-the-thief")["code"]
    assert portal.redeem(injected).json["error"] == "invalid_grant"
    own = answer_of(portal, home, code_challenge="E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", nonce="of-the-thief")["code"]
    bought = portal.redeem(own, code_verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert claims_of(bought.json["id_token"])["nonce"] == "of-the-thief", "the control: RFC 7636 appendix B"


def test_codes_cannot_be_guessed_nor_found_in_the_database(op: Provider, portal: Portal, home: Browser) -> None:
    """256 random bits behind a recognisable prefix; the database holds digests only (law 9)."""
    codes = [answer_of(portal, home)["code"] for _ in range(200)]
    assert len(set(codes)) == 200
    assert {len(code) for code in codes} == {47}
    assert {code[:4] for code in codes} == {"moc_"}
    letters = Counter("".join(code[4:46] for code in codes))  # the last letter carries four bits only
    assert len(letters) == 64
    expected = sum(letters.values()) / 64
    chi_square = sum((seen - expected) ** 2 / expected for seen in letters.values())
    assert chi_square < 63 + 6 * math.sqrt(2 * 63)
    with op.owner.transaction() as transaction:
        stored = transaction.all("SELECT encode(c.digest, 'escape') AS text, octet_length(c.digest) AS octets FROM code c")
    assert {row.octets for row in stored} == {32}
    assert not any(code[4:] in row.text for row in stored for code in codes[:20])


@pytest.mark.parametrize("code", ["x", "moc_", "moc_" + "A" * 43, "mor_" + "A" * 43, "\u0130" * 100, "x" * 60_000, "' OR 1=1 --", "\t"])
def test_what_is_no_code_is_invalid_grant(portal: Portal, code: str) -> None:
    answered = portal.redeem(code)
    assert (answered.status, answered.json["error"]) == (400, "invalid_grant")


def test_a_code_dies_with_what_it_rests_on(op: Provider, portal: Portal) -> None:
    """Law 8: between issue and redemption the session ended, the account was locked, the consent withdrawn."""

    def fresh(person: Person) -> tuple[Browser, str]:
        browser = signed_in(op, portal, person)
        return browser, answer_of(portal, browser)["code"]

    somebody = op.person()
    browser, code = fresh(somebody)
    browser.open("/logout")
    browser.submit(decision="sign-out")
    assert portal.redeem(code).json["error"] == "invalid_grant"

    _, code = fresh(somebody)
    (consent,) = op.rooms.grants.consents(somebody.account_id)
    op.rooms.grants.withdraw_consent(consent.id, somebody.account_id, OPERATOR)
    assert portal.redeem(code).json["error"] == "invalid_grant"

    _, code = fresh(somebody)
    later(op, seconds=1)
    op.rooms.accounts.lock(somebody.account_id, reason="test", legal_basis="test", origin=OPERATOR)
    assert portal.redeem(code).json["error"] == "invalid_grant"
