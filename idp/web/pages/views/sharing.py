"""What is shared with a portal, as which account, and what to do when a level is missing."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from idp.grants.model import OFFLINE
from idp.interactions.model import AskConsent, ExplainLevel, SelectAccount
from idp.oidc.claims import CLAIMS_OF_SCOPE, Attributes
from idp.web.pages.forms import ConsentForm, LevelForm, SelectAccountForm
from idp.web.pages.values import N_, SCOPE_REASONS, SHOWN_DIGITS, Fact, Purpose
from idp.web.pages.views.here import begin_anew, elsewhere, form_page, here, leave

if TYPE_CHECKING:
    from uuid import UUID

    from idp.web.door import Answer, PageAnswer
    from idp.web.pages.application import PageApplication
    from idp.web.pages.desk import Desk
    from idp.web.pages.views.here import Here

_NUMBERS: Final = frozenset({"personal_number", "phone_number"})
_VERIFIED: Final = {"email_verified": "email", "phone_number_verified": "phone_number"}
"""Said of an address: where that is shown, of no interest of its own."""
_BESIDE: Final = {"locale": N_("language"), "zoneinfo": N_("time zone"), "updated_at": N_("when it was last changed")}
"""Shared beside what is shown: named in one line, without the values."""

_WORDS: Final = {
    ("gender", "male"): N_("Male"),
    ("gender", "female"): N_("Female"),
    ("person_type", "citizen"): N_("Citizen"),
    ("person_type", "foreigner"): N_("Foreigner"),
    ("person_type", "identity_certificate"): N_("Holder of an identity certificate"),
}


class Sharing:
    """The pages on which the person decides."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def consent(self, interaction_id: str) -> Answer | PageAnswer:
        """Ask whether to share, showing the actual values; a refusal is told to the portal as `access_denied`."""
        at = here(self.desk, interaction_id)
        if not isinstance(at.step, AskConsent) or at.standing is None:
            return elsewhere(at)
        # What is agreed to is what the page said, by whom it named: not what a consent withdrawn or a sign-in meanwhile made of it.
        said = (at.it.id, str(at.standing.account_id), *sorted(at.step.scopes), "", *sorted(at.step.claims))
        form = self.desk.form(ConsentForm, at.request, *said)
        if at.request.method == "POST" and form.validate():
            if form.decision.data == "refuse":
                return self._refused(at, at.step, at.standing.account_id)
            standing = at.standing
            self.desk.rooms.accounts.subject(standing.holder_id, at.asked.client.sector)
            self.desk.rooms.grants.give_consent(
                standing.account_id,
                standing.holder_id,
                at.asked.client.id,
                at.step.scopes,
                at.step.claims,
                self.desk.origin(at.request),
            )
            it = self.desk.rooms.interactions.settle(at.it, consented=str(standing.account_id))
            return self.desk.flow.proceed(at.request, it)
        return self._consent_page(at, form, at.step)

    def _refused(self, at: Here, step: AskConsent, account_id: UUID) -> Answer | PageAnswer:
        """Record that the person does not share this, and tell the portal; what cannot be recorded can be said again."""
        self.desk.rooms.interactions.end(at.it)
        try:
            self.desk.rooms.grants.refuse_consent(
                account_id, at.asked.client.id, step.scopes, step.claims, self.desk.origin(at.request)
            )
        except BaseException:
            self.desk.rooms.interactions.resume(at.it)
            raise
        return self.desk.flow.refuse(at.asked, "access_denied")

    def _consent_page(self, at: Here, form: ConsentForm, step: AskConsent) -> PageAnswer:
        standing = at.standing
        assert standing is not None  # noqa: S101 - the caller has looked
        row = self.desk.rooms.grants.attributes(standing.holder_id)
        claims = Attributes(row, self.desk.rooms.keys.sealer, self.desk.rooms.zone)
        purposes = [self._purpose(at, scope, CLAIMS_OF_SCOPE[scope], claims) for scope in CLAIMS_OF_SCOPE if scope in step.scopes]
        if step.claims:
            purposes.append(self._purpose(at, "", tuple(sorted(step.claims)), claims))
        return form_page(
            self.desk,
            "consent.html",
            at,
            form,
            "/consent",
            wants="share",
            name=row.full_name if row else "",
            purposes=[purpose for purpose in purposes if purpose.facts or purpose.beside],
            offline=OFFLINE in step.scopes,
            policy_url=at.asked.client.metadata.get("policy_uri"),
            terms_url=at.asked.client.metadata.get("tos_uri"),
        )

    def _purpose(self, at: Here, scope: str, names: tuple[str, ...], claims: Attributes) -> Purpose:
        locale, _ = self.desk.locale(at.request, " ".join(at.asked.ui_locales))
        declared = at.asked.client.purposes.get(scope, {})
        reason = declared.get(locale) or declared.get("vi") or SCOPE_REASONS.get(scope, N_("Asked for by the portal"))
        shown = [name for name in names if name not in _BESIDE and _VERIFIED.get(name) not in names]
        known = claims.claims(set(shown) - set(_VERIFIED))
        facts = [_fact(name, known[name]) if name in known else _not_known(name) for name in shown]
        if scope == "openid" and at.standing is not None:
            facts += [Fact.of_subject(), Fact.of_level(at.standing.ial or 0)]
        return Purpose(reason, tuple(facts), beside=tuple(label for name, label in _BESIDE.items() if name in names))

    def account(self, interaction_id: str) -> Answer | PageAnswer:
        """Ask whether to go on as the account that is signed in (`prompt=select_account`)."""
        at = here(self.desk, interaction_id)
        if not isinstance(at.step, SelectAccount) or at.standing is None:
            return elsewhere(at)
        form = self.desk.form(SelectAccountForm, at.request, at.it.id, str(at.standing.account_id))
        if at.request.method == "POST" and form.validate():
            match form.decision.data:
                case "leave":
                    return leave(self.desk, at, "access_denied")
                case "another":
                    return begin_anew(self.desk, at)
            it = self.desk.rooms.interactions.settle(at.it, selected=str(at.standing.account_id))
            return self.desk.flow.proceed(at.request, it)
        person = self.desk.rooms.accounts.person(at.standing.holder_id)
        return form_page(
            self.desk,
            "select_account.html",
            at,
            form,
            "/account",
            name=person.full_name,
            number=person.personal_number[-SHOWN_DIGITS:],
            ial=at.standing.ial or 0,
        )

    def level(self, interaction_id: str) -> Answer | PageAnswer:
        """Say which level is missing and how to get it; the way back tells the portal `unmet_authentication_requirements`."""
        at = here(self.desk, interaction_id)
        if not isinstance(at.step, ExplainLevel) or at.standing is None:
            return elsewhere(at)
        form = self.desk.form(LevelForm, at.request)
        if at.request.method == "POST" and form.validate():
            return leave(self.desk, at, "unmet_authentication_requirements")
        if form.instead:
            return begin_anew(self.desk, at)
        return form_page(
            self.desk,
            "level_missing.html",
            at,
            form,
            "/level",
            person_type=self.desk.rooms.accounts.person(at.standing.holder_id).person_type,
            needed_ial=at.step.needed.ial,
            ial=at.step.held,
        )


def _not_known(name: str) -> Fact:
    """Return the row of what is shared once it is known, or whose value says nothing without its address."""
    if name in _VERIFIED:
        return Fact(name, Fact.of_claim(_VERIFIED[name], "").label, N_("Whether it is confirmed"), "message")
    return Fact(name, Fact.of_claim(name, "").label, N_("Not known yet"), "message")


def _fact(name: str, value: object) -> Fact:
    if name in _NUMBERS:
        return Fact.of_number(name, str(value))
    if isinstance(value, dict):
        return Fact.of_claim(name, str(value.get("formatted", "")))
    if name == "birthdate":
        return Fact.of_claim(name, dt.date.fromisoformat(str(value)))
    if name == "nationality":
        return Fact(name, Fact.of_claim(name, "").label, str(value), "country")
    word = _WORDS.get((name, str(value)))
    if word is not None:
        return Fact(name, Fact.of_claim(name, "").label, word, "message")
    return Fact.of_claim(name, str(value))


def register(pages: PageApplication, desk: Desk) -> None:
    """Give the pages their addresses."""
    sharing = Sharing(desk)
    both = ["GET", "POST"]
    pages.page("/i/<interaction_id>/consent", "consent", sharing.consent, methods=both)
    pages.page("/i/<interaction_id>/account", "account", sharing.account, methods=both)
    pages.page("/i/<interaction_id>/level", "level", sharing.level, methods=both)
