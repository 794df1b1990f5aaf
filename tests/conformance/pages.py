"""What the suite's browser does on the provider's pages: where they are and which button is pressed.

Everything that depends on a page's address or on the id of a field is in the table below, nowhere else. The
patterns are the suite's own: `*` stands for anything, and the first page that is not optional and does not match
ends the module as failed, with the page's source in the module's log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Command = tuple[str | int, ...]

PICTURE: Command = ("wait", "css", "body", 10, ".+", "update-image-placeholder-optional")
"""Hand the page at hand to the module's log, where the module waits for a picture of one."""


@dataclass(frozen=True)
class Page:
    """One page of the provider or of the suite, and what a person does there."""

    task: str
    address: str
    commands: tuple[Command, ...]
    optional: bool = True


# ----------------------------------------------------------------------------------------------------------------
# The provider's pages. `{issuer}` and `{suite}` are origins without a slash at the end.

CHOOSE_ACCOUNT = Page("choose an account", "{issuer}/i/*/account*", (("click", "id", "continue"),))

SIGN_IN = Page(
    "sign in",
    "{issuer}/*sign-in*",
    (
        ("text", "id", "username", "{username}", "optional"),  # not asked of a person who signs in again
        ("text", "id", "password", "{password}"),
        ("click", "id", "continue"),
    ),
)

SIGN_IN_WITH_PICTURE = Page("sign in, with a picture", SIGN_IN.address, (PICTURE, *SIGN_IN.commands))

CONSENT = Page("consent", "{issuer}/i/*/consent*", (("click", "id", "allow"),))

REFUSED = Page("a page that refuses", "{issuer}/*", (PICTURE,))

SIGN_OUT = Page("confirm the sign-out", "{issuer}/logout*", (("click", "id", "sign-out", "optional"),))

ASKED_OR_REFUSED = Page("a page that asks or refuses", "{issuer}/logout*", (PICTURE,), optional=False)

SIGNED_OUT = Page("signed out", "{issuer}/*signed-out*", (PICTURE,), optional=False)

BACK_TO_PORTAL = Page(
    "from the signed-out page back to the portal",
    SIGNED_OUT.address,
    (("click", "id", "continue", "optional"),),
)

# The suite's own pages, where a journey ends.

ARRIVED = Page(
    "back at the client",
    "{suite}/test/a/*/callback*",
    (("wait", "id", "submission_complete", 10),),
    optional=False,
)

ARRIVED_IF_SENT = Page("back at the client, where the provider redirects", ARRIVED.address, ARRIVED.commands)

ARRIVED_AFTER_SIGN_OUT = Page(
    "back at the client, signed out",
    "{suite}/test/a/*/post_logout_redirect*",
    (),
    optional=False,
)

# ----------------------------------------------------------------------------------------------------------------
# Journeys: which pages follow each other after a request to the provider.

AUTHORIZE = "{issuer}/authorize*"
LOGOUT = "{issuer}/logout*"

Journey = tuple[Page, ...]

SIGNING_IN: Journey = (CHOOSE_ACCOUNT, SIGN_IN, CONSENT, ARRIVED)
SIGNING_IN_WITH_PICTURE: Journey = (CHOOSE_ACCOUNT, SIGN_IN_WITH_PICTURE, CONSENT, ARRIVED)
BEING_REFUSED: Journey = (REFUSED, ARRIVED_IF_SENT)
SIGNING_OUT: Journey = (SIGN_OUT, BACK_TO_PORTAL, ARRIVED_AFTER_SIGN_OUT)
SIGNING_OUT_AT_THE_PROVIDER: Journey = (SIGN_OUT, SIGNED_OUT)
BEING_ASKED_OR_REFUSED: Journey = (ASKED_OR_REFUSED,)

USUAL: dict[str, Journey] = {AUTHORIZE: SIGNING_IN, LOGOUT: SIGNING_OUT}
"""What follows a request to an address, unless the module is named below."""

SPECIAL: dict[str, dict[str, Journey]] = {
    "oidcc-prompt-login": {AUTHORIZE: SIGNING_IN_WITH_PICTURE},
    "oidcc-max-age-1": {AUTHORIZE: SIGNING_IN_WITH_PICTURE},
    "oidcc-response-type-missing": {AUTHORIZE: BEING_REFUSED},
    "oidcc-ensure-registered-redirect-uri": {AUTHORIZE: BEING_REFUSED},
    "oidcc-ensure-request-object-with-redirect-uri": {AUTHORIZE: BEING_REFUSED},
    "oidcc-rp-initiated-logout-bad-post-logout-redirect-uri": {LOGOUT: BEING_ASKED_OR_REFUSED},
    "oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri": {LOGOUT: BEING_ASKED_OR_REFUSED},
    "oidcc-rp-initiated-logout-modified-id-token-hint": {LOGOUT: BEING_ASKED_OR_REFUSED},
    "oidcc-rp-initiated-logout-bad-id-token-hint": {LOGOUT: BEING_ASKED_OR_REFUSED},
    "oidcc-rp-initiated-logout-no-id-token-hint": {LOGOUT: BEING_ASKED_OR_REFUSED},
    "oidcc-rp-initiated-logout-no-params": {LOGOUT: SIGNING_OUT_AT_THE_PROVIDER},
    "oidcc-rp-initiated-logout-no-post-logout-redirect-uri": {LOGOUT: SIGNING_OUT_AT_THE_PROVIDER},
    "oidcc-rp-initiated-logout-only-state": {LOGOUT: SIGNING_OUT_AT_THE_PROVIDER},
}
"""The modules whose browser has another journey: a page that refuses, a picture, no way back."""

# ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Visitor:
    """Whom the suite's browser signs in, and between which two origins it goes."""

    issuer: str
    suite: str
    username: str
    password: str

    def fill(self, value: str | int) -> str | int:
        """Return the value with origins and the account's words put in; a number stays."""
        if isinstance(value, int):
            return value
        names = {"issuer": self.issuer, "suite": self.suite, "username": self.username, "password": self.password}
        for name, word in names.items():
            value = value.replace("{" + name + "}", word)
        return value


def usual_browser(visitor: Visitor) -> list[dict[str, Any]]:
    """Return the `browser` member of a plan's configuration."""
    return _browser(USUAL, visitor)


def special_browsers(visitor: Visitor) -> dict[str, dict[str, Any]]:
    """Return the `override` member: for each module of its own kind, the `browser` list that replaces the usual one."""
    return {module: {"browser": _browser({**USUAL, **journeys}, visitor)} for module, journeys in SPECIAL.items()}


def _browser(journeys: dict[str, Journey], visitor: Visitor) -> list[dict[str, Any]]:
    return [{"match": visitor.fill(address), "tasks": [_task(page, visitor) for page in journey]} for address, journey in journeys.items()]


def _task(page: Page, visitor: Visitor) -> dict[str, Any]:
    task: dict[str, Any] = {"task": page.task, "match": visitor.fill(page.address)}
    if page.optional:
        task["optional"] = True
    if page.commands:
        task["commands"] = [[visitor.fill(part) for part in command] for command in page.commands]
    return task
