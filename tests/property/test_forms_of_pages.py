"""Any form that is not whole, at any page that takes one: the documented answer, never a 500, never a change."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from idp.web.door import FORM_TYPE, MOST_BODY
from tests.support.fingerprint import fingerprint
from tests.support.journeys import FORMS, Filled, Journeys, has_code
from tests.support.provider import Answered, Provider

CORE = {
    "sign_in": ("csrf_token", "username", "password"),
    "totp": ("csrf_token", "code"),
    "recovery_code": ("csrf_token", "code"),
    "enrol": ("csrf_token", "code"),
    "recovery_codes": ("csrf_token",),
    "consent": ("csrf_token", "decision"),
    "account": ("csrf_token", "decision"),
    "level": ("csrf_token",),
    "activate": ("csrf_token", "username", "code"),
    "activate_password": ("csrf_token", "password", "repeat"),
    "activate_second_factor": ("csrf_token", "code"),
    "activate_recovery_codes": ("csrf_token",),
    "sign_out_confirm": ("csrf_token", "decision"),
    "end_session": ("csrf_token", "subject"),
    "withdraw_consent": ("csrf_token", "subject"),
}
"""The fields without which a form does nothing: of each example, one at least is not as the page had it."""
GUESSED = {"sign_in", "totp", "recovery_code"}
GUESSES = {"audit_event", "guess_allowance"}
"""Where a wrong password or code counts, and is on the record: nothing else may change, and for other forms not even that."""
ANSWERS = {"allow", "refuse", "continue", "another", "leave", "sign-out", "stay"}
"""What buttons say: somebody's decision, and no broken form."""
MOST_PAIRS = 100

FIELDS = sorted({name for names in CORE.values() for name in names} | {"kept", "optional", "made_up", "lang", "ui_locales", "_method"})
HOSTILE = st.sampled_from(
    [
        "", " ", "\t", "\r\nSet-Cookie: motcua-session=x", "\x01\x1f\x7f", "\x85\u2028\u2029", "\u202e\u200b\ufeff", "\U0001f600", "'; --", "%s%(x)s{0}",
        "{{7*7}}", "None", "true", "[]", "-1", "9" * 400, "٠" * 12, "０９２１８８００４４７１", "092188004471", "đ" * 24, "ạ" * 3000, "a" * 60_000, "a" * 70_000,
        "00000000-0000-0000-0000-000000000000", "../../etc/passwd", "<script>",
    ]
)  # fmt: skip
TEXT = HOSTILE | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60).filter(
    lambda text: text not in ANSWERS
)
UNREADABLE = st.sampled_from(
    [
        b"%00", b"a%00b", b"\0", b"%ED%A0%80", b"%ED%BF%BF", b"%ED%A0%BD%ED%B8%80", b"\xed\xa0\x80", b"%C0%80", b"%F8%88%80%80%80", b"%F4%90%80%80",
        b"%FF", b"\xff\xfe", b"%", b"%4", b"%zz", b"%u1ea1", b"%E1%BA", "số".encode("utf-16"), "é".encode("latin-1"), "đ".encode("cp1258"),
    ]
)  # fmt: skip
"""NUL, surrogates alone and in pairs, overlong and cut short, escapes that are none, other charsets: as they travel."""
KINDS = st.sampled_from(
    [FORM_TYPE] * 12 + [FORM_TYPE.upper() + " ; charset=utf-16", FORM_TYPE + ";charset=iso-8859-1", FORM_TYPE + ";x"]
) | st.sampled_from(
    [
        "",
        "text/plain",
        "application/json",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        FORM_TYPE + "x",
        f"{FORM_TYPE}, text/plain",
        "\xe1",
    ]
)
Pair = tuple[bytes, bytes]


def wire(text: str) -> bytes:
    """Return a text as it stands in a form."""
    return quote(text, safe="").encode()


NAMES = st.sampled_from(FIELDS).map(wire) | TEXT.map(wire)
MORE = st.lists(st.tuples(NAMES, TEXT.map(wire) | UNREADABLE) | st.tuples(UNREADABLE, TEXT.map(wire)), max_size=2)


@dataclass
class Broken:
    """How a form is not as its page had it; `place` chooses the field, so that every form can be broken by it."""

    how: str
    place: int
    value: bytes
    more: list[Pair] = field(default_factory=list)
    many: bool = False

    def pairs_of(self, fields: dict[str, str], core: tuple[str, ...]) -> list[Pair]:
        """Return the pairs that are sent."""
        name = core[self.place % len(core)]
        sent = [(wire(each), wire(value)) for each, value in fields.items()]
        at = next(index for index, (each, _) in enumerate(sent) if each == wire(name))
        here: list[Pair] = {
            "missing": [],
            "empty": [(sent[at][0], b"")],
            "replaced": [(sent[at][0], self.value)],
            "longer": [(sent[at][0], sent[at][1] + b"0")],
            "shorter": [(sent[at][0], sent[at][1][:-1])],
            "repeated": [sent[at], (sent[at][0], self.value)],
            "doubled": [sent[at], sent[at]],
            "renamed": [(sent[at][0].upper(), sent[at][1])],
            "listed": [(sent[at][0] + b"%5B%5D", sent[at][1])],
        }[self.how]
        return [*sent[:at], *here, *sent[at + 1 :], *self.more, *([(b"x", b"y")] * MOST_PAIRS if self.many else [])]


HOW = ["missing", "empty", "replaced", "replaced", "longer", "shorter", "repeated", "doubled", "renamed", "listed"]
BROKEN = st.builds(
    Broken,
    how=st.sampled_from(HOW),
    place=st.integers(0, 5),
    value=TEXT.map(wire) | UNREADABLE,
    more=st.just([]) | MORE,
    many=st.sampled_from([False] * 19 + [True]),
)
BOUNDED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


def is_readable(part: bytes) -> bool:
    """Whether the door can read a part: escapes are escapes, UTF-8 is UTF-8, nothing is NUL."""
    rest = part.split(b"%")[1:]
    if any(len(each) < 2 or not all(letter in b"0123456789abcdefABCDEF" for letter in each[:2]) for each in rest):
        return False
    try:
        return "\0" not in unquote_to_bytes(part).decode()
    except UnicodeDecodeError:
        return False


def is_broken(filled: Filled, pairs: list[Pair], core: tuple[str, ...]) -> bool:
    """Whether one of the fields that matter is not there once, as the page had it."""
    return any([value for name, value in pairs if name == wire(each)] != [wire(filled.fields[each])] for each in core)


def expected(filled: Filled, pairs: list[Pair], kind: str, body: bytes) -> set[int]:
    """Return which answers are documented (design §5, the door), the first thing that is wrong deciding."""
    if "," in kind:
        return {400}
    if len(body) > MOST_BODY:
        return {413}
    if kind.partition(";")[0].strip().lower() != FORM_TYPE and (kind or body):
        return {415}
    if len(pairs) > MOST_PAIRS or not all(is_readable(part) for pair in pairs for part in pair):
        return {400}
    proofs = [value for name, value in pairs if name == b"csrf_token"]
    if proofs != [wire(filled.fields["csrf_token"])]:
        return {403}
    return {200, 303, 403, 404, 429}


def send(op: Provider, filled: Filled, body: bytes, kind: str) -> Answered:
    """Send a form as this browser, to which nothing is told of the answer: it stays as it was."""
    cookies = "; ".join(f"{name}={value}" for name, value in filled.browser.cookies.items())
    headers = {"Cookie": cookies, "Sec-Fetch-Site": "same-origin", "Content-Type": kind}
    return op.call("POST", filled.action, body=body, headers=headers)


def require_nothing_given(answered: Answered) -> None:
    """No session, no code, no header that somebody else wrote; the page says nothing of a fault."""
    assert not has_code(answered)
    assert not [value for name, value in answered.headers if name == "Set-Cookie" and "-session=" in value]
    assert not [value for _, value in answered.headers if "\r" in value or "\n" in value]
    assert (answered.header("location") or "/").startswith("/")
    assert b"Traceback" not in answered.body


@pytest.mark.parametrize("endpoint", FORMS)
def test_a_form_that_is_not_whole_is_answered_as_documented_and_changes_nothing(
    op: Provider, journeys: Journeys, caplog: pytest.LogCaptureFixture, endpoint: str
) -> None:
    """Laws 1 and 3: fields missing, repeated, oversized or of bytes that are no text. At last the same form, whole, does what it is for."""
    filled, spare = journeys.filled(endpoint), op.person(second_factor=False)
    before = fingerprint(op.owner)
    seen: set[int] = set()

    @BOUNDED
    @given(broken=BROKEN, kind=KINDS)
    @example(Broken("missing", 0, b""), FORM_TYPE)
    @example(Broken("replaced", 1, b"%ED%A0%80"), FORM_TYPE)
    @example(Broken("repeated", 1, b"a" * 70_000), FORM_TYPE)
    @example(Broken("doubled", 1, b""), "text/plain")
    def answered_and_nothing_more(broken: Broken, kind: str) -> None:
        pairs = broken.pairs_of(filled.fields, CORE[endpoint])
        assume(is_broken(filled, pairs, CORE[endpoint]))
        body = b"&".join(name + b"=" + value for name, value in pairs)
        with capture_logs() as logged:
            answered = send(op, filled, body, kind)
        assert answered.status in expected(filled, pairs, kind, body)
        assert [each for each in logged if each["log_level"] in {"error", "critical", "warning"} or each.get("exc_info")] == []
        require_nothing_given(answered)
        seen.add(answered.status)

    answered_and_nothing_more()
    assert {400, 403, 413, 415} <= seen
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    after = fingerprint(op.owner)
    assert {name for name in after if after[name] != before[name]} <= (GUESSES if endpoint in GUESSED else set())

    whole = filled.fields | ({"username": spare.username, "password": spare.password} if endpoint == "sign_in" else {})
    done = filled.send(whole, Sec_Fetch_Site="same-origin")
    assert done.status in {200, 303}
    assert 'class="govuk-error-summary"' not in done.text


OF_PORTALS = [
    "id_token_hint",
    "client_id",
    "post_logout_redirect_uri",
    "state",
    "ui_locales",
    "logout_hint",
    "lang",
    "csrf_token",
    "decision",
]
KNOWN = st.sampled_from([(b"ui_locales", b"en"), (b"state", b"s"), (b"logout_hint", b"x"), (b"decision", b"sign-out")])
ASKED = st.lists(KNOWN | st.tuples(st.sampled_from(OF_PORTALS).map(wire) | NAMES, TEXT.map(wire) | UNREADABLE), max_size=5)


@BOUNDED
@given(more=ASKED, address=st.sampled_from([None, "bye", "cb"]), named=st.booleans())
@example(more=[(b"state", wire("😀" * 1024)), (b"ui_locales", wire("😀" * 256))], address="bye", named=True)
@example(more=[(b"ui_locales", wire("ạ" * 4000))], address="bye", named=True)
def test_whatever_a_portal_sends_to_sign_out_is_asked_anew_or_refused(
    op: Provider, signed_in: Filled, more: list[Pair], address: str | None, named: bool
) -> None:
    """RP-Initiated Logout §2: a form that another site may send ends nothing; what is carried on is asked of the person."""
    client = signed_in.fields["client_id"]
    pairs = [*([(b"client_id", client.encode())] if named else []), *more]
    if address is not None:
        pairs.append((b"post_logout_redirect_uri", wire(f"https://{client}.example/{address}")))
    body = b"&".join(name + b"=" + value for name, value in pairs)
    with capture_logs() as logged:
        answered = send(op, signed_in, body, FORM_TYPE)
        require_nothing_given(answered)
        assert answered.status in ({413} if len(body) > MOST_BODY else {303, 400})
        if answered.status == 303:
            assert answered.location == "/logout" or answered.location.startswith("/logout?")
            page = signed_in.browser.send("GET", answered.location)
            assert page.status == 200
            assert 'value="sign-out"' in page.text, "whoever is signed in still is, and is asked"
    assert logged == []


@pytest.fixture(scope="module")
def signed_in(journeys: Journeys) -> Filled:
    """The form of a portal, sent by the browser of somebody who is signed in there."""
    return Filled(journeys.signed_in(), "/logout", {"client_id": journeys.plain.client_id})


def test_the_control_a_portal_s_own_form_leads_to_its_page(op: Provider, signed_in: Filled) -> None:
    client = signed_in.fields["client_id"]
    body = f"client_id={client}&state=s&post_logout_redirect_uri=".encode() + wire(f"https://{client}.example/bye")
    answered = send(op, signed_in, body, FORM_TYPE)
    assert answered.status == 303
    page = signed_in.browser.open(answered.location)
    assert 'value="sign-out"' in page.text
    assert "state=s" in signed_in.browser.form()[0]
