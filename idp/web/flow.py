"""Where the browser goes next. Every page that is done returns to `proceed`; one that is left, to `refuse`. None calls another (law 3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, assert_never

from idp.audit.model import Origin
from idp.authenticators.model import OTP
from idp.grants.model import Authorization
from idp.grants.service import encode_claims
from idp.interactions.model import (
    AddFactor,
    AskConsent,
    Asked,
    Enrol,
    ExplainLevel,
    Issue,
    LogIn,
    Possible,
    Refuse,
    SelectAccount,
    Step,
    needs_more_factors,
    next_step,
)
from idp.interactions.service import proved_in
from idp.kernel.digests import new_bearer
from idp.oidc.errors import DESCRIPTIONS, ClientOver
from idp.oidc.hints import read_hinted_sub
from idp.oidc.request import AuthorizationRequest, read_authorization_request
from idp.oidc.respond import AuthorizationAnswer, answer
from idp.throttle.model import VolumeKind
from idp.web.own_page import OWN_CHANGE, OWN_PAGE, OWN_REQUEST, is_own
from idp.web.protocol.answers import see_other, to_client

if TYPE_CHECKING:
    from datetime import datetime

    from idp.grants.model import Standing
    from idp.interactions.service import Interaction
    from idp.rooms import Rooms
    from idp.web.cookies import Cookies
    from idp.web.door import Answer, PageAnswer, Request

_TRIES: Final = 3
_TO_CHANGE: Final = {"to": "change"}
"""The parameters of an interaction that wants the proof of a change on the own page."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What comes next, and what it was decided from."""

    step: Step
    asked: Asked
    standing: Standing | None


class Flow:
    """Leads a browser through one authorization request."""

    def __init__(self, rooms: Rooms, cookies: Cookies) -> None:
        self.rooms = rooms
        self.cookies = cookies

    # beginning -------------------------------------------------------------------------------------------------------------------------

    def begin(self, request: Request, asked: AuthorizationRequest) -> Answer | PageAnswer:
        """Answer a request at once if nothing has to be asked; else keep it, and lead to the first page."""
        begun_at = self.rooms.clock.now()
        for _ in range(_TRIES):
            decision = self.decide(asked, begun_at, request, None)
            if isinstance(decision.step, Issue):
                issued = self._issue(request, asked, decision.step, decision.standing)
                if issued is not None:
                    return issued
            elif isinstance(decision.step, Refuse):
                return self.refuse(asked, decision.step.error)
            else:
                break
        else:
            return self.refuse(asked, "temporarily_unavailable")
        self.rooms.volumes.reserve(VolumeKind.AUTHORIZE, request.address)
        browser, headers = self.browser_of(request)
        it = self.rooms.interactions.begin(asked.client.client_id, asked.parameters, browser, begun_at)
        return see_other(page_for(decision.step, it), *headers)

    def begin_own(self, request: Request, *, to_change: bool = False) -> Answer:
        """Lead to the sign-in for a person's own page, or to the proof that a change on it wants."""
        self.rooms.volumes.reserve(VolumeKind.AUTHORIZE, request.address)
        browser, headers = self.browser_of(request)
        it = self.rooms.interactions.begin(OWN_PAGE, _TO_CHANGE if to_change else {}, browser)
        return see_other(f"/i/{it.id}", *headers)

    def keep(self, request: Request, asked: AuthorizationRequest) -> Answer:
        """Keep a request that came by a cross-site POST, which carries no cookie; a GET then finds the browser."""
        self.rooms.volumes.reserve(VolumeKind.AUTHORIZE, request.address)
        it = self.rooms.interactions.begin(asked.client.client_id, asked.parameters, "")
        return see_other(f"/i/{it.id}")

    def browser_of(self, request: Request) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Return the value of the browser's cookie, and the header that sets it if it is new."""
        known = self.cookies.find(request.cookies, self.cookies.browser)
        if known is not None:
            return known, ()
        fresh = new_bearer("mob_")
        return fresh, (self.cookies.set(self.cookies.browser, fresh),)

    # going on ----------------------------------------------------------------------------------------------------------------------------

    def asked_in(self, it: Interaction) -> AuthorizationRequest:
        """Return the request that an interaction keeps, read again: what changed at the client since then counts.

        Raises:
            ClientOver: the client was disabled, or its redirect URI taken away: nothing may be sent there any more.
            AnswerWithError: it would not be accepted any more.
        """
        if it.client_id == OWN_PAGE:
            return OWN_CHANGE if it.parameters == _TO_CHANGE else OWN_REQUEST
        client = self.rooms.clients.find(it.client_id)
        redirect_uri = it.parameters["redirect_uri"]
        if client is None or client.is_dead(self.rooms.clock.now()) or not client.is_redirect_uri(redirect_uri):
            raise ClientOver
        return read_authorization_request(client, redirect_uri, it.parameters)

    def may_change_own(self, request: Request) -> bool:
        """Whether this browser proved who is there not long ago: then something on the own page may be changed."""
        return isinstance(self.decide(OWN_CHANGE, self.rooms.clock.now(), request, None).step, Issue)

    def proceed(self, request: Request, it: Interaction, *headers: tuple[str, str]) -> Answer | PageAnswer:
        """Send the browser where it must go next."""
        asked = self.asked_in(it)
        for _ in range(_TRIES):
            decision = self.decide(asked, it.begun_at, request, it)
            match decision.step:
                case LogIn() | SelectAccount() | AddFactor() | Enrol() | AskConsent() | ExplainLevel():
                    return see_other(page_for(decision.step, it), *headers)
                case Refuse(error):
                    self.rooms.interactions.end(it)
                    return self.refuse(asked, error, *headers)
                case Issue() if is_own(asked):
                    self.rooms.interactions.end(it)
                    return see_other("/", *headers)
                case Issue():
                    issued = self._answer_once(request, it, asked, decision.step, decision.standing, *headers)
                    if issued is not None:
                        return issued
                case _:
                    assert_never(decision.step)
        self.rooms.interactions.end(it)
        return self.refuse(asked, "temporarily_unavailable", *headers)

    def decide(self, asked: AuthorizationRequest, begun_at: datetime, request: Request, it: Interaction | None) -> Decision:
        """Return what comes next for this browser, and from what that was decided."""
        hinted = read_hinted_sub(asked, self.rooms.keys, issuer=self.rooms.issuer, now=self.rooms.clock.now())
        if isinstance(hinted, Refuse):
            return Decision(hinted, asked.asked(begun_at, None), None)
        wanted = asked.asked(begun_at, hinted)
        if it is not None and it.anew_at is not None:
            wanted = wanted.anew(it.anew_at)
        standing = self.standing(asked, request)
        proved = proved_in(standing, it)
        possible = Possible()
        if standing is not None and needs_more_factors(wanted, proved):
            possible = Possible.of(self.rooms.authenticators.possible(standing.account_id))
        return Decision(next_step(wanted, proved, possible), wanted, standing)

    def standing(self, asked: AuthorizationRequest, request: Request) -> Standing | None:
        """Return what stands between this browser's session and the client, its level computed anew where it has to be."""
        cookie = self.cookies.find(request.cookies, self.cookies.session)
        if cookie is None:
            return None
        version = self.rooms.levels.policy_version
        standing = self.rooms.grants.standing(cookie, asked.client.id, asked.client.sector, version)
        if standing is not None and standing.ial is None:
            standing = replace(standing, ial=self.rooms.levels.current(standing.holder_id).ial)
        return standing

    def _answer_once(
        self,
        request: Request,
        it: Interaction,
        asked: AuthorizationRequest,
        step: Issue,
        standing: Standing | None,
        *headers: tuple[str, str],
    ) -> Answer | PageAnswer | None:
        """End the interaction and issue its code; where no code came of it, the interaction goes on."""
        self.rooms.interactions.end(it)
        issued = None
        try:
            issued = self._issue(request, asked, step, standing, *headers)
        finally:
            if issued is None:
                self.rooms.interactions.resume(it)
        return issued

    # answering ---------------------------------------------------------------------------------------------------------------------------

    def _issue(
        self,
        request: Request,
        asked: AuthorizationRequest,
        step: Issue,
        standing: Standing | None,
        *headers: tuple[str, str],
    ) -> Answer | PageAnswer | None:
        if standing is None or standing.consent is None:
            return None
        now = self.rooms.clock.now()
        authorization = Authorization(
            standing=standing,
            consent=standing.consent,
            client_id=asked.client.id,
            sector=asked.client.sector,
            redirect_uri=asked.redirect_uri,
            challenge=asked.challenge,
            scopes=asked.scopes,
            claims=encode_claims(asked.claims.stored()),
            nonce=asked.nonce,
            acr=step.acr,
            ial=step.ial,
            aal=step.aal,
            amr=step.amr,
            auth_time=step.auth_time,
            policy_version=self.rooms.levels.policy_version,
            idle_until=now + self.rooms.sessions.policy.idle_for,
        )
        code = self.rooms.grants.issue_code(authorization, Origin(request.request_id, request.address))
        if code is None:
            return None
        return to_client(self._answered(asked, {"code": code}), " ".join(asked.ui_locales), *headers)

    def refuse(self, asked: AuthorizationRequest, error: str, *headers: tuple[str, str]) -> Answer | PageAnswer:
        """Answer the client with an error that a step gave rise to; where nobody asked, lead to the first page."""
        if is_own(asked):
            return see_other("/", *headers)
        told = self._answered(asked, {"error": error, "error_description": DESCRIPTIONS[error]})
        return to_client(told, " ".join(asked.ui_locales), *headers)

    def _answered(self, asked: AuthorizationRequest, parameters: dict[str, str]) -> AuthorizationAnswer:
        return answer(asked.redirect_uri, asked.response_mode, issuer=self.rooms.issuer, state=asked.state, parameters=parameters)


def page_for(step: Step, it: Interaction) -> str:
    """Return the page of a step that asks the person something."""
    match step:
        case LogIn():
            page = "sign-in"
        case SelectAccount():
            page = "account"
        case AddFactor(methods):
            page = "totp" if OTP in methods else "recovery-code"
        case Enrol():
            page = "enrol"
        case AskConsent():
            page = "consent"
        case ExplainLevel():
            page = "level"
        case Refuse() | Issue():
            page = ""
        case _:
            assert_never(step)
    return f"/i/{it.id}/{page}".rstrip("/")
