"""What an ID token says, and of whom (OIDC Core §2, §3.1.3.6, §3.1.3.7, §8)."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import timedelta

import pytest

from idp.jose import Expected, half_hash, verify
from tests.support.asking import ISSUER, bought, later, seconds_now, signed_in
from tests.support.provider import OPERATOR, Browser, Person, Portal, Provider, claims_of


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal")


@pytest.fixture(scope="module")
def citizen(op: Provider) -> Person:
    return op.person(ial=2)


@pytest.mark.parametrize("alg", ["ES256", "RS256"])
def test_an_id_token_says_what_it_must_and_no_more(op: Provider, citizen: Person, alg: str) -> None:
    """OIDC Core §2: one audience, so no `azp`; `at_hash` and `nonce`; both scales beside `acr` (design §5)."""
    signed = op.client(f"signed-{alg.lower()}", id_token_signed_response_alg=alg)
    proved_at = seconds_now(op)
    home = signed_in(op, signed, citizen)
    tokens = bought(signed, home, citizen)
    claims = verify(
        tokens["id_token"],
        signed.keys(),
        Expected(algs=frozenset({alg}), issuer=ISSUER, audience=signed.client_id, now=op.clock.now(), types=frozenset({"JWT"})),
    )
    now = seconds_now(op)
    sub, sid = claims.pop("sub"), claims.pop("sid")
    assert claims == {
        "iss": ISSUER,
        "aud": signed.client_id,
        "iat": now,
        "exp": now + 600,
        "auth_time": proved_at,
        "nonce": "the-nonce",
        "acr": "urn:motcua:acr:ial2.aal1",
        "ial": 2,
        "aal": 1,
        "amr": ["pwd"],
        "at_hash": half_hash(tokens["access_token"], alg),
    }
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", str(sid))
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", str(sub))


def test_without_a_nonce_there_is_none(op: Provider, portal: Portal, citizen: Person) -> None:
    claims = claims_of(bought(portal, Browser(op), citizen, nonce=None)["id_token"])
    assert "nonce" not in claims


@pytest.mark.parametrize("nonce", ["0", "n" * 256, "số một lần", '"><script>', "a\r\nb", "{}"])
def test_a_nonce_comes_back_as_it_was(op: Provider, portal: Portal, citizen: Person, nonce: str) -> None:
    """OIDC Core §2: unmodified."""
    assert claims_of(bought(portal, Browser(op), citizen, nonce=nonce)["id_token"])["nonce"] == nonce


def test_no_attribute_is_in_an_id_token_unasked(op: Provider, portal: Portal, citizen: Person) -> None:
    """OIDC Core §5.4: with a code, scopes are for userinfo."""
    every = "openid profile email phone address identity"
    text = bought(portal, Browser(op), citizen, scope=every)["id_token"]
    assert not {"name", "email", "phone_number", "personal_number", "address", "birthdate"} & set(claims_of(text))


def test_the_session_has_one_sid_at_each_portal_and_another_at_the_next(op: Provider, portal: Portal, citizen: Person) -> None:
    """Design §4: a shared `sid` would join pairwise subjects; a new session is a new `sid`."""
    next_door = op.client("next-door")
    home = Browser(op)
    first = claims_of(bought(portal, home, citizen)["id_token"])
    again = claims_of(bought(portal, home, citizen)["id_token"])
    there = claims_of(bought(next_door, home, citizen)["id_token"])
    elsewhere = claims_of(bought(portal, Browser(op), citizen)["id_token"])
    assert first["sid"] == again["sid"]
    assert len({first["sid"], there["sid"], elsewhere["sid"]}) == 3


def test_sub_is_one_in_a_sector_another_in_the_next_and_stays(op: Provider, citizen: Person) -> None:
    """OIDC Core §8.1: pairwise by sector, stable over sessions and time, different for each person."""
    a = op.client("sector-a", sector="shared.example")
    b = op.client("sector-b", sector="shared.example")
    c = op.client("sector-c")
    subs = {portal.client_id: claims_of(bought(portal, Browser(op), citizen)["id_token"])["sub"] for portal in (a, b, c)}
    assert subs["sector-a"] == subs["sector-b"] != subs["sector-c"]
    later(op, days=40)
    assert claims_of(bought(a, Browser(op), citizen)["id_token"])["sub"] == subs["sector-a"]
    other = claims_of(bought(a, Browser(op), op.person())["id_token"])["sub"]
    assert other not in subs.values()


def test_sub_is_not_derived_from_anything_known(op: Provider, portal: Portal, citizen: Person) -> None:
    """Design §4: random; no number, no id, no digest of them."""
    sub = claims_of(bought(portal, Browser(op), citizen)["id_token"])["sub"]
    known = [citizen.username, str(citizen.account_id), str(citizen.holder_id), citizen.holder_id.hex]
    for value in known:
        assert value not in sub
        for text in (value, value + "portal.example", "portal.example" + value):
            assert base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode() != sub


def test_the_level_told_is_the_one_of_the_moment(op: Provider, portal: Portal) -> None:
    """Law 4: lowered evidence lowers the next token; what a session once knew does not count."""
    somebody = op.person(ial=2)
    home = signed_in(op, portal, somebody)
    assert claims_of(bought(portal, home, somebody)["id_token"])["ial"] == 2
    for item in op.rooms.levels.evidence(somebody.holder_id):
        if item.kind == "counter_identity_check":
            op.rooms.levels.strike(item.id, by="officer.two", reason="made by mistake", origin=OPERATOR)
    assert claims_of(bought(portal, home, somebody)["id_token"])["ial"] < 2


def test_life_of_an_id_token_is_ten_minutes_whatever_the_session_does(op: Provider, portal: Portal, citizen: Person) -> None:
    claims = claims_of(bought(portal, Browser(op), citizen)["id_token"])
    assert timedelta(seconds=claims["exp"] - claims["iat"]) == timedelta(minutes=10)
