"""A relying party that shares no code with ours, npm openid-client, at a served provider: what works, and what is refused on either side."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from idp.demo.engines import DatabaseUrls, Engines
from idp.kernel.clock import SystemClock
from tests.support.asking import new_key
from tests.support.openid_client import AuthorizationRequest, OpenidClient, OpenidClientError, TokenAnswer, with_parameter
from tests.support.provider import Answered, Browser, Person, Provider, make_provider
from tests.support.served import Served

pytestmark = pytest.mark.xdist_group("served")

REDIRECT_URI = "https://independent.example/cb"
SCOPE = "openid profile offline_access"
KID = "of-the-client"


@dataclass
class Reached(Provider):
    """The provider as a browser reaches it: over HTTP, at the address of its issuer."""

    node: Served | None = None

    def call(
        self,
        method: str,
        target: str,
        form: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        address: str = "127.0.0.1",
    ) -> Answered:
        assert self.node is not None
        assert address == "127.0.0.1"  # whoever connects has the address they have
        sent = {"Host": self.node.host, **(headers or {})}
        if form is not None:
            body = urlencode(form).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        connection = HTTPConnection("127.0.0.1", self.node.port, timeout=15)
        try:
            connection.request(method, target, body, sent)
            response = connection.getresponse()
            return Answered(response.status, [(name.title(), value) for name, value in response.getheaders()], response.read())
        finally:
            connection.close()


@dataclass
class World:
    """A served provider, a client with a key, and somebody whose browser is signed in and who agreed once."""

    op: Reached
    client: OpenidClient
    browser: Browser
    person: Person
    private_jwk: dict[str, Any]
    metadata: dict[str, Any]

    def asked(self, **parameters: str | None) -> tuple[AuthorizationRequest, str]:
        """Ask for a code; return the request, and the address that the browser was sent back to."""
        request = self.client.authorization_url(REDIRECT_URI, scope=SCOPE, parameters={"prompt": None, **parameters})
        parts = urlsplit(request.url)
        answered = self.browser.sign_in(self.person, self.browser.open(f"{parts.path}?{parts.query}"))
        assert answered.location.startswith(REDIRECT_URI), answered.location
        return request, answered.location

    def bought(self) -> TokenAnswer:
        """Ask for a code and redeem it."""
        return self.client.exchange(*self.asked())


@pytest.fixture(scope="module")
def node(engines: Engines, database_urls: DatabaseUrls) -> Iterator[Served]:
    served = Served(engines, database_urls, workers=1)
    served.make_keys()
    yield served.start()
    served.stop()


@pytest.fixture(scope="module")
def world(engines: Engines, database_urls: DatabaseUrls, node: Served) -> Iterator[World]:
    beside = make_provider(engines, database_urls, SystemClock(), issuer=node.issuer, wrapping_key=node.wrapping)
    key = new_key("ES256")
    declared: dict[str, Any] = {
        "redirect_uris": [REDIRECT_URI],
        "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [key.as_dict(private=False) | {"kid": KID}]},
    }
    beside.client("independent", **declared)
    until = time.monotonic() + 5
    while b"unauthorized_client" in node.get("/authorize?client_id=independent")[2]:  # configuration is at most a second old
        assert time.monotonic() < until
        time.sleep(0.05)
    op = Reached(beside.rooms, beside.owner, beside.clock, beside.keeper, beside.door, beside.settings, node=node)
    private_jwk = key.as_dict(private=True) | {"kid": KID}
    with OpenidClient() as client:
        metadata = client.discover(node.issuer, "independent", private_jwk=private_jwk)
        yield World(op, client, Browser(op), op.person(), private_jwk, metadata)
    beside.close()


# -- what works ------------------------------------------------------------------------------------------------------------------------


def test_it_discovers_signs_in_and_verifies_everything_it_is_given(world: World) -> None:
    """OpenID Connect Core 3.1, RFC 7636, RFC 9207, RFC 7523: state, nonce, iss, PKCE and the ID token are judged by openid-client."""
    request, callback = world.asked(acr_values="urn:motcua:acr:ial1.aal2")
    got = world.client.exchange(request, callback, max_age=600)
    assert world.metadata["issuer"] == world.op.rooms.issuer
    assert got.token_type.lower() == "bearer"
    assert got.claims["nonce"] == request.nonce
    assert got.claims["aud"] == "independent"
    assert got.claims["acr"] == "urn:motcua:acr:ial1.aal2"
    assert world.client.userinfo(got.access_token, sub=got.claims["sub"])["name"] == world.person.name


def test_it_refreshes_and_each_refresh_token_is_good_once(world: World) -> None:
    """RFC 6749 6, RFC 9700 4.14.2: a second use ends the whole family, the winner's tokens too."""
    first = world.bought()
    assert first.refresh_token is not None
    second = world.client.refresh(first.refresh_token)
    assert second.refresh_token not in {None, first.refresh_token}
    assert second.claims["sub"] == first.claims["sub"]
    assert world.client.introspect(second.access_token)["active"] is True
    with pytest.raises(OpenidClientError) as refused:
        world.client.refresh(first.refresh_token)
    assert (refused.value.code, refused.value.where) == ("invalid_grant", "endpoint")
    assert world.client.introspect(second.access_token) == {"active": False}


def test_it_introspects_and_revokes(world: World) -> None:
    """RFC 7662 and RFC 7009: a revoked token is dead at every endpoint at once."""
    got = world.bought()
    told = world.client.introspect(got.access_token)
    assert (told["active"], told["client_id"], told["sub"]) == (True, "independent", got.claims["sub"])
    world.client.revoke(got.access_token)
    assert world.client.introspect(got.access_token) == {"active": False}
    with pytest.raises(OpenidClientError) as refused:
        world.client.userinfo(got.access_token)
    assert (refused.value.code, refused.value.status, refused.value.where) == ("invalid_token", 401, "challenge")


def test_it_gets_a_token_for_itself(world: World) -> None:
    """RFC 6749 4.4: without a refresh token and without an ID token."""
    got = world.client.client_credentials()
    assert (got.refresh_token, got.id_token) == (None, None)
    assert world.client.introspect(got.access_token)["active"] is True


def test_its_answer_may_come_by_form_post(world: World) -> None:
    """OAuth 2.0 Form Post Response Mode: the page's fields are the answer."""
    request = world.client.authorization_url(REDIRECT_URI, scope=SCOPE, parameters={"response_mode": "form_post"})
    parts = urlsplit(request.url)
    answered = world.browser.sign_in(world.person, world.browser.open(f"{parts.path}?{parts.query}"))
    assert answered.status == 200
    action, fields = world.browser.form()
    assert action == REDIRECT_URI
    got = world.client.exchange(request, REDIRECT_URI, form=urlencode(fields))
    assert got.claims["nonce"] == request.nonce


def test_its_sign_out_address_leads_to_a_question_and_back(world: World) -> None:
    """RP-Initiated Logout 1.0, 2 and 3: confirmed by the person, then back to a registered address with the state."""
    visitor = Browser(world.op)
    request = world.client.authorization_url(REDIRECT_URI, scope="openid profile")
    parts = urlsplit(request.url)
    answered = visitor.sign_in(world.person, visitor.open(f"{parts.path}?{parts.query}"))
    got = world.client.exchange(request, answered.location)
    assert world.client.introspect(got.access_token)["active"] is True
    bye = "https://independent.example/bye"
    address = world.client.end_session_url(id_token_hint=got.id_token or "", post_logout_redirect_uri=bye, state="so long")
    parts = urlsplit(address)
    assert visitor.open(f"{parts.path}?{parts.query}").status == 200
    done = visitor.submit(decision="sign-out")
    assert f"{bye}?state=so" in done.text
    assert world.client.introspect(got.access_token) == {"active": False}  # not for offline access: it died with its session


# -- what is refused -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bend", "code", "where"),
    [
        ({"code": "moc_nobody_ever_issued_this_one_0000000000000"}, "invalid_grant", "endpoint"),
        ({"code_verifier": "another-verifier-of-the-right-length-0123456789"}, "invalid_grant", "endpoint"),
        ({"code_verifier": ""}, "invalid_request", "endpoint"),
        ({"nonce": "another nonce"}, "OAUTH_JWT_CLAIM_COMPARISON_FAILED", "client"),
        ({"state": "another state"}, "OAUTH_INVALID_RESPONSE", "client"),
    ],
    ids=["code", "verifier", "no verifier", "nonce", "state"],
)
def test_an_answer_that_does_not_fit_its_request_buys_nothing(world: World, bend: dict[str, str], code: str, where: str) -> None:
    """RFC 6749 4.1.3, RFC 7636 4.6, OpenID Connect Core 3.1.3.7; the control is the first test of this file."""
    request, callback = world.asked()
    with pytest.raises(OpenidClientError) as refused:
        world.client.exchange(request, callback, **bend)  # type: ignore[arg-type]  # one text each
    assert (refused.value.code, refused.value.where) == (code, where)


@pytest.mark.parametrize("issuer", ["https://mixed-up.example", None], ids=["another", "none"])
def test_an_answer_without_the_right_issuer_goes_no_further(world: World, issuer: str | None) -> None:
    """RFC 9207 2.4: the provider names itself in every answer, and says in its metadata that it does."""
    assert world.metadata["authorization_response_iss_parameter_supported"] is True
    request, callback = world.asked()
    assert parse_qs(urlsplit(callback).query)["iss"] == [world.op.rooms.issuer]
    bent = with_parameter(callback, "iss", issuer) if issuer else callback.partition("&iss=")[0]
    with pytest.raises(OpenidClientError) as refused:
        world.client.exchange(request, bent)
    assert (refused.value.code, refused.value.where) == ("OAUTH_INVALID_RESPONSE", "client")


def test_a_code_is_good_once_and_its_second_use_kills_what_the_first_bought(world: World) -> None:
    """RFC 6749 4.1.2."""
    request, callback = world.asked()
    got = world.client.exchange(request, callback)
    with pytest.raises(OpenidClientError) as refused:
        world.client.exchange(request, callback)
    assert (refused.value.code, refused.value.where) == ("invalid_grant", "endpoint")
    assert world.client.introspect(got.access_token) == {"active": False}


@pytest.mark.parametrize(
    "bend",
    [
        {"assertion": {"aud": "https://elsewhere.example"}},
        {"assertion": {"iss": "somebody-else"}},
        {"assertion": {"sub": "somebody-else"}},
        {"assertion": {"exp": 1_700_000_000}},
        {"assertion": {"jti": None}},
        {"assertion_header": {"kid": "of-nobody"}},
        {"instead": {"method": "none"}},
        {"instead": {"method": "client_secret_basic", "client_secret": "a secret that it never had"}},
    ],
    ids=["audience", "issuer", "subject", "over", "without jti", "unknown key", "nothing", "a secret"],
)
def test_a_client_that_does_not_prove_who_it_is_gets_nothing(world: World, bend: dict[str, Any]) -> None:
    """RFC 7523 3, OpenID Connect Core 9."""
    with pytest.raises(OpenidClientError) as refused:
        world.client.client_credentials(**bend)
    assert refused.value.status == 401
    if refused.value.where == "endpoint":  # where a challenge is sent too (RFC 6749 5.2), openid-client tells of that alone
        assert refused.value.code == "invalid_client"


def test_a_key_that_is_not_registered_proves_nothing(world: World) -> None:
    """RFC 7523 3, 9: under the name of the registered key."""
    foreign = new_key("ES256").as_dict(private=True) | {"kid": KID}
    with pytest.raises(OpenidClientError) as refused:
        world.client.client_credentials(instead={"private_jwk": foreign})
    assert (refused.value.code, refused.value.status) == ("invalid_client", 401)


def test_an_assertion_is_good_once(world: World) -> None:
    """RFC 7523 3, 7: the same jti is a replay, whatever else is in it."""
    same = {"jti": f"told-once-{time.time_ns()}"}
    assert world.client.client_credentials(assertion=same).access_token
    with pytest.raises(OpenidClientError) as refused:
        world.client.client_credentials(assertion=same)
    assert (refused.value.code, refused.value.status) == ("invalid_client", 401)


def test_an_error_of_the_provider_comes_back_with_the_state(world: World) -> None:
    """OpenID Connect Core 3.1.2.6: prompt=none in a browser that nobody is signed in with."""
    stranger = Browser(world.op)
    request = world.client.authorization_url(REDIRECT_URI, scope=SCOPE, parameters={"prompt": "none"})
    parts = urlsplit(request.url)
    answered = stranger.open(f"{parts.path}?{parts.query}")
    with pytest.raises(OpenidClientError) as refused:
        world.client.exchange(request, answered.location)
    assert (refused.value.code, refused.value.where) == ("login_required", "authorization")
