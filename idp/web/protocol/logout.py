"""RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0): what the portal asks is read here; the page asks the person.

Nobody is signed out by an address alone (ASVS 10.6.2): whatever a portal sends, the person confirms it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from idp.oidc.hints import read_hint

if TYPE_CHECKING:
    from idp.clients.model import Client
    from idp.rooms import Rooms
    from idp.web.door import Pairs

_MOST: Final = 8192
_MOST_CARRIED: Final = {"state": 1024, "ui_locales": 256}
"""What the portal chooses freely and the confirmation's address carries: percent-encoded, it still fits in a line the door reads."""


class SignOutUnreadable(Exception):
    """The request cannot be honoured; the person sees why nothing was changed."""


@dataclass(frozen=True, slots=True)
class SignOutRequest:
    """What a portal asks: perhaps nothing but that the person is signed out."""

    client: Client | None = None
    back_to: str | None = None
    """Where to go afterwards: registered by the client, with `state` behind it."""
    ui_locales: str = ""
    carried: str = ""
    """The query with which the confirmation asks for the same again; the hint is not in it."""


def read_sign_out(pairs: Pairs, rooms: Rooms) -> SignOutRequest:
    """Return what is asked.

    Raises:
        SignOutUnreadable: a parameter is repeated or too long, the hint is none of ours, or the address is not registered by a
            client that lives. In the name of a dead one nothing is asked; the person may sign out all the same.
    """
    given: dict[str, str] = {}
    now = rooms.clock.now()
    for name, value in pairs:
        if name in given or len(value) > _MOST_CARRIED.get(name, _MOST):
            raise SignOutUnreadable("A parameter was sent more than once, or is too long.")
        given[name] = value
    client_id = given.get("client_id") or None
    if given.get("id_token_hint"):
        hint = read_hint(given["id_token_hint"], rooms.keys, issuer=rooms.issuer, client_id=client_id, now=now)
        if hint is None:
            raise SignOutUnreadable("The id_token_hint is not an ID token of this provider for this client.")
        client_id = hint.client_id
    client = rooms.clients.find(client_id) if client_id else None
    if client_id and client is None:
        raise SignOutUnreadable("The client is not registered here.")
    if client is not None and client.is_dead(now):
        client = None
    back_to = given.get("post_logout_redirect_uri") or None
    if back_to is not None and (client is None or back_to not in client.post_logout_redirect_uris):
        raise SignOutUnreadable("The post_logout_redirect_uri is not registered for this client.")
    state = given.get("state")
    carried = {"client_id": client_id, "post_logout_redirect_uri": back_to, "state": state}
    return SignOutRequest(
        client=client,
        back_to=_with_state(back_to, state),
        ui_locales=given.get("ui_locales", ""),
        carried=urlencode({name: value for name, value in carried.items() if value}),
    )


def _with_state(address: str | None, state: str | None) -> str | None:
    if address is None or state is None:
        return address
    return address + ("&" if "?" in address else "?") + urlencode({"state": state})
