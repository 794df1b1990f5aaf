"""The journeys to the provider and back: sign in, step up, sign out, and being signed out from there."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from flask import Blueprint, Response, current_app, redirect, request

from . import browser
from .logout import LogoutRefused
from .oidc import AnswerRefused, ProviderAway, ProviderRefused, meets
from .services import address_of, deep_link, find_service
from .store import LogoutReplayed, SessionAlreadyEnded
from .troubles import notice, provider_trouble, trouble

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as AnyResponse

    from .app import Portal
    from .store import Session

log = logging.getLogger("portal")
blueprint = Blueprint("journeys", __name__)
REFRESH_BEFORE = timedelta(seconds=60)
"""An access token is refreshed when it has less than this to live."""


def portal() -> Portal:
    """Return the portal that answers."""
    found: Portal = current_app.extensions["portal"]
    return found


def current_session() -> Session | None:
    """Return the session of this browser, ended or not."""
    value = browser.find_browser()
    return None if value is None else portal().store.find_session(value, now=portal().now())


@blueprint.get("/sign-in")
def sign_in() -> AnyResponse:
    """Send the browser to the provider. The deep-link parameters say what to come back to, and how strong to be."""
    parameters = deep_link(request.args)
    prompt = "none" if request.args.get("silent") == "1" else None
    return begin_sign_in(address_of(parameters), parameters.get("MaTTHC"), prompt=prompt)


def begin_sign_in(
    return_to: str, service_code: str | None, *, prompt: str | None = None, login_hint: str | None = None
) -> AnyResponse:
    """Begin a journey: state, nonce and verifier stay here, bound to this browser; the request goes there."""
    service = find_service(service_code)
    wanted = service.wanted_acr if service else None
    address, kept = portal().provider.start(
        language=browser.language(), wanted_acr=wanted, prompt=prompt, login_hint=login_hint
    )
    value = browser.find_browser() or browser.new_browser()
    portal().store.begin_journey(
        kept["state"],
        browser=value,
        purpose="sign-in",
        kept={**kept, "return_to": return_to},
        now=portal().now(),
    )
    answer = redirect(address, 303)
    browser.remember_browser(answer, value)
    return answer


@blueprint.route("/initiate-login", methods=["GET", "POST"])
def initiate_login() -> AnyResponse | tuple[str, int]:
    """Begin a sign-in that somebody else proposes (OIDC Core §4); only our provider, only to our own pages."""
    told = request.form if request.method == "POST" else request.args
    if told.get("iss") != portal().settings.issuer:
        return trouble("foreign_issuer", 400)
    target = urlsplit(told.get("target_link_uri", ""))
    own = f"{target.scheme}://{target.netloc}" == portal().settings.url and target.path == "/apply"
    parameters = deep_link(dict(parse_qsl(target.query))) if own else {}
    hint = told.get("login_hint", "")[:200] or None
    return begin_sign_in(address_of(parameters), parameters.get("MaTTHC"), login_hint=hint)


@blueprint.get("/signed-in")
def signed_in() -> AnyResponse | tuple[str, int] | tuple[str, int, dict[str, str]]:
    """Take the provider's answer. The journey is consumed first, so one answer is followed once, here only."""
    answer = request.args.to_dict()
    if any(len(request.args.getlist(name)) > 1 for name in answer):
        return trouble("repeated_parameter", 400)
    value = browser.find_browser()
    kept = None
    if value is not None:
        kept = portal().store.take_journey(
            answer.get("state", ""), browser=value, purpose="sign-in", now=portal().now()
        )
    if value is None or kept is None:
        return trouble("unknown_state", 400)
    now = portal().now()
    try:
        found = portal().provider.finish(answer, kept, now=now)
    except (ProviderAway, ProviderRefused, AnswerRefused) as error:
        return provider_trouble(error, kept["return_to"])
    if not meets(found.claims, portal().settings.minimum_acr):
        log.warning("sign-in below the minimum of this portal, reference=%s", browser.reference())
        return trouble("below_minimum", 403, kept["return_to"])
    fresh_value = browser.new_browser()  # a cookie planted before the sign-in is worth nothing after it
    try:
        portal().store.open_session(
            browser=fresh_value,
            instead_of=value,
            sub=found.sub,
            sid=found.sid,
            tokens=found.tokens,
            claims=found.claims,
            now=now,
            until=now + portal().settings.session_for,
        )
    except SessionAlreadyEnded:
        return trouble("ended_meanwhile", 400, kept["return_to"])
    response = redirect(kept["return_to"] if kept["return_to"] != "/" else "/identity", 303)
    browser.remember_browser(response, fresh_value)
    return response


def keep_fresh(session: Session, *, at_once: bool = False) -> Session | None:
    """Return the session with living tokens; None when the provider no longer stands behind it.

    Refreshes shortly before the access token ends, or `at_once`. Only one request at a time may, since a
    refresh token is spent once and its second use ends everything; the others go on with what they have.
    When the provider is away, the session goes on too, until its own end.
    """
    tokens, now = session.tokens, portal().now()
    if tokens is None or tokens.refresh_token is None:
        return session
    if not at_once and tokens.access_until - now > REFRESH_BEFORE:
        return session
    if not portal().store.take_refresh_turn(session.id, now=now):
        return session
    try:
        fresh = portal().provider.refresh(tokens, session.sub, session.claims, now=now)
    except ProviderAway:
        portal().store.give_back_refresh_turn(session.id)
        if at_once:
            raise
        return session
    except ProviderRefused as refusal:
        if refusal.error not in {"invalid_grant", "invalid_token"}:
            portal().store.give_back_refresh_turn(session.id)
            raise
        portal().store.end_session(session.id, by="provider", now=now)
        return None
    portal().store.keep_refreshed(session.id, fresh.tokens, fresh.claims)
    return current_session()


@blueprint.post("/identity/refresh")
def refresh_identity() -> AnyResponse | tuple[str, int]:
    """Fetch the identity anew because the person asks for it."""
    if not browser.is_own_form():
        return trouble("foreign_form", 400)
    session = current_session()
    if session is None or session.tokens is None or keep_fresh(session, at_once=True) is None:
        return redirect("/", 303)
    return redirect("/identity", 303)


@blueprint.post("/sign-out")
def sign_out() -> AnyResponse | tuple[str, int]:
    """End the session here first, then at the provider (RP-Initiated Logout §2)."""
    if not browser.is_own_form():
        return trouble("foreign_form", 400)
    session, value, now = current_session(), browser.find_browser(), portal().now()
    if session is None or value is None or session.tokens is None:
        return redirect("/", 303)
    portal().store.end_session(session.id, by="person", now=now)
    try:
        address, state = portal().provider.sign_out_address(session.tokens.id_token, language=browser.language())
    except ProviderAway:
        return trouble("signed_out_here_only", 503)
    portal().store.begin_journey(state, browser=value, purpose="sign-out", kept={}, now=now)
    return redirect(address, 303)


@blueprint.get("/signed-out")
def signed_out() -> AnyResponse | tuple[str, int]:
    """Welcome back a browser that signed out at the provider; a state of ours tells it from a stray visit."""
    value, state = browser.find_browser(), request.args.get("state", "")
    known = value is not None and (
        portal().store.take_journey(state, browser=value, purpose="sign-out", now=portal().now()) is not None
    )
    if not known:
        return redirect("/", 303)
    return notice("signed_out", 200)


@blueprint.post("/backchannel-logout")
def backchannel_logout() -> Response:
    """Hear from the provider itself that a session is over (Back-Channel Logout §2.5 to §2.8)."""
    sent = request.form.getlist("logout_token")
    now = portal().now()
    try:
        if len(sent) != 1:
            return _logout_refused("exactly one logout_token is needed")
        told = portal().provider.read_logout(sent[0], now=now)
        ended = portal().store.end_by_provider(jti=told.jti, sid=told.sid, sub=told.sub, until=told.until, now=now)
    except LogoutRefused as refusal:
        return _logout_refused(refusal.reason)
    except LogoutReplayed:
        return _logout_refused("replayed")
    except ProviderAway:
        # Not the token's fault: 503 asks the provider to try again, as it does for any 5xx.
        return Response(status=503, headers={"Retry-After": "30"})
    log.info("back-channel logout ended %d session(s)", ended)
    return Response(status=200)


def _logout_refused(reason: str) -> Response:
    log.warning("back-channel logout refused: %s", reason)
    body = json.dumps({"error": "invalid_request", "error_description": reason})
    return Response(body, status=400, mimetype="application/json")
