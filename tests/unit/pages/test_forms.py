"""What forms accept: one spelling of a number or code, a password as typed, and only a page of ours."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.datastructures import MultiDict

from idp.reference.countries import get_country
from idp.web.pages.forms import (
    FORGED,
    REPEATED,
    ActivationForm,
    ConsentForm,
    CsrfContext,
    Form,
    NewPasswordForm,
    RecoveryCodeForm,
    SignInForm,
    TotpForm,
)

KEY = b"a key of thirty-two bytes, or so"


def sent(kind: type[Form], pairs: list[tuple[str, str]], browser: str = "browser-1", **options: Any) -> Form:
    """Return the form as that browser sends it, with the proof that its page held."""
    meta = {"csrf_context": CsrfContext(KEY, browser), "country": get_country("VN")}
    proof = kind(meta=meta, **options).proof
    return kind(MultiDict([*pairs, ("csrf_token", proof)]), meta=meta, **options)


@pytest.mark.parametrize("typed", ["092188004471", "092 188 004 471", " 0921-8800-4471\u00a0", "092\u202f188\u2009004471"])
def test_a_personal_number_is_read_however_it_is_grouped(typed: str) -> None:
    form = sent(SignInForm, [("username", typed), ("password", "x")])
    assert form.validate()
    assert form["username"].data == "092188004471"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "   ",
        "09218800447",
        "0921880044711",
        "٠٩٢١٨٨٠٠٤٤٧١",
        "０９２１８８００４４７１",
        "09218800447l",
        "092188004471\0",
        "092188004471'--",
        "09218800447²",
    ],
)
def test_a_personal_number_in_any_other_spelling_is_refused(typed: str) -> None:
    form = sent(SignInForm, [("username", typed), ("password", "x")])
    assert not form.validate()
    assert list(form.errors) == ["username"]


@pytest.mark.parametrize("typed", ["123456", "123 456", " 12-34-56 "])
def test_a_code_is_read_with_its_spaces(typed: str) -> None:
    form = sent(TotpForm, [("code", typed)])
    assert form.validate()
    assert form["code"].data == "123456"


@pytest.mark.parametrize("typed", ["12345", "1234567", "١٢٣٤٥٦", "12345a", ""])
def test_a_code_of_anything_but_six_ascii_digits_is_refused(typed: str) -> None:
    """RFC 6238; digits of other scripts have no second reading."""
    assert not sent(TotpForm, [("code", typed)]).validate()


@pytest.mark.parametrize("kind", [RecoveryCodeForm, ActivationForm])
def test_a_long_code_is_read_in_small_letters_and_without_hyphens(kind: type[Form]) -> None:
    form = sent(kind, [("username", "092188004471"), ("code", "fk6s-y954 1sj3-eqhb\u20116gd1-ghca")])
    assert form.validate()
    assert form["code"].data == "fk6sy9541sj3eqhb6gd1ghca"


@pytest.mark.parametrize("password", ["  giữ nguyên  ", "đ" * 512, "\u212bngström ﬁ", "a" * 1024])
def test_a_password_is_taken_exactly_as_typed(password: str) -> None:
    """NIST SP 800-63B 3.1.1: no trimming, no truncation; normalisation is the authenticator's."""
    form = sent(SignInForm, [("username", "092188004471"), ("password", password)])
    assert form.validate()
    assert form["password"].data == password


@pytest.mark.parametrize("password", ["", "a" * 1025, "đ" * 513])
def test_a_password_that_is_absent_or_beyond_1024_bytes_is_refused(password: str) -> None:
    form = sent(SignInForm, [("username", "092188004471"), ("password", password)])
    assert not form.validate()
    assert list(form.errors) == ["password"]


def test_a_new_password_has_to_be_the_same_twice() -> None:
    good = sent(NewPasswordForm, [("password", "một câu dễ nhớ"), ("repeat", "một câu dễ nhớ")])
    assert good.validate()
    differing = sent(NewPasswordForm, [("password", "một câu dễ nhớ"), ("repeat", "một câu dễ nhớ ")])
    assert not differing.validate()


def test_a_form_sent_with_another_browsers_proof_is_forged() -> None:
    """ASVS 5.0, 3.5.1: the proof is bound to the browser's own cookie."""
    pairs = [("username", "092188004471"), ("password", "x")]
    stolen = sent(SignInForm, pairs)["csrf_token"].data
    form = SignInForm(MultiDict([*pairs, ("csrf_token", stolen)]), meta={"csrf_context": CsrfContext(KEY, "browser-2"), "country": get_country("VN")})
    assert not form.validate()
    assert form.is_forged
    assert form.errors == {"csrf_token": [FORGED]}


def test_a_proof_of_one_purpose_does_not_serve_another() -> None:
    proof = sent(TotpForm, [])["csrf_token"].data
    form = RecoveryCodeForm(
        MultiDict({"code": "fk6sy9541sj3eqhb6gd1ghca", "csrf_token": proof}),
        meta={"csrf_context": CsrfContext(KEY, "browser-1"), "country": get_country("VN")},
    )
    assert not form.validate()
    assert form.is_forged


@pytest.mark.parametrize("proof", [None, "", "x", "é\udcff", "A" * 5000])
def test_a_form_without_a_proof_is_forged(proof: str | None) -> None:
    pairs = {"code": "123456"} | ({} if proof is None else {"csrf_token": proof})
    form = TotpForm(MultiDict(pairs), meta={"csrf_context": CsrfContext(KEY, "browser-1")})
    assert not form.validate()
    assert form.is_forged


@pytest.mark.parametrize("context", [None, CsrfContext(KEY, ""), CsrfContext(b"", "browser-1")])
def test_where_there_is_nothing_to_bind_a_proof_to_every_form_is_forged(context: CsrfContext | None) -> None:
    """An empty proof must not match an empty field."""
    form = TotpForm(MultiDict({"code": "123456", "csrf_token": ""}), meta={"csrf_context": context})
    assert not form.validate()
    assert form.is_forged


def test_a_field_that_is_sent_twice_is_refused() -> None:
    form = sent(TotpForm, [("code", "123456"), ("code", "654321")])
    assert not form.validate()
    assert form.errors == {"code": [REPEATED]}


@pytest.mark.parametrize("decision", ["", "ALLOW", "allow ", "yes", "refuse,allow"])
def test_a_consent_is_an_answer_that_a_button_gives(decision: str) -> None:
    assert sent(ConsentForm, [("decision", "allow")]).validate()
    assert not sent(ConsentForm, [("decision", decision)]).validate()
    assert not sent(ConsentForm, []).validate()


def test_a_refusal_of_a_service_stands_at_its_field() -> None:
    form = sent(TotpForm, [("code", "123456")])
    assert form.validate()
    form.refuse("code", "This code is not right.")
    assert form.errors == {"code": ["This code is not right."]}
