"""What a portal team declares (RFC 7591 and OIDC Registration names, and a few of our own), read strictly.

Two questions, kept apart: what does the declaration say (`read_metadata`, also used for what is stored), and does the client's
profile allow it (`read_declaration`, which refuses with the name of the field and a sentence that says what to change).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from idp.assurance.levels import OFFERED, LevelClass
from idp.clients.fields import REFUSED, Fields, is_known, quoted
from idp.clients.model import ASSERTION_ALGS, GRANT_TYPES, METHODS, RESPONSE_MODES, SECRET_METHODS, DeclarationRefused
from idp.clients.uris import Address, UnsafeUri, read_host, read_redirect_uri, read_uri
from idp.jose import PublicKeys, Unacceptable, UnfitKey, read_object
from idp.keys.model import SIGNING_ALGS

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_LEGACY: Final = timedelta(days=731)
_LOWEST: Final = LevelClass(0, 1)
_SECURITY_LEVELS: Final = range(3, 6)
"""Of the five of Decree 331/2026, those at which a relying party is protected."""
_CLIENT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,99}", re.ASCII)
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,64}")
_SECRET: Final = re.compile(r"[!-~]{32,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a declaration says, in the types the house uses."""

    client_id: str
    profile: str
    names: Mapping[str, str]
    application_type: str
    redirect_uris: tuple[str, ...]
    addresses: tuple[Address, ...]
    post_logout_redirect_uris: tuple[str, ...]
    backchannel_logout_uri: str | None
    method: str
    assertion_alg: str | None
    keys: PublicKeys | None
    sector: str
    scopes: frozenset[str]
    grant_types: frozenset[str]
    response_modes: frozenset[str]
    minimum: LevelClass
    default_acr_values: tuple[LevelClass, ...]
    default_max_age: int | None
    id_token_alg: str
    purposes: Mapping[str, Mapping[str, str]]
    may_introspect: bool
    agency_code: str | None
    legacy_until: datetime | None


@dataclass(frozen=True, slots=True)
class Declaration:
    """A declaration that its profile allows: what it says, and what of it is stored."""

    says: Metadata
    metadata: Mapping[str, object]
    secret: str | None = field(repr=False)


def read_declaration(declared: Mapping[str, object], now: datetime) -> Declaration:
    """Return what a declaration says, if the client's profile allows it.

    Raises:
        DeclarationRefused: with the field and the reason.
    """
    for name in declared:
        if name in REFUSED:
            raise DeclarationRefused(name, REFUSED[name])
        if not is_known(name):
            raise DeclarationRefused(name, "is not a field that is understood here")
    says = read_metadata(declared)
    secret = _read_secret(declared, says)
    _require_keys(says)
    _require_flow(says)
    _require_profile(says, now)
    stored = {name: value for name, value in declared.items() if name != "client_secret"}
    if says.keys is not None:
        stored["jwks"] = says.keys.to_jwks()
    return Declaration(says, stored, secret)


def read_metadata(declared: Mapping[str, object]) -> Metadata:
    """Return what `declared` says, whatever its profile allows; fields that nobody knows are not looked at.

    Raises:
        DeclarationRefused: a field has not the form it must have.
    """
    fields = Fields(declared)
    for name in declared:
        if name.partition("#")[0] in {"client_uri", "policy_uri", "tos_uri"}:
            _read_address(name, declared[name])
    redirect_uris = fields.texts("redirect_uris")
    addresses = tuple(_read_redirect("redirect_uris", each) for each in redirect_uris)
    post_logout = fields.texts("post_logout_redirect_uris")
    for each in post_logout:
        _read_redirect("post_logout_redirect_uris", each)
    fields.only("subject_type", frozenset({"pairwise"}), "pairwise")
    grant_types = fields.several("grant_types", GRANT_TYPES, frozenset({"authorization_code"}))
    if declared.get("response_types") != [] or "authorization_code" in grant_types:
        fields.several("response_types", frozenset({"code"}), frozenset({"code"}))
    fields.texts("contacts")
    for name in ("software_id", "software_version", "agreement"):
        fields.find_text(name)
    for name in ("backchannel_logout_session_required", "require_auth_time"):  # every token says what they ask for
        fields.flag(name)
    _find_address(fields, "initiate_login_uri")
    client_id = fields.matching("client_id", _CLIENT_ID, "3 to 100 letters, digits, dots, dashes or underscores")
    scopes = _read_scopes(fields, "openid" if "authorization_code" in grant_types else "")
    _read_security_level(fields)
    return Metadata(
        client_id=client_id,
        profile=fields.only("profile", frozenset({"baseline", "legacy"}), None),
        names=fields.names("client_name"),
        application_type=fields.only("application_type", frozenset({"web", "native"}), "web"),
        redirect_uris=redirect_uris,
        addresses=addresses,
        post_logout_redirect_uris=post_logout,
        backchannel_logout_uri=_find_address(fields, "backchannel_logout_uri"),
        method=fields.only("token_endpoint_auth_method", METHODS, None),
        assertion_alg=fields.find_only("token_endpoint_auth_signing_alg", ASSERTION_ALGS),
        keys=_read_keys(declared.get("jwks")),
        sector=_read_sector(declared, addresses, client_id),
        scopes=scopes,
        grant_types=grant_types,
        response_modes=fields.several("response_modes", RESPONSE_MODES, RESPONSE_MODES),
        minimum=_read_minimum(fields),
        default_acr_values=_read_acr_values(fields),
        default_max_age=fields.number("default_max_age"),
        id_token_alg=fields.only("id_token_signed_response_alg", SIGNING_ALGS, "ES256"),
        purposes=_read_purposes(declared.get("purposes", {}), scopes),
        may_introspect=fields.flag("may_introspect"),
        agency_code=fields.find_text("agency_code"),
        legacy_until=_read_until(fields.find_text("legacy_until")),
    )


# what the profile allows -------------------------------------------------------------------------------------------------------


def _read_secret(declared: Mapping[str, object], says: Metadata) -> str | None:
    secret = declared.get("client_secret")
    if secret is None:
        return None
    if says.method not in SECRET_METHODS:
        raise DeclarationRefused("client_secret", f"a client that authenticates with {says.method} has no secret")
    if not isinstance(secret, str) or _SECRET.fullmatch(secret) is None:
        raise DeclarationRefused("client_secret", "is 32 to 200 printable ASCII characters; leave it out to have one made")
    return secret


def _require_keys(says: Metadata) -> None:
    if says.method == "private_key_jwt":
        if says.keys is None:
            raise DeclarationRefused("jwks", "private_key_jwt needs the public keys of the client: in jwks, or with --jwks FILE")
        algs = {says.assertion_alg} if says.assertion_alg else frozenset(ASSERTION_ALGS)
        if not any(says.keys.fitting(alg, None) for alg in algs):
            raise DeclarationRefused("jwks", f"no key in it can sign with {', '.join(sorted(algs))}")
    elif says.assertion_alg is not None:
        raise DeclarationRefused("token_endpoint_auth_signing_alg", f"has no meaning with {says.method}")
    if says.application_type == "native" and says.method in SECRET_METHODS:
        raise DeclarationRefused("token_endpoint_auth_method", "a native application keeps no secret: use none or private_key_jwt")
    if says.may_introspect and says.method == "none":
        raise DeclarationRefused("may_introspect", "a client that does not authenticate may not introspect")


def _require_flow(says: Metadata) -> None:
    signs_in = "authorization_code" in says.grant_types
    if signs_in and not says.redirect_uris:
        raise DeclarationRefused("redirect_uris", "the code flow needs at least one")
    if not signs_in and says.redirect_uris:
        raise DeclarationRefused("redirect_uris", "have no use without the grant type authorization_code")
    if signs_in and "openid" not in says.scopes:
        raise DeclarationRefused("scope", "signing in needs openid")
    if "refresh_token" in says.grant_types and not signs_in:
        raise DeclarationRefused("grant_types", "refresh_token has no use without authorization_code")
    if "offline_access" in says.scopes and "refresh_token" not in says.grant_types:
        raise DeclarationRefused("grant_types", "the scope offline_access needs refresh_token")
    if "client_credentials" in says.grant_types and says.method == "none":
        raise DeclarationRefused("grant_types", "client_credentials needs a client that authenticates")


def _require_profile(says: Metadata, now: datetime) -> None:
    if says.profile == "legacy":
        if says.legacy_until is None:
            raise DeclarationRefused("legacy_until", "a legacy client has an end date")
        if says.legacy_until <= now:
            raise DeclarationRefused("legacy_until", "lies in the past: the client has to move to the baseline profile")
        if says.legacy_until > now + _LONGEST_LEGACY:
            raise DeclarationRefused("legacy_until", "lies more than two years ahead")
    elif says.legacy_until is not None:
        raise DeclarationRefused("legacy_until", f"has no meaning in the profile {says.profile}")


# single fields -----------------------------------------------------------------------------------------------------------------


def _read_address(name: str, value: object) -> Address:
    try:
        return read_uri(value)
    except UnsafeUri as refusal:
        raise DeclarationRefused(name, f"{quoted(value)}: {refusal.detail}") from None


def _find_address(fields: Fields, name: str) -> str | None:
    text = fields.find_text(name, longest=2000)
    if text is not None:
        _read_address(name, text)
    return text


def _read_redirect(name: str, value: object) -> Address:
    try:
        return read_redirect_uri(value)
    except UnsafeUri as refusal:
        raise DeclarationRefused(name, f"{quoted(value)}: {refusal.detail}") from None


def _read_keys(value: object) -> PublicKeys | None:
    """Return the keys of a JWK set, given as an object or (filled from the environment) as its JSON text."""
    if value is None:
        return None
    try:
        jwks = read_object(value.encode("utf-8", "surrogatepass")) if isinstance(value, str) else value
        if not isinstance(jwks, dict):
            raise DeclarationRefused("jwks", "is a JWK set")
        return PublicKeys.from_jwks(jwks)
    except UnfitKey as refusal:
        raise DeclarationRefused("jwks", refusal.detail) from None
    except Unacceptable:
        raise DeclarationRefused("jwks", "is not JSON") from None


def _read_sector(declared: Mapping[str, object], addresses: tuple[Address, ...], client_id: str) -> str:
    """Return the sector in which a person has one `sub` (OIDC Core §8.1): the one named, else the one host."""
    named = [name for name in ("sector", "sector_identifier") if declared.get(name) is not None]
    if len(named) > 1:
        raise DeclarationRefused("sector", "is the same as sector_identifier: give one of them")
    for name in named:
        try:
            return read_host(declared[name])
        except UnsafeUri as refusal:
            raise DeclarationRefused(name, refusal.detail) from None
    hosts = {address.host for address in addresses}
    if len(hosts) > 1:
        raise DeclarationRefused("sector", "redirect_uris name several hosts: say in whose name people are known")
    return hosts.pop() if hosts else f"client:{client_id}"


def _read_scopes(fields: Fields, default: str) -> frozenset[str]:
    text = fields.find_text("scope", longest=2000) or default
    scopes = text.split(" ") if text else []
    if any(_SCOPE.fullmatch(scope) is None for scope in scopes) or len(set(scopes)) != len(scopes):
        raise DeclarationRefused("scope", "is a list of different scopes with one space between two")
    return frozenset(scopes)


def _read_minimum(fields: Fields) -> LevelClass:
    text = fields.find_text("minimum_acr")
    if text is None:
        return _LOWEST
    found = LevelClass.find(text)
    if found is None or LevelClass(found.ial, found.aal) not in OFFERED:
        raise DeclarationRefused("minimum_acr", f"is one of {', '.join(each.acr for each in OFFERED)}")
    return found


def _read_acr_values(fields: Fields) -> tuple[LevelClass, ...]:
    classes = []
    for value in fields.texts("default_acr_values"):
        found = LevelClass.find(value)
        if found is None:
            raise DeclarationRefused("default_acr_values", f"{quoted(value)} is no class of assurance that is known here")
        classes.append(found)
    return tuple(classes)


def _read_purposes(value: object, scopes: frozenset[str]) -> dict[str, dict[str, str]]:
    if not isinstance(value, dict):
        raise DeclarationRefused("purposes", "is an object of a scope and its sentences")
    purposes: dict[str, dict[str, str]] = {}
    for scope, sentences in value.items():
        if scope not in scopes:
            raise DeclarationRefused("purposes", f"{quoted(scope)} is not in scope")
        if not isinstance(sentences, dict) or not {"vi", "en"} <= sentences.keys():
            raise DeclarationRefused("purposes", f"{scope}: needs a sentence in vi and in en")
        reader = Fields(sentences, within=f"purposes.{scope}")
        purposes[scope] = {locale: reader.text(locale, longest=300) for locale in sentences}
    return purposes


def _read_security_level(fields: Fields) -> None:
    level: Any = fields.number("security_level")
    if level is not None and level not in _SECURITY_LEVELS:
        raise DeclarationRefused("security_level", "a relying party is protected at level 3, 4 or 5")


def _read_until(text: str | None) -> datetime | None:
    """Return the instant at which a legacy client ends: the end of a day (UTC), or an instant with its offset."""
    if text is None:
        return None
    try:
        if len(text) == len("2027-12-31"):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
        until = datetime.fromisoformat(text)
        return until.astimezone(UTC) if until.tzinfo else _refuse_until()
    except (ValueError, OverflowError):
        return _refuse_until()


def _refuse_until() -> datetime:
    raise DeclarationRefused("legacy_until", "is a day such as 2027-12-31, or an instant with its offset")
