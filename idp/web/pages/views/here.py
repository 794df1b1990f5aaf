"""What the pages of an interaction share: where they stand in it, and how they lead on, begin anew, or leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from idp.authenticators.model import PASSWORD
from idp.web.flow import page_for
from idp.web.pages.application import read
from idp.web.protocol.answers import see_other

if TYPE_CHECKING:
    from idp.grants.model import Standing
    from idp.interactions.model import Asked, Step
    from idp.interactions.service import Interaction
    from idp.oidc.request import AuthorizationRequest
    from idp.web.door import Answer, PageAnswer, Request
    from idp.web.pages.desk import Desk
    from idp.web.pages.forms import Form


@dataclass(frozen=True, slots=True)
class Here:
    """Where a page stands in its interaction: what the dispatcher says comes next, and from what."""

    request: Request
    it: Interaction
    asked: AuthorizationRequest
    wanted: Asked
    step: Step
    standing: Standing | None

    @property
    def base(self) -> str:
        """The address below which the interaction's pages live."""
        return base_of(self.it.id)

    @property
    def begins_here(self) -> bool:
        """Whether the first proof is given in this request; else what is asked now is one step alone."""
        proved = None if self.standing is None else self.standing.proofs.get(PASSWORD)
        return proved is None or proved >= self.it.begun_at.replace(microsecond=0)

    @property
    def steps(self) -> int:
        """How many steps of proof this request may take: two where a second factor is wanted."""
        wanted = max(self.wanted.minimum.aal, *(level.aal for level in self.wanted.classes), 1)
        return 2 if wanted > 1 else 1


def base_of(interaction_id: str) -> str:
    """Return the address below which an interaction's pages live."""
    return f"/i/{interaction_id}"


def here(desk: Desk, interaction_id: str) -> Here:
    """Return where the browser stands in an interaction."""
    request = read()
    it = desk.interaction(request, interaction_id)
    asked = desk.flow.asked_in(it)
    decision = desk.flow.decide(asked, it.begun_at, request, it)
    return Here(request, it, asked, decision.asked, decision.step, decision.standing)


def elsewhere(at: Here) -> Answer:
    """Lead to the page of the step that comes next: this one is not it."""
    return see_other(page_for(at.step, at.it))


def form_page(desk: Desk, template: str, at: Here, form: Form, path: str, *, wants: str = "sign_in", **values: Any) -> PageAnswer:
    """Return a page of an interaction with a form that comes back to `path`."""
    return desk.page(template, at.asked, wants=wants, status=form.status, form=form, action=at.base + path, **values)


def begin_anew(desk: Desk, at: Here) -> Answer | PageAnswer:
    """Begin the sign-in anew, as anybody: the session of this browser is left as it is until somebody else proves who they are."""
    it = desk.rooms.interactions.settle(at.it, anew=desk.rooms.clock.now().timestamp(), select_any=True)
    return desk.flow.proceed(at.request, it)


def leave(desk: Desk, at: Here, error: str) -> Answer | PageAnswer:
    """Lead back to the portal that asked, which is told `error`; the session of this browser stays as it is.

    Not on the record: nothing was proved, shared or changed. (A refusal to share is: `grants.consent_refused`.)
    """
    desk.rooms.interactions.end(at.it)
    return desk.flow.refuse(at.asked, error)
