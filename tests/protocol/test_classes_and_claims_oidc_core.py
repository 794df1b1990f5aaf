"""`acr_values` and the `claims` parameter (OIDC Core §3.1.2.1, §5.5; design §5: two scales, and one class that was asked for)."""

from __future__ import annotations

import json

import pytest

from tests.support.asking import answer_of, later, page_of, signed_in
from tests.support.provider import Browser, Person, Portal, Provider, claims_of

AAL1, AAL2 = "urn:motcua:acr:ial1.aal1", "urn:motcua:acr:ial1.aal2"
VERIFIED = "urn:motcua:acr:ial2.aal2"


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal")


@pytest.fixture(scope="module")
def citizen(op: Provider) -> Person:
    return op.person(ial=1)


@pytest.fixture
def home(op: Provider, portal: Portal, citizen: Person) -> Browser:
    """Signed in with the password alone: ial 1, aal 1."""
    return signed_in(op, portal, citizen)


def said_of(portal: Portal, code: str) -> dict[str, object]:
    return claims_of(portal.redeem(code).json["id_token"])


def essential(*values: str) -> str:
    return json.dumps({"id_token": {"acr": {"essential": True, "values": list(values)}}})


def voluntary(*values: str) -> str:
    return json.dumps({"id_token": {"acr": {"values": list(values)}}})


@pytest.mark.parametrize("asked", [None, "urn:elsewhere:gold", "0 1 2", VERIFIED, "urn:motcua:acr:ial9.aal9", "urn:motcua:acr:ial0.aal4"])
def test_a_voluntary_class_that_cannot_be_met_is_no_obstacle(portal: Portal, home: Browser, asked: str | None) -> None:
    """OIDC Core §3.1.2.1: voluntary; the token says the true class, never the one that was hoped for (law 4)."""
    claims = said_of(portal, answer_of(portal, home, prompt="none", acr_values=asked)["code"])
    assert (claims["acr"], claims["ial"], claims["aal"]) == (AAL1, 1, 1)
    assert claims["amr"] == ["pwd"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("urn:motcua:acr:ial0.aal1", "urn:motcua:acr:ial0.aal1"),
        (f"{AAL1} urn:motcua:acr:ial0.aal1", AAL1),
        (f"urn:elsewhere:gold {AAL1}", AAL1),
        ("LoA1", "LoA1"),
    ],
)
def test_the_first_class_that_is_met_is_the_one_told(portal: Portal, home: Browser, asked: str, told: str) -> None:
    """Design §5: `acr` carries the first class asked for that is met; the scales beside it stay true."""
    claims = said_of(portal, answer_of(portal, home, prompt="none", acr_values=asked)["code"])
    assert claims["acr"] == told
    assert (claims["ial"], claims["aal"]) == (1, 1)


def test_a_voluntary_class_within_reach_is_a_step_up_of_the_same_session(
    op: Provider, portal: Portal, home: Browser, citizen: Person
) -> None:
    """Design §5: only what is missing is asked for, the session stays."""
    before = said_of(portal, answer_of(portal, home)["code"])
    later(op, seconds=30)
    assert page_of(home, portal.ask(acr_values=AAL2)) == "totp"
    after = said_of(portal, home.submit(code=citizen.code(op.clock)).parameters["code"])
    assert (after["acr"], after["aal"], after["amr"]) == (AAL2, 2, ["mfa", "otp", "pwd"])
    assert after["sid"] == before["sid"]
    assert after["auth_time"] == before["auth_time"]


def test_a_class_within_reach_cannot_be_met_silently(portal: Portal, home: Browser) -> None:
    """OIDC Core §3.1.2.1: with `prompt=none` no page is shown; a second factor would need one."""
    claims = said_of(portal, answer_of(portal, home, prompt="none", acr_values=AAL2)["code"])
    assert claims["acr"] == AAL1, "voluntary: no obstacle, and the truth"
    assert answer_of(portal, home, prompt="none", claims=essential(AAL2))["error"] == "login_required"


@pytest.mark.parametrize("values", [(VERIFIED,), ("urn:elsewhere:gold",), ("urn:motcua:acr:ial1.aal4",)])
def test_an_essential_class_out_of_reach_is_explained_and_told_to_the_portal(portal: Portal, home: Browser, values: tuple[str]) -> None:
    """OIDC Core §5.5.1.1: an essential `acr` that cannot be met is a failed authentication."""
    silent = answer_of(portal, home, prompt="none", claims=essential(*values))
    assert silent["error"] == "unmet_authentication_requirements"
    assert page_of(home, portal.ask(claims=essential(*values))) == "level"
    said = home.submit().parameters
    assert said["error"] == "unmet_authentication_requirements"
    assert said["state"] == "the-state"


def test_an_essential_class_that_is_met_passes_with_any_of_its_values(portal: Portal, home: Browser) -> None:
    claims = said_of(portal, answer_of(portal, home, prompt="none", claims=essential(VERIFIED, AAL1))["code"])
    assert claims["acr"] == AAL1


def test_a_class_named_by_a_single_value_counts_as_well(portal: Portal, home: Browser) -> None:
    """OIDC Core §5.5.1: `value` beside `values`."""
    wanted = json.dumps({"id_token": {"acr": {"essential": True, "value": VERIFIED}}})
    assert answer_of(portal, home, prompt="none", claims=wanted)["error"] == "unmet_authentication_requirements"
    met = json.dumps({"id_token": {"acr": {"essential": True, "value": AAL1}}})
    assert "code" in answer_of(portal, home, prompt="none", claims=met)


def test_an_essential_acr_without_values_asks_only_that_it_is_told(portal: Portal, home: Browser) -> None:
    wanted = json.dumps({"id_token": {"acr": {"essential": True}}})
    assert said_of(portal, answer_of(portal, home, prompt="none", claims=wanted)["code"])["acr"] == AAL1


def test_a_voluntary_class_by_claims_is_no_obstacle_and_an_acr_for_userinfo_asks_nothing(portal: Portal, home: Browser) -> None:
    """OIDC Core §5.5.1.1 speaks of the ID token only."""
    assert "code" in answer_of(portal, home, prompt="none", claims=voluntary(VERIFIED))
    elsewhere = json.dumps({"userinfo": {"acr": {"essential": True, "values": [VERIFIED]}}})
    assert "code" in answer_of(portal, home, prompt="none", claims=elsewhere)


def test_the_registered_minimum_is_not_lowered_from_the_browser(op: Provider, citizen: Person) -> None:
    """Design §5: neither `acr_values` nor claims nor a prompt gets a code below the client's minimum."""
    strict = op.client("strict", minimum_acr=VERIFIED)
    home = Browser(op)
    home.open(strict.ask())
    home.submit(username=citizen.username, password=citizen.password)
    for changes in (
        {},
        {"acr_values": AAL1},
        {"claims": essential(AAL1)},
        {"claims": voluntary(AAL1)},
        {"acr_values": "urn:motcua:acr:ial0.aal1", "prompt": "consent"},
    ):
        assert page_of(home, strict.ask(**changes)) in {"level", "totp"}
        if "prompt" not in changes:
            said = answer_of(strict, home, prompt="none", **changes)
            assert said["error"] in {"unmet_authentication_requirements", "login_required"}


# attributes ----------------------------------------------------------------------------------------------------------------------


def test_a_claim_asked_for_in_userinfo_is_told_there_and_only_there(op: Provider, portal: Portal, citizen: Person) -> None:
    """OIDC Core §5.5: each place of the `claims` parameter is its own; §5.3.2: what is not asked for is not told."""
    home = Browser(op)
    code = portal.code_for(home, citizen, scope="openid", claims='{"userinfo":{"email":{"essential":true}}}')
    tokens = portal.redeem(code).json
    told = portal.userinfo(tokens["access_token"]).json
    assert "@" in told["email"]
    assert set(told) == {"sub", "email", "ial"}
    assert "email" not in claims_of(tokens["id_token"])


def test_a_claim_asked_for_in_the_id_token_is_told_there_and_only_there(op: Provider, portal: Portal, citizen: Person) -> None:
    home = Browser(op)
    code = portal.code_for(home, citizen, scope="openid", claims='{"id_token":{"birthdate":null,"unheard_of":null}}')
    tokens = portal.redeem(code).json
    told = claims_of(tokens["id_token"])
    assert len(str(told["birthdate"])) == len("1988-03-14")
    assert "unheard_of" not in told
    assert set(portal.userinfo(tokens["access_token"]).json) == {"sub", "ial"}


def test_no_claims_parameter_overrides_what_the_token_says_of_itself(op: Provider, portal: Portal, citizen: Person) -> None:
    """Law 4: a value asked for is never a value told."""
    wanted = {"id_token": {"ial": {"value": 2}, "aal": {"value": 4}, "amr": {"value": ["hwk"]}, "iss": {"value": "https://evil.test"}}}
    claims = said_of(portal, portal.code_for(Browser(op), citizen, claims=json.dumps(wanted)))
    assert (claims["ial"], claims["aal"], claims["amr"], claims["iss"]) == (1, 1, ["pwd"], "http://localhost:8000")


@pytest.mark.parametrize("place", ["userinfo", "id_token"])
def test_a_sub_asked_for_by_value_has_to_be_the_one_signed_in(portal: Portal, home: Browser, place: str) -> None:
    """OIDC Core §5.5.1: the answer is about this `sub` or it is an error."""
    sub = said_of(portal, answer_of(portal, home)["code"])["sub"]
    right = json.dumps({place: {"sub": {"value": sub}}})
    wrong = json.dumps({place: {"sub": {"value": "somebody-else"}}})
    assert "code" in answer_of(portal, home, prompt="none", claims=right)
    assert answer_of(portal, home, prompt="none", claims=wrong)["error"] == "login_required"


@pytest.mark.parametrize(
    "wanted",
    [
        {"acr": {"essential": "true", "value": "urn:motcua:acr:ial2.aal2"}},
        {"acr": {"essential": 1, "value": "urn:motcua:acr:ial2.aal2"}},
        {"acr": {"essential": True, "values": [], "value": "urn:motcua:acr:ial2.aal2"}},
        {"acr": {"essential": True, "values": []}},
        {"name": {"essential": "yes"}},
        {"sub": {"value": 1}},
        {"sub": {"value": ["somebody-else"]}},
        {"sub": {"values": ["somebody-else", "another"]}},
    ],
    ids=str,
)
def test_a_demand_that_cannot_be_read_is_refused_not_forgotten(portal: Portal, home: Browser, wanted: dict[str, object]) -> None:
    """OIDC Core §5.5.1: a portal that demands badly must not be answered as if it had demanded nothing."""
    assert answer_of(portal, home, prompt="none", claims=json.dumps({"id_token": wanted}))["error"] == "invalid_request"


def test_a_sub_may_be_asked_for_in_a_list_of_one(portal: Portal, home: Browser) -> None:
    sub = said_of(portal, answer_of(portal, home)["code"])["sub"]
    assert "code" in answer_of(portal, home, prompt="none", claims=json.dumps({"id_token": {"sub": {"values": [sub]}}}))
    other = json.dumps({"id_token": {"sub": {"essential": True, "values": ["somebody-else"]}}})
    assert answer_of(portal, home, prompt="none", claims=other)["error"] == "login_required"


def test_two_different_subs_can_be_nobody(portal: Portal, home: Browser) -> None:
    """OIDC Core §5.5.1: what contradicts itself is met by nobody, least of all by whoever is signed in."""
    sub = said_of(portal, answer_of(portal, home)["code"])["sub"]
    for mine, other in (("userinfo", "id_token"), ("id_token", "userinfo")):
        contradiction = json.dumps({mine: {"sub": {"value": sub}}, other: {"sub": {"value": "somebody-else"}}})
        assert "code" not in answer_of(portal, home, prompt="none", claims=contradiction)


def test_what_a_client_may_not_ask_by_scope_it_may_not_ask_by_name(op: Provider, citizen: Person) -> None:
    """Its registered scope is all that it may ask for; the rest of a `claims` request is dropped, as the rest of `scope` is (§5.5)."""
    narrow = op.client("narrow", scope="openid profile")
    names = {"name": None, "email": None, "personal_number": {"essential": True}, "phone_number": None}
    wanted = json.dumps({"id_token": names, "userinfo": names})
    home = Browser(op)
    home.open(narrow.ask(scope="openid", claims=wanted))
    home.submit(username=citizen.username, password=citizen.password)
    assert home.page is not None
    assert "Số định danh cá nhân" not in home.page.text
    tokens = narrow.redeem(home.submit(decision="allow").parameters["code"]).json
    for told in (claims_of(tokens["id_token"]), narrow.userinfo(tokens["access_token"]).json):
        assert told["name"] == citizen.name
        assert names.keys() & told.keys() == {"name"}


def test_consent_names_single_claims_and_remembers_them(op: Provider, portal: Portal) -> None:
    """Design §5: what no scope covers is asked for one by one; asked once, it is not asked again."""
    somebody = op.person()
    home = signed_in(op, portal, somebody, scope="openid")
    wanted = '{"userinfo":{"phone_number":null}}'
    assert page_of(home, portal.ask(scope="openid", claims=wanted)) == "consent"
    home.submit(decision="allow")
    assert "code" in answer_of(portal, home, prompt="none", scope="openid", claims=wanted)
