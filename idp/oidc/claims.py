"""Which claims a scope or the `claims` parameter asks for (OIDC Core §5.4, §5.5), and how attributes become claims."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from idp.assurance.levels import LevelClass
from idp.jose import Unacceptable, depth_of, read_object
from idp.keys.sealed import PERSON_ADDRESS, PERSON_EMAIL, PERSON_NUMBER, PERSON_PHONE

if TYPE_CHECKING:
    from idp.kernel.sealing import Sealer
    from idp.keys.model import SealedColumn

CLAIMS_OF_SCOPE: Final[Mapping[str, tuple[str, ...]]] = {
    "openid": (),
    "profile": ("name", "birthdate", "gender", "locale", "zoneinfo", "updated_at"),
    "email": ("email", "email_verified"),
    "phone": ("phone_number", "phone_number_verified"),
    "address": ("address",),
    "identity": ("personal_number", "person_type", "nationality"),
    "offline_access": (),
}
"""Every scope that is offered, and the claims it stands for. `identity` is ours: the verified core of Decree 69/2024."""

ATTRIBUTE_CLAIMS: Final = frozenset(claim for claims in CLAIMS_OF_SCOPE.values() for claim in claims)
TRUTH_CLAIMS: Final = ("sub", "ial", "aal", "acr", "amr", "auth_time", "sid")
"""What every ID token says of the sign-in itself."""

_DEEPEST: Final = 5
_MOST_MEMBERS: Final = 50


@dataclass(frozen=True, slots=True)
class ClaimsRequest:
    """The `claims` parameter, as far as it is understood: what it names for either place, and what it says of `acr` and `sub`."""

    userinfo: frozenset[str] = frozenset()
    id_token: frozenset[str] = frozenset()
    essential_classes: tuple[LevelClass, ...] = ()
    voluntary_classes: tuple[LevelClass, ...] = ()
    sub: str | None = None

    def within(self, scopes: Iterable[str]) -> ClaimsRequest:
        """Return the request for what these scopes stand for: what a client may not ask by scope, it may not ask by name (§5.5)."""
        allowed = frozenset(claim for scope in scopes for claim in CLAIMS_OF_SCOPE.get(scope, ()))
        return replace(self, userinfo=self.userinfo & allowed, id_token=self.id_token & allowed)

    def names_beyond(self, scopes: Sequence[str]) -> frozenset[str]:
        """Return the attribute claims that no scope of the request covers: consent has to name them one by one."""
        covered = {claim for scope in scopes for claim in CLAIMS_OF_SCOPE.get(scope, ())}
        return (self.userinfo | self.id_token) - covered

    def stored(self) -> dict[str, object] | None:
        """Return what is kept with the family, or None when it asks for no attribute."""
        if not (self.userinfo or self.id_token):
            return None
        return {"userinfo": sorted(self.userinfo), "id_token": sorted(self.id_token)}


def read_claims_request(text: str) -> ClaimsRequest:
    """Return the `claims` parameter. Unknown claims and members are ignored, as §5.5 asks.

    Raises:
        ValueError: it is no such object, or larger or deeper than anybody needs.
    """
    if depth_of(text) > _DEEPEST:
        raise ValueError("nested too deeply")
    read = _object(text)
    places: dict[str, frozenset[str]] = {}
    essential: list[LevelClass] = []
    voluntary: list[LevelClass] = []
    subs: set[str] = set()
    for place in ("userinfo", "id_token"):
        members = read.get(place)
        if members is None:
            continue
        if not isinstance(members, dict) or len(members) > _MOST_MEMBERS:
            raise ValueError(place)
        places[place] = frozenset(members) & ATTRIBUTE_CLAIMS
        for name, said in members.items():
            wanted = _wanted(name, said)
            if name == "acr" and place == "id_token":
                (essential if wanted.get("essential") is True else voluntary).extend(_classes(wanted))
            if name == "sub":
                subs.update(_values(name, wanted))
    if len(subs) > 1:
        raise ValueError("nobody is two")
    in_userinfo, in_id_token = (places.get(place, frozenset()) for place in ("userinfo", "id_token"))
    return ClaimsRequest(in_userinfo, in_id_token, tuple(essential), tuple(voluntary), next(iter(subs), None))


def _wanted(name: str, said: object) -> Mapping[str, Any]:
    """Return what is said of one claim; null, that nothing is (§5.5.1)."""
    if said is None:
        return {}
    if isinstance(said, dict) and isinstance(said.get("essential", False), bool):
        return said
    raise ValueError(name)


def _object(text: str) -> Mapping[str, Any]:
    try:
        return read_object(text.encode())
    except Unacceptable as refusal:
        raise ValueError(refusal.detail) from None


def _classes(wanted: Mapping[str, Any]) -> list[LevelClass]:
    values = _values("acr", wanted)
    found = [level for level in map(LevelClass.find, values) if level]
    if wanted.get("essential") is True and values and not found:
        # Essential, and nothing in it that could ever be met: the highest class, which nobody reaches, says so to the end.
        return [LevelClass(2, 4)]
    return found


def _values(name: str, wanted: Mapping[str, Any]) -> list[str]:
    """Return what a claim is wanted to be: by `value` or by `values`, texts each; what says neither wants it whatever it is."""
    if "values" not in wanted:
        values = [wanted["value"]] if "value" in wanted else []
    elif "value" in wanted or not wanted["values"]:
        raise ValueError(name)
    else:
        values = wanted["values"]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(name)
    return values


@dataclass(frozen=True, slots=True)
class Attributes:
    """A person's attributes as claims, opened one by one as they are asked for."""

    row: Any
    sealer: Sealer = field(repr=False)
    zone: str

    def claims(self, names: frozenset[str] | set[str]) -> dict[str, object]:
        """Return the claims of `names` that are known of this person; what is not known is left out (§5.3.2)."""
        claims = {}
        for name in sorted(names):
            value = _READERS[name](self)
            if value is not None:
                claims[name] = value
        return claims

    def open(self, column: SealedColumn, row_id: object) -> str | None:
        """Return a sealed attribute, or None when there is none."""
        sealed = getattr(self.row, column.column)
        return None if sealed is None else self.sealer.open(bytes(sealed), column.place(row_id)).decode()


def _seconds(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp())


def _verified(channel: str, at: str) -> Callable[[Attributes], bool | None]:
    return lambda a: None if getattr(a.row, channel) is None else getattr(a.row, at) is not None


def _address(attributes: Attributes) -> dict[str, str] | None:
    formatted = attributes.open(PERSON_ADDRESS, attributes.row.holder_id)
    return None if formatted is None else {"formatted": formatted}


_READERS: Final[Mapping[str, Callable[[Attributes], object]]] = {
    "name": lambda a: a.row.full_name,
    "birthdate": lambda a: a.row.birth_date.isoformat(),
    "gender": lambda a: a.row.sex,
    "locale": lambda a: a.row.locale,
    "zoneinfo": lambda a: a.zone,
    "updated_at": lambda a: _seconds(a.row.updated_at),
    "email": lambda a: a.open(PERSON_EMAIL, a.row.holder_id),
    "email_verified": _verified("email_sealed", "email_verified_at"),
    "phone_number": lambda a: a.open(PERSON_PHONE, a.row.holder_id),
    "phone_number_verified": _verified("phone_sealed", "phone_verified_at"),
    "address": _address,
    "personal_number": lambda a: a.open(PERSON_NUMBER, a.row.number_id),
    "person_type": lambda a: a.row.person_type,
    "nationality": lambda a: a.row.nationality,
}
