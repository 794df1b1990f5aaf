"""The fields of a declaration: which are known, and how one is read so that a wrong form names the field."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from idp.clients.model import DeclarationRefused

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_KNOWN: Final = frozenset(
    {
        # RFC 7591 §2, OIDC Registration §2, OIDC logout specifications
        "client_id", "client_name", "client_secret", "client_uri", "policy_uri", "tos_uri", "contacts", "redirect_uris",
        "token_endpoint_auth_method", "token_endpoint_auth_signing_alg", "grant_types", "response_types", "response_modes",
        "scope", "jwks", "application_type", "subject_type", "id_token_signed_response_alg", "default_max_age",
        "require_auth_time", "default_acr_values", "initiate_login_uri", "post_logout_redirect_uris", "backchannel_logout_uri",
        "backchannel_logout_session_required", "software_id", "software_version",
        # our own
        "profile", "legacy_until", "minimum_acr", "agency_code", "agreement", "purposes", "security_level", "sector",
        "sector_identifier", "may_introspect",
    }
)  # fmt: skip

_TAGGED: Final = re.compile(r"(client_name|client_uri|policy_uri|tos_uri)#([A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*)", re.ASCII)

REFUSED: Final[Mapping[str, str]] = {
    "jwks_uri": "keys are registered here, not fetched: give the public JWK set in jwks, or with --jwks FILE",
    "sector_identifier_uri": "is not fetched here: name the host in sector_identifier",
    "logo_uri": "the pages show the initials of the registered name, never a picture from elsewhere",
    "request_uris": "request objects are not supported",
    "frontchannel_logout_uri": "front-channel logout is not supported: give backchannel_logout_uri",
    "id_token_encrypted_response_alg": "encrypted ID tokens are not supported",
    "userinfo_signed_response_alg": "signed userinfo responses are not supported",
    "tls_client_auth_subject_dn": "client certificates are not supported",
}

_MOST: Final = 50
_LONGEST: Final = 2000
"""Characters of one text in a list: as many as an address may have."""
_LONGEST_SHOWN: Final = 100
_LARGEST_NUMBER: Final = 1_000_000_000
_FORBIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def is_known(name: str) -> bool:
    """Whether a declaration may have a field of this `name`, with a language tag where one makes sense."""
    return name in _KNOWN or _TAGGED.fullmatch(name) is not None


def quoted(value: object) -> str:
    """Return a value that was given as a refusal shows it: in quotes, short, without what a terminal would obey."""
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}…"


class Fields:
    """The fields of one object of a declaration."""

    def __init__(self, values: Mapping[str, object], within: str = "") -> None:
        """Read `values`; `within` names the object in refusals."""
        self._values = values
        self._within = f"{within}." if within else ""

    def _refuse(self, name: str, reason: str) -> DeclarationRefused:
        return DeclarationRefused(self._within + name, reason)

    def find_text(self, name: str, *, longest: int = 200) -> str | None:
        """Return a text, or None where the field is absent."""
        return None if self._values.get(name) is None else self.text(name, longest=longest)

    def text(self, name: str, *, longest: int = 200) -> str:
        """Return a text of 1 to `longest` characters without control or direction characters, in NFC, not blank at its ends."""
        value = self._values.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= longest:
            raise self._refuse(name, f"is a text of 1 to {longest} characters")
        if value != value.strip() or any(unicodedata.category(each) in _FORBIDDEN_CATEGORIES for each in value):
            raise self._refuse(name, "holds no control or direction characters, and no space at its ends")
        return unicodedata.normalize("NFC", value)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of different texts, empty where the field is absent."""
        value = self._values.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or len(value) > _MOST or not all(isinstance(each, str) for each in value):
            raise self._refuse(name, f"is a list of at most {_MOST} texts")
        if any(len(each) > _LONGEST for each in value):
            raise self._refuse(name, f"holds a text of more than {_LONGEST} characters")
        if len(set(value)) != len(value):
            raise self._refuse(name, "names something twice")
        if not all(each.isprintable() for each in value):
            raise self._refuse(name, "holds a control or direction character")
        return tuple(value)

    def several(self, name: str, allowed: Collection[str], default: Collection[str]) -> frozenset[str]:
        """Return the values of a list, all of them `allowed`; `default` where the field is absent."""
        if self._values.get(name) is None:
            return frozenset(default)
        values = frozenset(self.texts(name))
        if not values or not values.issubset(allowed):
            foreign = f", not {quoted(min(values.difference(allowed)))}" if values else ""
            raise self._refuse(name, f"is a list of {', '.join(sorted(allowed))}{foreign}")
        return values

    def only(self, name: str, allowed: Collection[str], default: str | None) -> str:
        """Return one of the `allowed` values; `default` where the field is absent, which is refused if there is none."""
        value = self._values.get(name, default)
        if not isinstance(value, str) or value not in allowed:
            foreign = "" if value is None else f", not {quoted(value)}"
            raise self._refuse(name, f"is one of {', '.join(sorted(allowed))}{foreign}")
        return value

    def find_only(self, name: str, allowed: Collection[str]) -> str | None:
        """Return one of the `allowed` values, or None where the field is absent."""
        return None if self._values.get(name) is None else self.only(name, allowed, None)

    def matching(self, name: str, pattern: re.Pattern[str], described: str) -> str:
        """Return a text that matches `pattern` as a whole."""
        value = self._values.get(name)
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            raise self._refuse(name, f"is {described}")
        return value

    def flag(self, name: str) -> bool:
        """Return a boolean, False where the field is absent."""
        value = self._values.get(name, False)
        if not isinstance(value, bool):
            raise self._refuse(name, "is true or false")
        return value

    def number(self, name: str) -> int | None:
        """Return a whole number from 0 to a billion, or None where the field is absent."""
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST_NUMBER:
            raise self._refuse(name, "is a whole number that is not negative")
        return value

    def names(self, name: str) -> dict[str, str]:
        """Return the texts of a field with language tags (RFC 7591 §2.2), by tag; the untagged one under the empty tag."""
        names = {"": self.text(name, longest=100)}
        for each in self._values:
            base, _, tag = each.partition("#")
            if base == name and tag:
                names[tag] = self.text(each, longest=100)
        return names
