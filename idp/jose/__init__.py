"""Signed statements: the only room that knows joserfc.

Owns how a compact JWS is signed, and how one that a stranger sent is read: algorithm, key and claims are always judged together,
so that nobody can forget one of them. Knows nothing of where keys come from, nor of what a statement is used for.
"""

from __future__ import annotations

from idp.jose.keys import PrivateJwk, PublicKeys, UnfitKey, new_private_key
from idp.jose.reading import Unacceptable, depth_of, peek_claims, read_finite, read_object, require_storable
from idp.jose.signing import Signer, half_hash
from idp.jose.verification import Expected, verify

__all__ = [
    "Expected",
    "PrivateJwk",
    "PublicKeys",
    "Signer",
    "Unacceptable",
    "UnfitKey",
    "depth_of",
    "half_hash",
    "new_private_key",
    "peek_claims",
    "read_finite",
    "read_object",
    "require_storable",
    "verify",
]
