"""How an authorization request is answered: the parameters, and the way they travel (OIDC Core §3.1.2.5, RFC 9207, form_post)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class AuthorizationAnswer:
    """What is sent to a proved redirect URI."""

    redirect_uri: str
    response_mode: str
    parameters: tuple[tuple[str, str], ...]

    @property
    def location(self) -> str:
        """The address with the parameters in its query, behind what the client registered there."""
        separator = "&" if "?" in self.redirect_uri else "?"
        return self.redirect_uri + separator + urlencode(self.parameters)


def answer(
    redirect_uri: str, response_mode: str, *, issuer: str, state: str | None, parameters: Mapping[str, str]
) -> AuthorizationAnswer:
    """Return an answer with `state` as it came and `iss`, which every answer carries (RFC 9207 §2)."""
    carried = [*parameters.items(), *([("state", state)] if state is not None else []), ("iss", issuer)]
    return AuthorizationAnswer(redirect_uri, response_mode, tuple(carried))
