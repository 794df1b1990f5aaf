"""Keys as JSON Web Keys (RFC 7517): which public ones are accepted from a client, and how private ones are made.

Owns the strength rules (ASVS 11.2.3; RFC 8725 §3.4, §3.5). A private key never appears in a representation, a refusal or a log.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from math import isqrt
from typing import TYPE_CHECKING, Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from idp.jose.reading import Unacceptable, decode
from idp.kernel.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

Key = ECKey | OKPKey | RSAKey

SMALLEST_CLIENT_RSA: Final = 2048
SMALLEST_OWN_RSA: Final = 3072
_LARGEST_RSA: Final = 8192
_MOST_KEYS: Final = 16
_LONGEST_KID: Final = 256

ALGORITHMS_OF: Final[Mapping[str, frozenset[str]]] = {
    "P-256": frozenset({"ES256"}),
    "P-384": frozenset({"ES384"}),
    "P-521": frozenset({"ES512"}),
    "Ed25519": frozenset({"EdDSA", "Ed25519"}),
    "RSA": frozenset({"RS256", "PS256", "PS384", "PS512"}),
}
"""Which algorithms a key can be used with, by its curve, or by its type for RSA. No symmetric ones anywhere."""

_PUBLIC_MEMBERS: Final = {
    "EC": frozenset({"crv", "x", "y"}),
    "OKP": frozenset({"crv", "x"}),
    "RSA": frozenset({"n", "e"}),
}
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_FIELD_25519: Final = 2**255 - 19
_SMALL_ORDER: Final = frozenset(
    {
        0,
        1,
        _FIELD_25519 - 1,
        int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"),
        int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"),
    }
)
"""The y coordinates of the points of order 1, 2, 4 and 8: a signature of theirs verifies for more than one message."""


class UnfitKey(Refusal):
    """A key cannot be registered or used; the detail says why and may be shown to whoever registers it."""

    code = "jose.unfit_key"


@dataclass(frozen=True, slots=True)
class _PublicKey:
    kid: str | None
    algs: frozenset[str]
    key: Key


class PublicKeys:
    """Public keys, parsed once, among which `verify` looks for the fitting one."""

    def __init__(self, keys: tuple[_PublicKey, ...]) -> None:
        """Made by `from_jwks`."""
        self._keys = keys

    @classmethod
    def from_jwks(cls, jwks: Mapping[str, object], *, smallest_rsa: int = SMALLEST_CLIENT_RSA) -> PublicKeys:
        """Return the keys of a JWK set (RFC 7517 §5).

        Raises:
            UnfitKey: the set is malformed, or a key in it is private, symmetric, weak, not for signing, or shares its `kid`.
        """
        members = jwks.get("keys") if hasattr(jwks, "get") else None
        if not isinstance(members, list) or not members:
            raise UnfitKey("a JWK set is an object whose member keys is a list of at least one key")
        if len(members) > _MOST_KEYS:
            raise UnfitKey(f"a JWK set of more than {_MOST_KEYS} keys")
        keys = tuple(_read(member, smallest_rsa) for member in members)
        kids = [each.kid for each in keys if each.kid is not None]
        if len(kids) != len(set(kids)):
            raise UnfitKey("two keys have the same kid")
        return cls(keys)

    def fitting(self, alg: str, kid: str | None) -> tuple[Key, ...]:
        """Return the keys that may have signed with `alg` under `kid`: those of that `kid`, else those that have none.

        Without a `kid` every key that fits `alg` may have (RFC 7515 §4.1.4: it is a hint).
        """
        able = [each for each in self._keys if alg in each.algs]
        if kid is not None:
            named = [each for each in able if each.kid == kid]
            able = named or [each for each in able if each.kid is None]
        return tuple(each.key for each in able)

    def to_jwks(self) -> dict[str, object]:
        """Return the keys as a JWK set, public members only."""
        return {"keys": [dict(each.key.as_dict(private=False)) for each in self._keys]}

    @property
    def kids(self) -> tuple[str, ...]:
        """The `kid` of every key that has one."""
        return tuple(each.kid for each in self._keys if each.kid is not None)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"PublicKeys({', '.join(self.kids)})"


@dataclass(frozen=True, slots=True)
class PrivateJwk:
    """A private signing key of our own. Its representation shows the `kid` and the algorithm only."""

    kid: str
    alg: str
    key: Key = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: bytes) -> PrivateJwk:
        """Return the key that `to_json` wrote.

        Raises:
            UnfitKey: it is no private key of ours, or not the one its `kid` (its thumbprint, RFC 7638) names.
        """
        try:
            members: dict[str, Any] = json.loads(raw)
            kid, alg, kind = members["kid"], members["alg"], members["kty"]
            key: Key = ECKey.import_key(members) if kind == "EC" else RSAKey.import_key(members)
            fits = key.is_private and key.thumbprint() == kid and alg in ALGORITHMS_OF[_family(key)]
        except (JoseError, ValueError, KeyError, TypeError):
            raise UnfitKey("a stored private key cannot be read") from None
        if not fits:
            raise UnfitKey("a stored private key is not the one its kid names")
        return cls(kid, alg, key)

    def to_json(self) -> bytes:
        """Return the private key as JSON: to be wrapped at once, never written as it is."""
        return json.dumps(self.key.as_dict(private=True), sort_keys=True, separators=(",", ":")).encode()

    @property
    def public(self) -> dict[str, object]:
        """The public half as a JWK, with `kid`, `alg` and `use`."""
        return dict(self.key.as_dict(private=False))


def new_private_key(alg: str) -> PrivateJwk:
    """Return a fresh private key for `alg`: ES256 (P-256) or RS256 (3072 bits). Its `kid` is its thumbprint (RFC 7638).

    None begins with a hyphen: operators name keys on the command line.
    """
    while (made := _draw(alg)).kid.startswith("-"):
        continue
    return made


def _draw(alg: str) -> PrivateJwk:
    key: Key
    if alg == "ES256":
        key = ECKey.generate_key("P-256", {"use": "sig", "alg": alg}, private=True)
    elif alg == "RS256":
        key = RSAKey.generate_key(SMALLEST_OWN_RSA, {"use": "sig", "alg": alg}, private=True)
    else:
        raise UnfitKey(f"no key of ours is made for {alg!r}")
    key.ensure_kid()
    return PrivateJwk(key.thumbprint(), alg, key)


def _read(member: object, smallest_rsa: int) -> _PublicKey:
    if not isinstance(member, dict):
        raise UnfitKey("a key is not a JSON object")
    kind = member.get("kty")
    if not isinstance(kind, str) or kind not in _PUBLIC_MEMBERS:
        raise UnfitKey("kty is not EC, OKP or RSA; a symmetric key is never registered")
    if _PRIVATE & member.keys():
        raise UnfitKey("a private key was given: register the public half only, and make a new key, since this one was disclosed")
    kid, alg = _read_use(member)
    key = _import(kind, member, smallest_rsa)
    algs = ALGORITHMS_OF.get(_family(key))
    if algs is None:
        raise UnfitKey("crv is not P-256, P-384, P-521 or Ed25519")
    _require_strength(key, member)
    if alg is not None:
        if alg not in algs:
            raise UnfitKey("alg does not fit the key")
        algs = frozenset({alg})
    return _PublicKey(kid, algs, key)


def _read_use(member: Mapping[str, Any]) -> tuple[str | None, str | None]:
    kid, alg = member.get("kid"), member.get("alg")
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= _LONGEST_KID):
        raise UnfitKey(f"kid is not a text of 1 to {_LONGEST_KID} characters")
    if alg is not None and not isinstance(alg, str):
        raise UnfitKey("alg is not a text")
    if member.get("use", "sig") != "sig":
        raise UnfitKey("use is not sig: this key is not for signing")
    if member.get("key_ops", ["verify"]) != ["verify"]:
        raise UnfitKey('key_ops is not ["verify"]')
    return kid, alg


def _import(kind: str, member: Mapping[str, Any], smallest_rsa: int) -> Key:
    wanted = _PUBLIC_MEMBERS[kind]
    if not all(isinstance(member.get(name), str) for name in wanted):
        raise UnfitKey(f"a key of type {kind} needs the texts {', '.join(sorted(wanted))}")
    kept: dict[str, Any] = {name: member[name] for name in wanted}
    kept |= {name: member[name] for name in ("kty", "kid", "alg") if name in member} | {"use": "sig"}
    try:
        for name in wanted - {"crv"}:
            decode(member[name])
        if kind == "EC":
            return ECKey.import_key(kept)
        if kind == "OKP":
            return OKPKey.import_key(kept)
        size = int.from_bytes(decode(member["n"]), "big").bit_length()
        if not smallest_rsa <= size <= _LARGEST_RSA:
            raise UnfitKey(f"an RSA key of {size} bits; between {smallest_rsa} and {_LARGEST_RSA} are accepted")
        return RSAKey.import_key(kept)
    except (Unacceptable, JoseError, ValueError, KeyError, TypeError, OverflowError):
        raise UnfitKey(f"the members of a key of type {kind} are no point or number of such a key") from None


def _family(key: Key) -> str:
    return "RSA" if isinstance(key, RSAKey) else key.curve_name


def _require_strength(key: Key, member: Mapping[str, Any]) -> None:
    if isinstance(key, RSAKey):
        numbers = key.public_key.public_numbers()
        if not (65537 <= numbers.e < 2**64 and numbers.e & 1):  # noqa: PLR2004 - odd and above 2^16 (FIPS 186-5 §A.1.1)
            raise UnfitKey("the public exponent of an RSA key is not an odd number of at least 65537")
        if numbers.n % 2 == 0 or _is_of_close_primes(numbers.n):
            raise UnfitKey("the modulus of an RSA key is easily factored")
    elif isinstance(key, OKPKey):
        y = int.from_bytes(decode(member["x"]), "little") & (2**255 - 1)
        if y >= _FIELD_25519 or y in _SMALL_ORDER:
            raise UnfitKey("x is not a point of full order on Ed25519")


def _is_of_close_primes(modulus: int, tries: int = 100) -> bool:
    """Tell whether Fermat's method factors `modulus` within `tries` steps (as it did keys made by a faulty library)."""
    root = isqrt(modulus)
    root += root * root < modulus
    for _ in range(tries):
        rest = root * root - modulus
        if isqrt(rest) ** 2 == rest:
            return True
        root += 1
    return False
