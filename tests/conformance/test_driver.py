"""The driver's own rules, without a suite: what is filled, whom the browser signs in, what counts as good."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from idp.clients.declaration import read_declaration
from tests.conformance.configurations import PLAN_NAMES, ConfigurationError, choose_account, load_clients, load_plan
from tests.conformance.outcomes import PlanOutcome, judge
from tests.conformance.pages import Visitor
from tests.conformance.prepare import prepare, read_environment
from tests.conformance.table import BEGIN, END, find_complaints, put_between_markers, render

if TYPE_CHECKING:
    from tests.conformance.outcomes import ModuleOutcome

VISITOR = Visitor("https://idp.example", "https://suite.example", "001099000001", "a password")
WORDS = {
    "ISSUER": "https://idp.example",
    "SUITE": "https://suite.example",
    "ALIAS": "motcua",
    "CONFORMANCE_SECRET_1": "first",
    "CONFORMANCE_SECRET_2": "second",
    "CONFORMANCE_SECRET_3": "third",
    "CONFORMANCE_SECRET_4": "fourth",
}


@pytest.mark.parametrize("name", PLAN_NAMES)
def test_every_plan_is_filled_with_nothing_left_open(name: str) -> None:
    """A place left unfilled would be sent to the provider as it stands."""
    plan = load_plan(name, VISITOR, WORDS)
    text = json.dumps(plan.configuration)
    assert plan.name == name
    assert "${" not in text
    assert "{issuer}" not in text
    assert "{username}" not in text
    assert plan.configuration["server"]["discoveryUrl"] == "https://idp.example/.well-known/openid-configuration"


def test_a_secret_that_is_not_set_stops_the_run_and_is_named() -> None:
    """A plan with an empty secret would fail in every module, far from the cause."""
    with pytest.raises(ConfigurationError, match="CONFORMANCE_SECRET_2"):
        load_plan("oidcc-basic-certification-test-plan", VISITOR, {**WORDS, "CONFORMANCE_SECRET_2": ""})


def test_plans_and_declarations_name_the_same_clients_with_the_same_secrets() -> None:
    """OpenID Connect Core 9: a client and the provider hold one secret."""
    declared = {client["client_id"]: client["client_secret"] for client in load_clients(WORDS)}
    used = {}
    for name in PLAN_NAMES:
        configuration = load_plan(name, VISITOR, WORDS).configuration
        for part in ("client", "client2", "client_secret_post"):
            if part in configuration:
                used[configuration[part]["client_id"]] = configuration[part]["client_secret"]
    assert declared == used
    assert declared == {
        "conformance-1": "first",
        "conformance-2": "second",
        "conformance-post": "third",
        "conformance-backchannel": "fourth",
    }


def test_the_clients_declare_the_callbacks_that_the_suite_listens_on() -> None:
    """OpenID Connect Core 3.1.2.1: the redirect URI matches a registered one exactly, its query included."""
    first = load_clients(WORDS)[0]
    assert first["redirect_uris"] == [
        "https://suite.example/test/a/motcua/callback",
        "https://suite.example/test/a/motcua/callback?dummy1=lorem&dummy2=ipsum",
    ]
    assert first["post_logout_redirect_uris"] == ["https://suite.example/test/a/motcua/post_logout_redirect"]


def test_only_the_client_of_the_back_channel_plan_is_told_of_a_sign_out() -> None:
    """The suite fails every other logout module that receives a logout token it does not expect."""
    told = {client["client_id"]: client.get("backchannel_logout_uri") for client in load_clients(WORDS)}
    assert told == {
        "conformance-1": None,
        "conformance-2": None,
        "conformance-post": None,
        "conformance-backchannel": "https://suite.example/test/a/motcua/backchannel_logout",
    }


@pytest.mark.parametrize("number", range(4))
def test_every_declaration_is_one_that_its_profile_allows(number: int) -> None:
    """RFC 7591, section 2, and the legacy profile: no PKCE, no nonce, an end date; the minimum is ial1.aal1."""
    secrets = {f"CONFORMANCE_SECRET_{n}": f"a-secret-of-forty-characters-and-no-less-{n}" for n in range(1, 5)}
    loopback = {"SUITE": "https://localhost:8443"}
    client = load_clients({**WORDS, **secrets, **loopback})[number]
    says = read_declaration(client, datetime(2026, 11, 25, tzinfo=UTC)).says
    assert says.profile == "legacy"
    assert says.minimum.acr == "urn:motcua:acr:ial1.aal1"
    assert says.scopes == {"openid", "profile", "email", "phone", "address", "offline_access"}
    assert says.sector == "localhost"


def test_a_module_that_expects_a_refusal_has_a_browser_of_its_own() -> None:
    """The usual journey must end at the client, so that a page that does not move on is a failure."""
    configuration = load_plan("oidcc-basic-certification-test-plan", VISITOR, WORDS).configuration
    usual = configuration["browser"][0]["tasks"][-1]
    refused = configuration["override"]["oidcc-ensure-registered-redirect-uri"]["browser"][0]["tasks"][-1]
    assert usual["match"] == refused["match"] == "https://suite.example/test/a/*/callback*"
    assert "optional" not in usual
    assert refused["optional"] is True


def _account(name: str, ial: int, note: str, totp_secret: str | None) -> dict[str, Any]:
    return {"name": name, "username": name, "password": "p", "totp_secret": totp_secret, "ial": ial, "note": note}


def test_the_browser_signs_in_an_account_that_needs_only_a_password() -> None:
    """The clients' minimum is ial1.aal1; a code that changes every 30 seconds cannot stand in a plan."""
    demo = {
        "accounts": [
            _account("zero", 0, "self-asserted", None),
            _account("two", 2, "verified", "JBSWY3DP"),
            _account("locked", 1, "locked", None),
            _account("one", 1, "no second factor yet", None),
        ],
    }
    assert choose_account(demo) == ("one", "p")
    assert choose_account(demo, "two") == ("two", "p")


def test_an_account_with_a_second_factor_is_taken_when_there_is_no_other() -> None:
    """Its password alone is enough for ial1.aal1."""
    demo = {"accounts": [_account("zero", 0, "", None), _account("two", 2, "", "JBSWY3DP")]}
    assert choose_account(demo) == ("two", "p")


def test_no_fitting_account_is_said_before_anything_is_run() -> None:
    """An account of level 0 would be stopped at the clients' minimum in every module."""
    with pytest.raises(ConfigurationError, match="no demo account fits"):
        choose_account({"accounts": [_account("zero", 0, "", None)]})


def test_secrets_stay_the_same_when_a_run_is_prepared_again(tmp_path: Path) -> None:
    """The second import of the same declarations changes nothing."""
    first = dict(read_environment(prepare(tmp_path, "https://suite.example/", "motcua")))
    again = dict(read_environment(prepare(tmp_path, "https://other.example", "motcua")))
    assert first["SUITE"] == "https://suite.example"
    assert again == {**first, "SUITE": "https://other.example"}
    assert len({word for name, word in first.items() if name.startswith("CONFORMANCE_SECRET_")}) == 4
    assert (tmp_path / "environment").stat().st_mode & 0o777 == 0o600


def _judge(result: str, log: list[dict[str, Any]], status: str = "FINISHED", note: str = "") -> ModuleOutcome:
    return judge("oidcc-server", {}, {"status": status, "result": result}, log, seconds=1.0, note=note)


def test_a_review_is_good_only_with_its_picture() -> None:
    """The suite asks a person to look at a page; without the page there is nothing to look at."""
    page: dict[str, Any] = {
        "src": "ExpectRedirectUriErrorPage",
        "result": "REVIEW",
        "matched_regexp": ".+",
        "page_source": "<html>",
    }
    place: dict[str, Any] = {"src": "ExpectRedirectUriErrorPage", "result": "REVIEW", "upload": "abc"}
    assert _judge("REVIEW", [page]).is_good
    assert not _judge("REVIEW", [place]).is_good
    assert not _judge("REVIEW", []).is_good


@pytest.mark.parametrize(
    ("result", "status", "note"),
    [("FAILED", "FINISHED", ""), ("PASSED", "INTERRUPTED", ""), ("PASSED", "FINISHED", "still running after 120 s")],
)
def test_a_module_that_failed_or_did_not_end_is_never_good(result: str, status: str, note: str) -> None:
    """What was interrupted has not been shown."""
    outcome = _judge(result, [], status, note)
    assert outcome.result == "FAILED"
    assert not outcome.is_good


def test_a_raw_result_holds_sentences_and_counts_but_no_message_of_the_protocol(tmp_path: Path) -> None:
    """Raw results are committed: no code, no secret, no personal number may be in them."""
    log: list[dict[str, Any]] = [
        {"src": "CallTokenEndpoint", "result": "SUCCESS", "msg": "Called", "request_body": "code=SECRET"},
        {"src": "EnsureTls", "result": "WARNING", "msg": "Not TLS 1.3", "requirements": ["RFC9325-3.1.1"]},
        {"src": "WebRunner", "result": "INFO", "msg": "Entering text", "value": "SECRET"},
    ]
    module = _judge("WARNING", log)
    suite = {"version": "5.2.4", "tag": "release", "revision": "12f2a4d"}
    outcome = PlanOutcome("plan", {}, suite, "2026-11-25", "https://idp.example", [module])
    path = outcome.save(tmp_path)
    assert "SECRET" not in path.read_text(encoding="utf-8")
    assert PlanOutcome.load(path) == outcome
    assert module.conditions == {"SUCCESS": 1, "WARNING": 1}
    assert module.warnings[0].requirements == ["RFC9325-3.1.1"]


def test_a_warning_stands_in_the_document_with_its_explanation_and_not_without() -> None:
    """Zero failures, and each warning explained."""
    module = _judge("WARNING", [{"src": "EnsureTls", "result": "WARNING", "msg": "Not TLS 1.3"}])
    suite = {"version": "5.2.4", "tag": "release", "revision": "12f2a4d"}
    outcome = PlanOutcome("plan", {}, suite, "2026-11-25", "https://idp.example", [module])
    assert find_complaints([outcome], {}) == ["plan: oidcc-server: EnsureTls is not explained in explanations.json"]
    assert find_complaints([outcome], {"EnsureTls": "The proxy in front decides."}) == []
    text = render([outcome], {"EnsureTls": "The proxy in front decides."})
    assert "| `oidcc-server` | Not TLS 1.3 | The proxy in front decides. |" in text
    document = put_between_markers(f"# Conformance\n\n{BEGIN}\nold\n{END}\nafter\n", text)
    assert "old" not in document
    assert document.startswith("# Conformance\n")
    assert document.endswith(f"{END}\nafter\n")
    assert put_between_markers(document, text) == document
