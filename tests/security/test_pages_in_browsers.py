"""No page runs, frames, keeps or leaks what somebody else chose (ASVS 3.4)."""

from __future__ import annotations

import html.parser
import re
from urllib.parse import quote, urlencode

import pytest

from tests.support.journeys import Journeys, rules_of
from tests.support.provider import Answered, Browser, Provider

PAYLOADS = (
    "<script>alert(1)</script>",
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    '" autofocus onfocus=alert(1) x="',
    "' onmouseover='alert(1)",
    "</title><script>alert(1)</script>",
    "</textarea><svg/onload=alert(1)>",
    "<svg><script>alert&#40;1&#41;</script>",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "{{7*7}}${7*7}<%= 7*7 %>#{7*7}",
    "{% raw %}{{ config }}{% endraw %}",
    "<!--<img src=--><img src=x onerror=alert(1)//>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href=//evil.example>here</a>",
    "\u2028<b>\u202ex</b>",
    "＜script＞alert(1)＜/script＞",
    "</script><script>alert(1)</script>",
    '`-alert(1)-`<math><mi//xlink:href="data:x,<script>alert(4)</script>">',
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content=0;url=https://evil.example>",
)
REQUEST_PARAMETERS = (
    "login_hint", "ui_locales", "display", "scope", "state", "nonce", "prompt", "response_mode", "response_type", "acr_values",
    "claims", "max_age", "client_id", "redirect_uri", "code_challenge", "id_token_hint", "lang", "error", "error_description",
    "request", "request_uri", "registration",
)  # fmt: skip
LOGOUT_PARAMETERS = ("id_token_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales", "logout_hint", "lang", "looked")
FORM_FIELDS = ("username", "password", "code", "decision", "kept", "optional", "subject", "csrf_token", "repeat", "made_up")


class _Reader(html.parser.HTMLParser):
    """Reads a page as a browser would, and keeps what could act."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.handlers: list[str] = []
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name in {"style", "srcdoc"}]
        self.addresses += [value or "" for name, value in attrs if name in {"href", "src", "action", "formaction", "data", "xlink:href"}]
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
            self._in_script = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._in_script = False

    def handle_data(self, text: str) -> None:
        if self._in_script:
            given, before = self.scripts[-1]
            self.scripts[-1] = (given, before + text)


def read_page(page: Answered) -> _Reader:
    reader = _Reader()
    reader.feed(page.text)
    return reader


def require_inert(page: Answered) -> None:
    """Nothing on a page acts but our own script under the page's own nonce; no address leads out but what is registered."""
    assert page.status < 500, page.text[:300]
    for name, value in page.headers:
        assert not re.search(r"[\r\n]", value), name
    if not (page.header("content-type") or "").startswith("text/html"):
        assert not re.search(rb"<script|<svg|<img", page.body)
        return
    reader, policy = read_page(page), page.header("content-security-policy") or ""
    nonce = (re.search(r"'nonce-([^']+)'", policy) or ["", ""])[1]
    assert nonce
    assert [given for given, _ in reader.scripts if given.get("nonce") != nonce] == []
    assert [text for given, text in reader.scripts if text.strip() and text != 'document.getElementById("answer").submit()'] == []
    assert reader.handlers == []
    assert not reader.tags & {"iframe", "object", "embed", "base", "img", "math", "frame", "applet"}
    ours = r"(/(?![/\\])|#|https://(plain|strong|checked)\d+\.example|otpauth://totp/M%E1%BB%99t%20C%E1%BB%ADa:[\w%.-]+\?secret=[A-Z2-7]+&)"
    assert [each for each in reader.addresses if not re.match(ours, each)] == []
    assert "49" not in re.findall(r">\s*(49)\s*<", page.text)


# what strangers send -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REQUEST_PARAMETERS)
def test_whatever_stands_in_an_authorization_request_is_inert_on_the_page_it_leads_to(journeys: Journeys, name: str) -> None:
    """22 payloads through every parameter: on the page, the error page, and the form that posts itself."""
    for payload in PAYLOADS:
        for more in ({}, {"response_mode": "form_post", "prompt": "none"}):
            browser = Browser(journeys.op)
            page = browser.open(journeys.plain.ask(**(more | {name: payload})))
            require_inert(page)
            if page.status == 303:
                assert page.location.startswith(journeys.plain.redirect_uri + "?")


@pytest.mark.parametrize("name", LOGOUT_PARAMETERS)
def test_whatever_stands_in_a_sign_out_request_is_inert(journeys: Journeys, name: str) -> None:
    browser = journeys.signed_in()
    for payload in PAYLOADS:
        given = {"client_id": journeys.plain.client_id} | {name: payload}
        require_inert(browser.send("GET", "/logout?" + urlencode(given)))
        require_inert(Browser(journeys.op).send("GET", "/logout?" + urlencode(given)))


@pytest.mark.parametrize("endpoint", ["sign_in", "totp", "recovery_code", "enrol", "consent", "account", "level", "activate", "activate_password"])
def test_whatever_is_typed_into_a_form_is_inert_on_the_page_that_comes_back(journeys: Journeys, endpoint: str) -> None:
    """Secrets are not sent back at all."""
    filled = journeys.filled(endpoint)
    for payload in PAYLOADS[:16]:
        fields = dict.fromkeys(FORM_FIELDS, payload) | {"csrf_token": filled.fields["csrf_token"]}
        page = filled.browser.send("POST", filled.action, fields, **{"Sec-Fetch-Site": "same-origin"})
        require_inert(page)


def test_what_is_secret_is_not_sent_back_to_the_page(journeys: Journeys) -> None:
    """ASVS 14.2.1: a wrong password or code is typed anew; what is no secret stays."""
    filled = journeys.filled("sign_in")
    typed = filled.fields | {"username": "079203001234", "password": "wrong-password-typed"}
    page = filled.browser.send("POST", filled.action, typed, **{"Sec-Fetch-Site": "same-origin"})
    assert "wrong-password-typed" not in page.text
    assert "079203001234" in page.text
    filled = journeys.filled("recovery_code")
    code = "AAAABBBBCCCCDDDDEEEEFFFF"
    page = filled.browser.send("POST", filled.action, filled.fields | {"code": code}, **{"Sec-Fetch-Site": "same-origin"})
    assert code not in page.text


@pytest.mark.parametrize("path", ["/", "/help", "/activate", "/nowhere", "/logout", "/i/unknown/sign-in", "/signed-out/unknown"])
def test_whatever_stands_in_an_address_or_header_is_inert(journeys: Journeys, path: str) -> None:
    """The query that the other language's link keeps, and headers that a page might show."""
    for payload in PAYLOADS:
        browser = Browser(journeys.op)
        require_inert(browser.send("GET", f"{path}?{quote(payload)}={quote(payload)}&lang=en"))
        plain = payload.encode("ascii", "ignore").decode()
        require_inert(browser.send("GET", path, None, **{"User-Agent": plain, "Accept-Language": plain, "Referer": plain}))
        require_inert(browser.send("GET", f"/{quote(payload)}"))


def test_a_browser_that_calls_itself_something_is_shown_by_a_name_of_ours(journeys: Journeys, op: Provider) -> None:
    """The session list names known browsers only, never the header itself."""
    person = op.person(second_factor=False)
    browser = journeys.at_sign_in()
    action, fields = browser.form()
    fields |= {"username": person.username, "password": person.password}
    browser.send("POST", action, fields, **{"Sec-Fetch-Site": "same-origin", "User-Agent": "<b>Mallory</b> Firefox/1" + "x" * 5000})
    page = browser.open("/")
    require_inert(page)
    assert "Mallory" not in page.text
    assert "Firefox" in page.text


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{7*7}}", "</title>"])
def test_the_name_of_a_portal_is_text_and_nothing_else(op: Provider, name: str) -> None:
    """On every page that says who asks."""
    own = Journeys(op)
    portal = op.client(f"named{op.people}{len(name)}", client_name=name, minimum_acr="urn:motcua:acr:ial2.aal1")
    own.plain = own.strong = own.checked = portal
    browser, person = Browser(op), op.person(ial=1, second_factor=False)
    pages = [browser.open(portal.ask()), browser.submit(username=person.username, password=person.password)]
    assert browser.at.endswith("/level")
    for page in pages:
        reader = read_page(page)
        assert reader.handlers == []
        assert "img" not in reader.tags
        assert len(reader.scripts) == 1
        assert ">49<" not in page.text


# how pages go out --------------------------------------------------------------------------------------------------------------------------


PAGES = (
    "sign_in", "totp", "recovery_code", "enrol", "recovery_codes", "consent", "account", "level", "activate", "activate_password",
    "activate_second_factor", "activate_recovery_codes", "activated", "home", "sign_out", "signed_out", "help", "privacy", "about",
)  # fmt: skip


def test_every_page_is_among_those_looked_at_here(journeys: Journeys, op: Provider) -> None:
    """A new page has to be added to `Journeys.pages`, or this fails."""
    not_pages = {"begin", "sign_out_confirm", "end_session", "withdraw_consent", "static", "sign_in_here"}
    assert {rule.endpoint for rule in rules_of(op)} - not_pages == set(PAGES)
    assert set(journeys.pages) == set(PAGES)


def require_guarded(page: Answered) -> None:
    """The headers that every page has: not framed, not kept, not sniffed, no referrer, one script."""
    policy = dict(
        directive.strip().partition(" ")[::2] for directive in (page.header("content-security-policy") or "").split(";") if directive
    )
    assert policy["default-src"] == "'none'"
    assert re.fullmatch(r"'nonce-[A-Za-z0-9+/]{22}=='", policy["script-src"])
    assert policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == "'none'"
    assert policy["form-action"].split()[0] == "'self'"
    assert not re.search(r"unsafe|\*|http:", str(policy))
    assert page.header("x-frame-options") == "DENY"
    assert page.header("cache-control") == "no-store"
    assert "Cookie" in (page.header("vary") or "")
    assert page.header("referrer-policy") == "no-referrer"
    assert page.header("x-content-type-options") == "nosniff"
    assert page.header("cross-origin-opener-policy") == "same-origin"
    assert page.header("content-type") == "text/html; charset=utf-8"
    assert page.header("access-control-allow-origin") is None
    assert page.header("server") == "motcua"
    assert len({name.lower() for name, _ in page.headers if name != "Set-Cookie"}) == len([1 for name, _ in page.headers if name != "Set-Cookie"])


@pytest.mark.parametrize("endpoint", PAGES)
def test_every_page_is_guarded_and_loads_nothing_from_elsewhere(journeys: Journeys, endpoint: str) -> None:
    """ASVS 3.4.3 to 3.4.6: no third-party resource, hence no Referer to anybody."""
    page = journeys.pages[endpoint]().page
    assert page is not None
    assert page.status == 200
    require_guarded(page)
    require_inert(page)
    assert not re.search(r"<(script|link|img|iframe|style)[^>]+(src|href)=\"(?!/static/)", page.text)
    assert all((given.get("integrity") or "").startswith("sha384-") for given, text in read_page(page).scripts if not text)


@pytest.mark.parametrize(
    ("target", "status"),
    [("/nowhere", 404), ("/i/unknown", 400), ("/authorize", 400), ("/sessions/end", 405), ("/logout?client_id=x", 400), ("/?a=%ff", 400)],
)
def test_pages_that_say_no_are_guarded_just_the_same(op: Provider, target: str, status: int) -> None:
    """ASVS 3.4; and each has a reference code that the log has too."""
    page = Browser(op).send("GET", target)
    assert page.status == status
    require_guarded(page)
    require_inert(page)
    assert re.search(r"<code>[0-9A-HJKMNP-TV-Z]{10}</code>", page.text)


def test_no_two_pages_share_a_nonce(journeys: Journeys) -> None:
    """CSP 3 §7.1."""
    policies = {Browser(journeys.op).send("GET", "/help").header("content-security-policy") for _ in range(20)}
    assert len(policies) == 20


def test_a_head_says_what_a_get_would_say(journeys: Journeys) -> None:
    """RFC 9110 §9.3.2: same status and headers, no body, and nothing is sent by it."""
    for endpoint in ("sign_in", "totp", "consent", "level", "activate", "home", "help", "sign_out"):
        browser = journeys.pages[endpoint]()
        head, get = browser.send("HEAD", browser.at), browser.send("GET", browser.at)
        assert head.status == get.status == 200, endpoint
        assert head.body == b""
        assert {name for name, _ in head.headers} == {name for name, _ in get.headers}, endpoint


# ways out ------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["//evil.example", "/\\evil.example", "https:evil.example", "/%09/evil.example", "/.evil", "https://evil.example/", "\\\\evil"])
def test_nothing_in_an_address_leads_the_browser_away(journeys: Journeys, op: Provider, value: str) -> None:
    """Whatever such parameters are called elsewhere, here they are nobody's; the language's link stays on its page."""
    extra = dict.fromkeys(("next", "referrer", "returnTo", "return_to", "callbackURL", "continue", "url", "redirect", "rd", "lang"), value)
    for browser in (Browser(op), journeys.signed_in()):
        for path in ("/", "/help", "/logout", "/activate", "/activated"):
            page = browser.send("GET", f"{path}?{urlencode(extra)}")
            assert page.status == 200
            assert page.header("refresh") is None
            assert [each for each in read_page(page).addresses if not re.match(r"/(?![/\\])|#", each)] == []
    person = op.person(second_factor=False)
    browser = journeys.at_sign_in()
    action, fields = browser.form()
    sent = browser.send("POST", f"{action}?{urlencode(extra)}", fields | extra | {"username": person.username, "password": person.password})
    assert sent.status == 303
    assert sent.location == action.removesuffix("/sign-in")


def test_the_form_that_posts_itself_goes_to_the_registered_address_only(journeys: Journeys, op: Provider) -> None:
    """OAuth 2.0 Form Post Response Mode: the policy names that one origin."""
    page = journeys.signed_in().open(journeys.plain.ask(response_mode="form_post", state='"><script>alert(1)</script>'))
    require_inert(page)
    action = re.findall(r'<form method="post" action="([^"]+)"', page.text)
    assert action == [journeys.plain.redirect_uri]
    policy = page.header("content-security-policy") or ""
    assert policy.endswith(f"form-action 'self' https://{journeys.plain.client_id}.example")
    assert page.header("cache-control") == "no-store"


# caches --------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/x.css", "/.css", "/static/../", "/home.css", "/logout/x.js", "/index.html", "/static/x.css", "/help/x.css"])
def test_no_address_makes_a_cache_believe_that_a_page_is_a_file(journeys: Journeys, path: str) -> None:
    """Web cache deception."""
    page = journeys.signed_in().send("GET", path)
    assert page.status == 404
    assert "max-age" not in (page.header("cache-control") or "")


def test_only_files_named_by_their_content_are_kept(journeys: Journeys, op: Provider) -> None:
    """What is cached is the same for everybody and sets nothing."""
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', Browser(op).send("GET", "/help").text)
    assert len(files) >= 3
    for file in files:
        answered = Browser(op, {"motcua-language": "en"}).send("GET", file + "?lang=vi")
        assert answered.status == 200
        assert answered.header("cache-control") == "public, max-age=31536000, immutable"
        assert answered.header("set-cookie") is None
        assert op.call("GET", file, headers={"If-None-Match": answered.header("etag") or ""}).status == 304


@pytest.mark.parametrize("path", ["/metrics", "/debug", "/console", "/.git/config", "/.env", "/healthz", "/health", "/openapi.json", "/server-status", "/admin", "/robots.txt.bak", "/static/", "/static/manifest.json"])
def test_nothing_about_the_inside_is_served(op: Provider, path: str) -> None:
    answered = Browser(op).send("GET", path)
    assert answered.status == 404
    assert not re.search(rb"Traceback|werkzeug|flask|python|psycopg|granian", answered.body, re.IGNORECASE)
