"""The client as the protocol asks it, its refusals and its events."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Final, Literal, get_args
from uuid import UUID

from idp.audit.model import Event
from idp.clients.uris import is_loopback_twin
from idp.kernel.digests import digest, same
from idp.kernel.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from idp.assurance.levels import LevelClass
    from idp.jose import PublicKeys

Profile = Literal["baseline", "legacy"]
Method = Literal["private_key_jwt", "client_secret_basic", "client_secret_post", "none"]

METHODS: Final[tuple[Method, ...]] = get_args(Method)
SECRET_METHODS: Final = frozenset({"client_secret_basic", "client_secret_post"})
GRANT_TYPES: Final = ("authorization_code", "refresh_token", "client_credentials")
RESPONSE_MODES: Final = ("query", "form_post")
ASSERTION_ALGS: Final = ("ES256", "ES384", "ES512", "PS256", "EdDSA", "Ed25519", "RS256")
"""What a client may register, and so what is advertised."""

DEFAULT_LOCALE: Final = "vi"


class ClientUnknown(Refusal):
    """No client has this id: idp clients list prints them all."""

    code = "clients.unknown"


class SecretNotUsed(Refusal):
    """A client that authenticates without a secret has none to rotate: import its new keys instead."""

    code = "clients.secret_not_used"


class DeclarationRefused(Refusal):
    """A declaration holds what the client's profile forbids, or what nobody understands.

    `position` is that of the declaration among those that were to be imported together; None where it is not one of them.
    """

    code = "clients.declaration_refused"

    def __init__(self, field: str, reason: str, position: int | None = None) -> None:
        """Refuse `field` (a name of the declaration) for `reason` (a sentence for the portal team)."""
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
        self.position = position


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A relying party, everything parsed once. Where something is issued, its life is joined in SQL too."""

    id: UUID
    client_id: str
    profile: Profile
    names: Mapping[str, str]
    """Registered name by locale; the empty locale is the untagged `client_name`."""
    application_type: Literal["web", "native"]
    redirect_uris: frozenset[str]
    origin: str
    """Of the first redirect URI, for the band that says who asks; empty for a client without one."""
    post_logout_redirect_uris: frozenset[str]
    backchannel_logout_uri: str | None
    token_endpoint_auth_method: Method
    token_endpoint_auth_signing_alg: str | None
    secret_digest: bytes | None = field(repr=False)
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
    """Why the client wants a scope: scope to locale to sentence."""
    may_introspect: bool
    """Whether it may ask about access tokens of other clients; every confidential client may about its own."""
    expires_at: datetime | None
    """The end of a legacy client; None for one without an end."""
    disabled_at: datetime | None
    disabled_reason: str | None
    updated_at: datetime
    metadata: Mapping[str, object]
    """The declaration as stored: RFC 7591 names, no secret."""

    def name(self, locale: str = DEFAULT_LOCALE) -> str:
        """Return the registered name in `locale`, or the untagged one."""
        return self.names.get(locale) or self.names[""]

    def is_redirect_uri(self, uri: str) -> bool:
        """Whether answers may go to `uri`: exactly a registered one; for a native application on loopback another port too."""
        if uri in self.redirect_uris:
            return True
        return self.application_type == "native" and is_loopback_twin(uri, self.redirect_uris)

    def is_secret(self, presented: str) -> bool:
        """Whether `presented` is this client's secret; a client without one has none, not an empty one. Constant time."""
        return bool(presented) and self.secret_digest is not None and same(digest(presented), self.secret_digest)

    @property
    def requires_pkce(self) -> bool:
        """Whether an authorization request without a challenge is refused."""
        return self.profile != "legacy"

    @property
    def is_confidential(self) -> bool:
        """Whether it authenticates at all."""
        return self.token_endpoint_auth_method != "none"  # noqa: S105 - a method, no secret

    def is_dead(self, now: datetime) -> bool:
        """Whether it was disabled when it was loaded, or is past the end of a legacy client: nothing is done in its name."""
        return self.disabled_at is not None or (self.expires_at is not None and now >= self.expires_at)


@dataclass(frozen=True, slots=True)
class Change:
    """What an import did to one client."""

    client_id: str
    what: Literal["added", "changed", "unchanged"]
    fields: tuple[str, ...] = ()
    """Names of the declaration whose value changed."""
    new_secret: str | None = field(default=None, repr=False)
    """A secret made now: shown once, stored as a digest only."""
    shares_sector_with: tuple[str, ...] = ()
    """Other clients at which people have the same `sub` as at this new one (OIDC Core §8.1)."""


# events ------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClientAdded(Event):
    """A client was registered."""

    kind: ClassVar[str] = "clients.added"
    client: str
    profile: str
    method: str


@dataclass(frozen=True, slots=True)
class ClientChanged(Event):
    """The declaration of a client changed in these fields."""

    kind: ClassVar[str] = "clients.changed"
    client: str
    fields: frozenset[str]


@dataclass(frozen=True, slots=True)
class ClientDisabled(Event):
    """A client was disabled; with `grants_ended`, nothing issued before counts even after it is enabled again."""

    kind: ClassVar[str] = "clients.disabled"
    client: str
    reason: str
    grants_ended: bool


@dataclass(frozen=True, slots=True)
class ClientEnabled(Event):
    """A disabled client was enabled again."""

    kind: ClassVar[str] = "clients.enabled"
    client: str


@dataclass(frozen=True, slots=True)
class ClientLookedUp(Event):
    """An operator had the declaration of a client shown to them; without `client`, the list of all."""

    kind: ClassVar[str] = "clients.looked_up"
    client: str | None


@dataclass(frozen=True, slots=True)
class ClientSecretRotated(Event):
    """A client got a new secret; the old one is dead."""

    kind: ClassVar[str] = "clients.secret_rotated"
    client: str
