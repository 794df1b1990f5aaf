"""Where answers go (RFC 9700 §2.1, §4.1). Exactly a registered address, or a page and no Location."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from idp.clients.model import DeclarationRefused
from tests.support.asking import later, signed_in
from tests.support.provider import Browser, Portal, Provider

WEB = [
    "https://app.example.evil.test/cb",
    "https://app.example/cb2",
    "https://app.example/cb/",
    "https://app.example/cb/../x",
    "https://app.example/x/../cb",
    "https://app.example/./cb",
    "https://app.example//cb",
    "https://app.example/%63b",
    "https://app.example/cb?",
    "https://app.example/cb?x=1",
    "https://app.example/cb#",
    "https://app.example/cb#x",
    "https://app.example/cb;x",
    "https://app.example/CB",
    "https://app.example/cb%20",
    "https://app.example/cb ",
    " https://app.example/cb",
    "https://app.example:443/cb",
    "https://app.example:8443/cb",
    "https://APP.example/cb",
    "HTTPS://app.example/cb",
    "http://app.example/cb",
    "https://www.app.example/cb",
    "https://app.example./cb",
    "https://app.example@evil.test/cb",
    "https://a@b@evil.test/cb",
    "https://app.example:443@evil.test/cb",
    "https://user@app.example/cb",
    "https://app.example\\@evil.test/cb",
    "https:\\\\evil.test",
    "//evil.test",
    "//app.example/cb",
    "/\\evil.test",
    "/cb",
    "cb",
    "https:app.example/cb",
    "https:///app.example/cb",
    "https://app.example\t.evil.test/cb",
    "https://app.example/cb\r\nX: y",
    "https://app.example/cb%0d%0aX:%20y",
    "https://app.example/cb%00",
    "https://app.exam\u0440le/cb",
    "https://app\u3002example/cb",
    "https://\u202eapp.example/cb",
    "http://127.0.0.1/cb",
    "http://localhost:81/cb",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)//https://app.example/cb",
    "data:text/html,x",
    "vbscript:x",
    " file:///etc/passwd",
    "https://app.example/cb,https://evil.test/",
    "https://app.example/cb https://evil.test/",
    "*",
    "https://*/cb",
    "null",
    "https://app.example/cb" + "x" * 1979,
    "https://app.example/cb" + "x" * 4000,
]

NATIVE = [
    "http://127.0.0.1:5/cb?x=1",
    "http://127.0.0.1:5/cb2",
    "http://127.0.0.1:5/",
    "http://localhost:5/cb",
    "http://127.0.0.1.evil.test/cb",
    "http://127.0.0.1:5@evil.test/cb",
    "http://127.0.0.2:5/cb",
    "http://127.1:5/cb",
    "http://0x7f000001:5/cb",
    "http://[::1]:5/cb",
    "http://[::ffff:127.0.0.1]:5/cb",
    "https://127.0.0.1:5/cb",
    "http://127.0.0.1:05/cb",
    "http://127.0.0.1:70000/cb",
    "http://127.0.0.1:/cb",
]


@pytest.fixture(scope="module")
def app(op: Provider) -> Portal:
    return op.client("app", redirect_uris=["https://app.example/cb"])


@pytest.fixture(scope="module")
def native(op: Provider) -> Portal:
    return op.client(
        "native",
        application_type="native",
        token_endpoint_auth_method="none",
        redirect_uris=["http://127.0.0.1/cb"],
        post_logout_redirect_uris=None,
    )


@pytest.fixture(scope="module")
def home(op: Provider, app: Portal) -> Browser:
    """Somebody signed in, for whom the portal would get a code at once."""
    return signed_in(op, app, op.person())


@pytest.mark.parametrize("uri", WEB)
def test_an_address_that_is_not_the_registered_one_gets_no_answer(op: Provider, app: Portal, home: Browser, uri: str) -> None:
    """Before and after the sign-in, with a code and with an error, nothing leaves the provider."""
    for browser in (Browser(op), home):
        for changes in ({}, {"prompt": "none"}, {"response_type": "token"}, {"response_mode": "form_post"}):
            answered = browser.send("GET", app.ask(redirect_uri=uri, **changes))
            assert answered.status == 400
            assert answered.header("location") is None
            assert answered.header("refresh") is None
            assert "moc_" not in answered.text
            policy = answered.header("content-security-policy") or ""
            assert "form-action 'self'" in policy
            assert "evil" not in policy


def test_the_registered_address_gets_its_answer(app: Portal, home: Browser) -> None:
    """The control beside all of them."""
    assert home.send("GET", app.ask(prompt="none")).location.startswith("https://app.example/cb?code=moc_")


@pytest.mark.parametrize("escaped", ["%FF", "%C0%AF", "%ED%A0%80", "%zz", "%"])
def test_bytes_that_are_no_text_are_not_read(op: Provider, app: Portal, escaped: str) -> None:
    """Refused at the door, before anybody could read them in two ways."""
    target = app.ask().replace(quote("https://app.example/cb", safe=""), quote("https://app.example/cb", safe="") + escaped)
    assert escaped in target
    answered = op.call("GET", target)
    assert answered.status == 400
    assert answered.header("location") is None


@pytest.mark.parametrize("port", ["", ":1", ":5", ":65535"])
def test_a_native_application_may_listen_on_any_port(op: Provider, native: Portal, port: str) -> None:
    """RFC 8252 §7.3: the control beside the next."""
    assert op.call("GET", native.ask(redirect_uri=f"http://127.0.0.1{port}/cb")).location.startswith("/i/")


@pytest.mark.parametrize("uri", NATIVE)
def test_but_only_the_port_may_differ(op: Provider, native: Portal, uri: str) -> None:
    """A web application has no such liberty (above)."""
    answered = op.call("GET", native.ask(redirect_uri=uri))
    assert answered.status == 400
    assert answered.header("location") is None


@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        " file:///etc/passwd",
        "http://app.example/cb",
        "https://app.example@evil.test/cb",
        "https://a@b@evil.test/cb",
        "https://app.example:443@evil.test/cb",
        "https://app.example\\@evil.test/cb",
        "https://app.example/cb#x",
        "https://*.example/cb",
        "https://app.example/cb\r\n",
        "https://app.example/../cb",
        "https://app.example/cb?code=x",
        "//app.example/cb",
        "",
    ],
)
def test_no_such_address_can_be_registered(op: Provider, uri: str) -> None:
    """In no field that holds an address."""
    for name in ("redirect_uris", "post_logout_redirect_uris"):
        with pytest.raises(DeclarationRefused):
            op.client("refused", **{name: [uri]})
    for name in ("backchannel_logout_uri", "initiate_login_uri", "policy_uri", "tos_uri", "client_uri", "logo_uri"):
        if uri != "https://app.example/cb?code=x":
            with pytest.raises(DeclarationRefused):
                op.client("refused", **{name: uri})
    assert op.rooms.clients.find("refused") is None


@pytest.mark.parametrize(
    "response_type", ["token", "id_token", "code token", "id_token token", "none", "code code", "code%20code", "id_token code"]
)
def test_no_response_type_puts_anything_into_a_fragment(app: Portal, home: Browser, response_type: str) -> None:
    """The code in a fragment is a code in a script's hands."""
    answered = home.send("GET", app.ask(response_type=response_type))
    assert answered.parameters["error"] == "unsupported_response_type"
    assert "#" not in answered.location
    assert "access_token" not in answered.location


def test_an_address_taken_away_meanwhile_gets_nothing(op: Provider) -> None:
    """Law 8: the interaction was begun when it was still registered; it ends at a page."""
    moving = op.client("moving", redirect_uris=["https://moving.example/old"])
    somebody, browser = op.person(), Browser(op)
    browser.open(moving.ask())
    op.client("moving", redirect_uris=["https://moving.example/new"])
    later(op, seconds=2)
    answered = browser.sign_in(somebody, browser.submit(username=somebody.username, password=somebody.password))
    assert answered.status == 400
    assert answered.header("location") is None
    assert browser.send("GET", moving.ask(redirect_uri="https://moving.example/new")).status == 303


@pytest.mark.parametrize(
    "name", ["next", "referrer", "returnTo", "return_to", "callbackURL", "redirect", "url", "continue", "back_to", "lang"]
)
@pytest.mark.parametrize("value", ["//evil.test", "/\\evil.test", "https:evil.test", "https://evil.test/", "/%09/evil.test", "/.evil.test"])
def test_no_page_leads_away_because_an_address_said_so(op: Provider, app: Portal, name: str, value: str) -> None:
    """Open redirects in parameters of pages."""
    query = f"?{name}={quote(value, safe='')}"
    browser = Browser(op)
    browser.open(app.ask())
    for path in ("/", "/help", "/logout", browser.at, "/activate", "/i/x/sign-in"):
        answered = browser.send("GET", path + query)
        assert answered.status in {200, 303, 400, 404}
        location = answered.header("location") or "/"
        assert location.startswith("/")
        assert not location.startswith(("//", "/\\"))
        assert 'href="//evil' not in answered.text
        assert 'href="https://evil' not in answered.text
        assert 'action="https://evil' not in answered.text


def test_pages_load_nothing_from_elsewhere_and_tell_nobody_where_they_are(op: Provider, app: Portal, home: Browser) -> None:
    """No third-party resource, Referrer-Policy no-referrer, on sign-in, consent and error pages."""
    pages = [Browser(op).open(app.ask()), home.open(app.ask(prompt="consent")), op.call("GET", "/authorize"), op.call("GET", "/nowhere")]
    for page in pages:
        assert page.header("referrer-policy") == "no-referrer"
        assert page.header("cache-control") == "no-store"
        policy = page.header("content-security-policy") or ""
        assert policy.startswith("default-src 'none'; style-src 'self'; font-src 'self'; img-src 'self' data:; script-src 'nonce-")
        for attribute in ('src="http', "src='http", 'src="//', 'rel="stylesheet" href="http', "@import"):
            assert attribute not in page.text
