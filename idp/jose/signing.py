"""Signing on prepared ground: header bytes and key object are kept, so that one ES256 statement costs some fifty microseconds."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from joserfc.jws import JWSRegistry

from idp.kernel.digests import base64url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from idp.jose.keys import PrivateJwk

_JSON: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))

_HASH_OF: Final = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}


class Signer:
    """One private key, ready to sign."""

    def __init__(self, private: PrivateJwk) -> None:
        """Prepare `private`."""
        self.kid = private.kid
        self.alg = private.alg
        self._key: Any = private.key
        self._algorithm: Any = JWSRegistry.algorithms[private.alg]
        self._algorithm.check_key(private.key)
        self._heads: dict[str, str] = {}

    def sign(self, claims: Mapping[str, object], typ: str = "JWT") -> str:
        """Return `claims` as a compact JWS (RFC 7515 §7.1), members sorted, under a header of `alg`, `kid` and `typ`."""
        head = self._heads.get(typ) or self._prepare(typ)
        signing_input = head + base64url(_JSON.encode(claims).encode())
        signature: bytes = self._algorithm.sign(signing_input.encode("ascii"), self._key)
        return signing_input + "." + base64url(signature)

    def _prepare(self, typ: str) -> str:
        head = base64url(_JSON.encode({"alg": self.alg, "kid": self.kid, "typ": typ}).encode()) + "."
        self._heads[typ] = head
        return head

    def __repr__(self) -> str:
        return f"Signer({self.alg}, {self.kid})"


def half_hash(value: str, alg: str) -> str:
    """Return the left half of the hash of `value` that goes with `alg`: `at_hash` and its kin (OIDC Core §3.1.3.6)."""
    hashing = hashlib.sha512 if alg in {"EdDSA", "Ed25519"} else _HASH_OF[alg[-3:]]
    raw = hashing(value.encode("ascii")).digest()
    return base64url(raw[: len(raw) // 2])
