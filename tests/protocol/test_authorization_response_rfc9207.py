"""How an authorization request is answered: query and form_post, `state` unaltered, `iss` always (RFC 6749 §4.1.2, RFC 9207, form_post)."""

from __future__ import annotations

import html.parser
import re
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from tests.support.asking import later, signed_in
from tests.support.provider import Answered, Browser, Person, Portal, Provider

STATES = [
    "0",
    "s" * 1024,
    "trạng thái",
    "&code=x&iss=https://evil.test",
    "a\r\nSet-Cookie: x=y\r\n\r\n<html>",
    "a=b;c,d e+f%20g%",
    '"><script>alert(1)</script>',
    "'\"`{{7*7}}${7*7}",
    "\u202e\u200b\u2028",
    "\t \n",
    "#fragment?query",
    "%",
]


@pytest.fixture(scope="module")
def portal(op: Provider) -> Portal:
    return op.client("portal")


@pytest.fixture(scope="module")
def citizen(op: Provider) -> Person:
    return op.person()


@pytest.fixture(scope="module")
def home(op: Provider, portal: Portal, citizen: Person) -> Browser:
    return signed_in(op, portal, citizen)


class Fields(html.parser.HTMLParser):
    """What a browser would post from a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: list[tuple[str, str]] = []
        self.scripts: list[dict[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = given["action"]
        elif tag == "input":
            self.fields.append((given["name"], given["value"]))
        elif tag == "script":
            self.scripts.append(given)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("outcome", ["code", "error"])
def test_state_comes_back_as_it_was_and_nothing_is_smuggled_with_it(portal: Portal, home: Browser, state: str, outcome: str) -> None:
    """Percent-encoded and unaltered, no header, no second `code` or `iss`; with a code and with an error alike."""
    answered = home.send("GET", portal.ask(state=state, prompt="none" if outcome == "code" else "none login"))
    said = parse_qsl(urlsplit(answered.location).query, keep_blank_values=True)
    assert dict(said)["state"] == state
    assert len([name for name, _ in said if name == outcome]) == 1
    assert [value for name, value in said if name == "iss"] == ["http://localhost:8000"]
    assert len(dict(said)) == len(said)
    assert re.fullmatch(r"[!-~]+", answered.location)
    assert "#" not in answered.location
    assert not any("\r" in value or "\n" in value for _, value in answered.headers)


def test_without_a_state_none_is_answered(portal: Portal, home: Browser) -> None:
    assert "state" not in home.send("GET", portal.ask(state=None, prompt="none")).parameters


def test_an_answer_says_code_state_and_iss_and_no_more(portal: Portal, home: Browser) -> None:
    """RFC 9207 §2, RFC 9700 §2.1: and is followed by a GET that tells nobody where it came from."""
    answered = home.send("GET", portal.ask(prompt="none"))
    assert answered.status == 303
    assert set(answered.parameters) == {"code", "state", "iss"}
    assert re.fullmatch(r"moc_[A-Za-z0-9_-]{43}", answered.parameters["code"])
    assert answered.header("cache-control") == "no-store"
    assert answered.header("referrer-policy") == "no-referrer"


@pytest.mark.parametrize("state", STATES)
def test_a_posted_answer_carries_the_same_escaped(portal: Portal, home: Browser, state: str) -> None:
    """HTML-escaped, under a policy with a nonce, posted to the registered address and nowhere else."""
    answered = home.send("GET", portal.ask(state=state, response_mode="form_post", prompt="none"))
    assert answered.status == 200
    posted = Fields(answered.text)
    # A browser reads CR and LF in an attribute as LF; that is HTML's, not ours.
    assert dict(posted.fields)["state"].replace("\r\n", "\n") == state.replace("\r\n", "\n")
    assert [name for name, _ in posted.fields] == ["code", "state", "iss"]
    assert posted.action == "https://portal.example/cb"
    policy = answered.header("content-security-policy") or ""
    nonce = re.search(r"script-src 'nonce-([^']+)'", policy)
    assert nonce is not None
    assert [script["nonce"] for script in posted.scripts] == [nonce[1]]
    assert "form-action 'self' https://portal.example" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answered.header("cache-control") == "no-store"
    assert "<script>alert(1)" not in answered.text


def test_the_nonce_of_a_page_is_never_the_same(portal: Portal, home: Browser) -> None:
    pages = [home.send("GET", portal.ask(response_mode="form_post", prompt="none")) for _ in range(3)]
    assert len({page.header("content-security-policy") for page in pages}) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "none login"},
        {"response_type": "token"},
        {"scope": None},
        {"code_challenge": None},
        {"request": "e30.e30."},
        {"state": "s" * 1025},
        {"max_age": "-1"},
    ],
    ids=str,
)
def test_an_error_is_posted_where_the_answer_would_be(op: Provider, portal: Portal, changes: dict[str, str | None]) -> None:
    """OAuth 2.0 Form Post Response Mode §2: errors travel the same way."""
    answered = op.call("GET", portal.ask(response_mode="form_post", **changes))
    assert answered.status == 200
    posted = Fields(answered.text)
    assert posted.action == "https://portal.example/cb"
    assert {"error", "error_description", "state", "iss"} == {name for name, _ in posted.fields}


def test_a_step_that_fails_is_posted_too(op: Provider, portal: Portal, home: Browser, browser: Browser) -> None:
    silent = browser.send("GET", portal.ask(response_mode="form_post", prompt="none"))
    assert ("error", "login_required") in Fields(silent.text).fields
    home.open(portal.ask(response_mode="form_post", prompt="consent"))
    assert ("error", "access_denied") in Fields(home.submit(decision="refuse").text).fields


def test_the_form_that_posts_itself_is_in_the_language_that_was_asked_for(op: Provider, portal: Portal, home: Browser) -> None:
    """Without JavaScript it is a page with a button, which somebody has to read."""
    for changes in ({"prompt": "none"}, {"prompt": "nonsense"}, {"max_age": "0", "prompt": "none"}):
        answered = home.send("GET", portal.ask(response_mode="form_post", ui_locales="en", **changes))
        assert (answered.status, answered.header("content-language")) == (200, "en")
        assert home.send("GET", portal.ask(response_mode="form_post", **changes)).header("content-language") == "vi"


def test_a_client_gets_only_the_ways_it_registered(op: Provider, home: Browser) -> None:
    """ASVS 10.4.12: response modes are limited per client."""
    plain = op.client("plain", response_modes=["query"])
    answered = home.send("GET", plain.ask(response_mode="form_post"))
    assert answered.parameters["error"] == "invalid_request"
    assert home.send("GET", plain.ask(response_mode="query")).location.startswith("/i/")


def test_a_request_by_post_is_answered_in_its_own_mode(op: Provider, portal: Portal, home: Browser) -> None:
    def posted(**changes: str | None) -> Answered:
        kept = op.call("POST", "/authorize", parse_qsl(urlsplit(portal.ask(**changes)).query))
        return home._follow(kept)

    assert "code" in posted(prompt="none").parameters
    later(op, seconds=1)
    assert "code" in dict(Fields(posted(prompt="none", response_mode="form_post").text).fields)


def test_an_interaction_is_answered_once_and_opens_for_its_own_browser_only(op: Provider, portal: Portal, citizen: Person) -> None:
    """Design §3: an interaction belongs to the browser that began it, and ends with its answer."""
    mine, other = Browser(op), Browser(op)
    mine.open(portal.ask())
    at = mine.at
    assert other.send("GET", at).status == 400
    other.cookies["motcua-browser"] = "mob_" + "x" * 43
    assert other.send("GET", at).status == 400
    assert "code" in mine.sign_in(citizen).parameters
    gone = mine.send("GET", at)
    assert gone.status == 400
    assert gone.header("location") is None


def test_a_posted_request_becomes_the_first_browser_s(op: Provider, portal: Portal) -> None:
    kept = op.call("POST", "/authorize", parse_qsl(urlsplit(portal.ask()).query))
    first, second = Browser(op), Browser(op)
    assert first.open(kept.location).status == 200
    assert second.open(kept.location).status == 400


def test_parameters_in_the_address_of_a_post_are_not_read(op: Provider, portal: Portal) -> None:
    """RFC 6749 §3.1: one request, one place; what stands in the address of a POST does not mix with its body."""
    answered = op.call("POST", portal.ask(), {"client_id": "portal"})
    assert answered.status == 400
    mixed = op.call("POST", "/authorize?" + urlencode({"redirect_uri": "https://evil.test/"}), parse_qsl(urlsplit(portal.ask()).query))
    assert mixed.location.startswith("/i/")
