"""What a profile forbids is refused with the field and a sentence; a declaration that keeps the rules is read whole."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from idp.assurance.levels import LevelClass
from idp.clients.declaration import Declaration, read_declaration
from idp.clients.filling import fill
from idp.clients.model import DeclarationRefused
from idp.jose import new_private_key

NOW = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
ROOT = Path(__file__).parents[3]
KEY = new_private_key("ES256")
RSA = new_private_key("RS256")

BASELINE: dict[str, Any] = {
    "client_id": "portal",
    "profile": "baseline",
    "client_name": "Cổng mẫu",
    "client_name#en": "Sample portal",
    "redirect_uris": ["https://portal.example/signed-in"],
    "scope": "openid profile",
    "token_endpoint_auth_method": "private_key_jwt",
    "jwks": {"keys": [KEY.public]},
}
LEGACY = BASELINE | {"profile": "legacy", "legacy_until": "2027-12-31", "token_endpoint_auth_method": "client_secret_post"}
LEGACY.pop("jwks")


def read(declared: Any = None, **changed: Any) -> Declaration:
    """Read the baseline declaration with changes; a value of None takes the field away."""
    whole = (declared or BASELINE) | changed
    return read_declaration({name: value for name, value in whole.items() if value is not None}, NOW)


def refused(declared: Any = None, **changed: Any) -> tuple[str, str]:
    with pytest.raises(DeclarationRefused) as refusal:
        read(declared, **changed)
    return refusal.value.field, refusal.value.reason


def test_a_baseline_declaration_is_read_with_its_defaults() -> None:
    says = read().says
    assert (says.client_id, says.profile, says.method, says.sector) == ("portal", "baseline", "private_key_jwt", "portal.example")
    assert says.names == {"": "Cổng mẫu", "en": "Sample portal"}
    assert (says.scopes, says.grant_types) == (frozenset({"openid", "profile"}), frozenset({"authorization_code"}))
    assert says.response_modes == frozenset({"query", "form_post"})
    assert (says.minimum, says.id_token_alg, says.legacy_until) == (LevelClass(0, 1), "ES256", None)
    assert says.may_introspect is False


def test_a_legacy_declaration_is_read_with_its_end() -> None:
    assert read(LEGACY).says.legacy_until == datetime(2028, 1, 1, tzinfo=UTC)
    assert read(LEGACY, legacy_until="2027-06-01T00:00:00+07:00").says.legacy_until == datetime(2027, 5, 31, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    ("until", "reason"),
    [
        (None, "has an end date"),
        ("2026-05-31", "in the past"),
        ("2026-06-01T02:00:00+00:00", "in the past"),
        ("2028-06-02", "more than two years"),
        ("9999-12-31", "is a day"),
        ("2027-12-31T00:00:00", "is a day"),
        ("next year", "is a day"),
        ("2027-13-01", "is a day"),
        ("20271231", "is a day"),
        (20271231, "is a text"),
    ],
)
def test_a_legacy_client_ends_within_two_years(until: Any, reason: str) -> None:
    field, why = refused(LEGACY, legacy_until=until)
    assert field == "legacy_until"
    assert reason in why


def test_a_baseline_client_has_no_legacy_end() -> None:
    assert refused(legacy_until="2027-01-01")[0] == "legacy_until"


@pytest.mark.parametrize(
    "name", ["token_endpoint_auth_methods", "redirect_uri", "client_id#en", "scope#vi", "client_name#", "client_name#e", "x", ""]
)
def test_a_field_that_nobody_understands_is_refused_by_its_name(name: str) -> None:
    assert refused(**{name: "x"})[0] == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("jwks_uri", "keys are registered"),
        ("sector_identifier_uri", "not fetched"),
        ("logo_uri", "initials"),
        ("request_uris", "request objects"),
        ("frontchannel_logout_uri", "backchannel_logout_uri"),
    ],
)
def test_a_field_that_is_not_offered_is_refused_with_what_to_do_instead(name: str, words: str) -> None:
    assert words in refused(**{name: "https://portal.example/x"})[1]


def test_the_public_keys_of_private_key_jwt_are_needed_and_public_only() -> None:
    assert refused(jwks=None)[0] == "jwks"
    assert "private key" in refused(jwks={"keys": [json.loads(KEY.to_json())]})[1]
    assert refused(jwks={"keys": []})[0] == "jwks"
    assert refused(jwks=[])[0] == "jwks"
    assert refused(jwks="{")[0] == "jwks"
    assert refused(jwks="{} {}")[0] == "jwks"
    assert refused(token_endpoint_auth_signing_alg="PS256")[0] == "jwks"
    assert read(token_endpoint_auth_signing_alg="ES256").says.assertion_alg == "ES256"
    assert read(token_endpoint_auth_signing_alg="RS256", jwks={"keys": [RSA.public]}).says.assertion_alg == "RS256"
    for alg in ("none", "HS256", "RS1", 1):
        assert refused(token_endpoint_auth_signing_alg=alg)[0] == "token_endpoint_auth_signing_alg"


def test_keys_may_come_as_json_text_and_are_stored_as_public_members_only() -> None:
    stored = read(jwks=json.dumps({"keys": [KEY.public | {"x5t": "ignored"}]})).metadata["jwks"]
    assert stored == {"keys": [{"kty": "EC", "use": "sig", **{name: KEY.public[name] for name in ("crv", "x", "y", "kid", "alg")}}]}


def test_a_declared_secret_is_long_and_never_stored_with_the_metadata() -> None:
    secret = "s" * 32
    declaration = read(LEGACY, client_secret=secret)
    assert declaration.secret == secret
    assert "client_secret" not in declaration.metadata
    assert secret not in repr(declaration)
    for bad in ("s" * 31, "", "s" * 31 + " ", "ế" * 40, "s" * 201, 5):
        assert refused(LEGACY, client_secret=bad)[0] == "client_secret"
    assert refused(client_secret=secret)[0] == "client_secret"
    assert refused(client_secret=secret, token_endpoint_auth_method="none", jwks=None)[0] == "client_secret"


@pytest.mark.parametrize("method", ["client_secret_jwt", "tls_client_auth", "", None, 1, ["none"]])
def test_the_way_to_authenticate_is_said_and_one_of_four(method: Any) -> None:
    assert refused(token_endpoint_auth_method=method)[0] == "token_endpoint_auth_method"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
def test_every_way_to_authenticate_is_read(method: str) -> None:
    assert read(token_endpoint_auth_method=method, jwks=None).says.method == method


def test_a_native_application_keeps_no_secret() -> None:
    native = {"application_type": "native", "redirect_uris": ["http://127.0.0.1/back"], "jwks": None}
    assert read(**native, token_endpoint_auth_method="none").says.application_type == "native"
    assert refused(**native, token_endpoint_auth_method="client_secret_basic")[0] == "token_endpoint_auth_method"


@pytest.mark.parametrize("types", [["token"], ["code", "token"], ["id_token"], ["code id_token"], [], "code", ["none"]])
def test_only_the_code_flow_is_offered(types: Any) -> None:
    assert refused(response_types=types)[0] == "response_types"


def test_the_grant_types_are_a_closed_set_that_fits_together() -> None:
    assert refused(grant_types=["implicit"])[0] == "grant_types"
    assert refused(grant_types=["password"])[0] == "grant_types"
    assert refused(grant_types=["authorization_code", "authorization_code"])[0] == "grant_types"
    assert refused(grant_types=["refresh_token"], redirect_uris=None)[0] == "grant_types"
    assert refused(grant_types=["client_credentials"])[0] == "redirect_uris"
    assert refused(redirect_uris=None)[0] == "redirect_uris"
    assert refused(scope="openid offline_access")[0] == "grant_types"
    both = ["authorization_code", "client_credentials"]
    assert refused(grant_types=both, token_endpoint_auth_method="none", jwks=None)[0] == "grant_types"
    machine = read(grant_types=["client_credentials"], redirect_uris=None, scope=None, response_types=[]).says
    assert (machine.sector, machine.scopes, machine.redirect_uris) == ("client:portal", frozenset(), ())


@pytest.mark.parametrize("modes", [["fragment"], ["query", "jwt"], [], "query"])
def test_the_response_modes_are_a_closed_set(modes: Any) -> None:
    assert refused(response_modes=modes)[0] == "response_modes"


def test_scopes_are_different_words_with_openid_among_them() -> None:
    for scope in ("profile", "openid  profile", "openid openid", 'openid pro"file', " openid", "openid é", 1):
        assert refused(scope=scope)[0] == "scope"
    assert read(scope=None).says.scopes == frozenset({"openid"})


def test_a_minimum_is_a_class_that_can_be_reached() -> None:
    assert read(minimum_acr="urn:motcua:acr:ial2.aal2").says.minimum == LevelClass(2, 2)
    for acr in ("urn:motcua:acr:ial2.aal4", "urn:motcua:acr:ial3.aal1", "high", "", 2):
        assert refused(minimum_acr=acr)[0] == "minimum_acr"


def test_default_classes_are_known_ones_in_their_order() -> None:
    says = read(default_acr_values=["urn:motcua:acr:ial2.aal2", "LoA1"]).says
    assert says.default_acr_values == (LevelClass(2, 2), LevelClass(0, 1, alias="LoA1"))
    assert refused(default_acr_values=["high"])[0] == "default_acr_values"
    assert refused(default_acr_values="LoA1")[0] == "default_acr_values"


def test_purposes_are_told_in_both_languages_for_scopes_that_are_asked_for() -> None:
    sentences = {"vi": "Để ghi đúng tên.", "en": "To write the right name."}
    assert read(purposes={"profile": sentences}).says.purposes == {"profile": sentences}
    wrongs: list[Any] = [{"email": sentences}, {"profile": {"vi": "Để."}}, {"profile": "Để."}, {"profile": sentences | {"en": ""}}, []]
    for wrong in wrongs:
        assert refused(purposes=wrong)[0].startswith("purposes")


def test_a_name_is_a_plain_text() -> None:
    for name in ("", " Cổng", "Cổng\n", "C\u202eổng", "C\u200bổng", "C\x00", "C\ud800", "x" * 101, None, 1):
        assert refused(client_name=name)[0] == "client_name"
    assert refused(**{"client_name#en": "\u2066Portal"})[0] == "client_name#en"
    assert read(client_name="Co\u0302\u0309ng").says.names[""] == "Cổng"


@pytest.mark.parametrize("client_id", ["", "ab", "a b", "a/b", "a:b", "-abc", "é" * 5, "x" * 101, None, 5, "https://evil.example"])
def test_a_client_id_is_short_and_plain(client_id: Any) -> None:
    assert refused(client_id=client_id)[0] == "client_id"


def test_several_hosts_need_a_sector_and_one_host_is_one() -> None:
    """OIDC Core §8.1."""
    two = ["https://portal.example/a", "https://other.example/a"]
    assert refused(redirect_uris=two)[0] == "sector"
    assert read(redirect_uris=two, sector_identifier="province.example").says.sector == "province.example"
    assert read(redirect_uris=two, sector="province.example").says.sector == "province.example"
    assert read(redirect_uris=["https://portal.example/a", "https://portal.example:8443/b"]).says.sector == "portal.example"
    assert refused(sector="a.example", sector_identifier="a.example")[0] == "sector"
    for bad in ("https://a.example", "A.example", "a.example:8", "", "client:x", "a..b", 1):
        assert refused(sector_identifier=bad)[0] == "sector_identifier"


def test_other_addresses_are_judged_like_redirect_addresses() -> None:
    """Dangerous schemes in any registered address."""
    for name in ("client_uri", "policy_uri", "tos_uri", "client_uri#en", "initiate_login_uri", "backchannel_logout_uri"):
        assert read(**{name: "https://portal.example/x"})
        for bad in ("javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", " file:///x", "http://portal.example/x", 1):
            assert refused(**{name: bad})[0] == name
    assert refused(post_logout_redirect_uris=["javascript:alert(1)"])[0] == "post_logout_redirect_uris"
    assert refused(post_logout_redirect_uris=["https://portal.example/x?state=1"])[0] == "post_logout_redirect_uris"


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("subject_type", "public"),
        ("id_token_signed_response_alg", "none"),
        ("id_token_signed_response_alg", "HS256"),
        ("application_type", "service"),
        ("profile", "fapi2"),
        ("default_max_age", -1),
        ("default_max_age", True),
        ("default_max_age", "60"),
        ("require_auth_time", "true"),
        ("backchannel_logout_session_required", 1),
        ("may_introspect", "yes"),
        ("security_level", 2),
        ("security_level", 6),
        ("agency_code", 55),
        ("agreement", "01\x07"),
        ("contacts", "x@portal.example"),
        ("contacts", ["x\x00"]),
        ("software_id", ""),
    ],
)
def test_a_field_of_a_wrong_form_is_refused_by_its_name(name: str, bad: Any) -> None:
    assert refused(**{name: bad})[0] == name


def test_a_client_that_does_not_authenticate_may_not_introspect() -> None:
    assert refused(may_introspect=True, token_endpoint_auth_method="none", jwks=None)[0] == "may_introspect"
    assert read(may_introspect=True).says.may_introspect is True


def test_placeholders_are_filled_from_the_environment_and_nowhere_else() -> None:
    filled = fill({"a": ["${HOST}/x", {"b": "${HOST}${PORT}"}], "c": 1}, {"HOST": "https://a.example", "PORT": ":8"})
    assert filled == {"a": ["https://a.example/x", {"b": "https://a.example:8"}], "c": 1}
    assert fill("plain $ {text} $", {}) == "plain $ {text} $"
    for text in ("${UNKNOWN}", "${}", "${a b}", "x ${OPEN", "${HOST} ${"):
        with pytest.raises(DeclarationRefused):
            fill(text, {"HOST": "x"})


def test_what_is_filled_in_cannot_add_fields_and_is_not_filled_again() -> None:
    environment = {"A": '", "profile": "legacy', "B": "${SECRET}", "SECRET": "s"}
    assert fill({"x": "${A}", "y": "${B}"}, environment) == {"x": '", "profile": "legacy', "y": "${SECRET}"}


def environment_of(text: str) -> dict[str, str]:
    """Return a fitting value for every placeholder in `text`, by the kind of thing its name says it is."""
    fitting = {"URL": "http://localhost:8001", "UNTIL": "2027-06-30", "SUITE": "https://suite.example:8443", "SECRET": "s" * 43}
    names = set(re.findall(r"\$\{(\w+)\}", text))
    return {name: next((value for kind, value in fitting.items() if kind in name), "alias") for name in names}


def test_every_declaration_of_the_repository_is_accepted() -> None:
    files = [*sorted((ROOT / "clients" / "declarations").glob("*.json")), *sorted((ROOT / "tests" / "conformance").glob("clients*.json"))]
    assert len(files) > 1
    for file in files:
        text = file.read_text(encoding="utf-8")
        content = json.loads(text)
        for declared in content if isinstance(content, list) else [content]:
            keys = {"jwks": {"keys": [KEY.public]}} if declared["token_endpoint_auth_method"] == "private_key_jwt" else {}
            assert read_declaration(keys | fill(declared, environment_of(text)), NOW).says.client_id == declared["client_id"]
