"""Bearer values and their digests. What a browser or client carries is 256 random bits; what is stored is SHA-256 of it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os


def digest(bearer: str) -> bytes:
    """Return what is stored for a bearer value: its SHA-256 (32 bytes). Any text is accepted and simply matches nothing."""
    return hashlib.sha256(bearer.encode("utf-8", "surrogatepass")).digest()


def new_bearer(prefix: str) -> str:
    """Return a fresh bearer value: a short recognisable prefix (so that leaks can be found) and 256 random bits."""
    return prefix + base64url(os.urandom(32))


def random_bytes(count: int) -> bytes:
    """Return `count` bytes from the operating system's generator."""
    return os.urandom(count)


def base64url(raw: bytes) -> str:
    """Return `raw` in base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def s256(verifier: str) -> str:
    """Return the S256 challenge of a PKCE verifier (RFC 7636 §4.2)."""
    return base64url(hashlib.sha256(verifier.encode("ascii")).digest())


def keyed(key: bytes, *parts: str) -> bytes:
    """Return HMAC-SHA256 over length-prefixed `parts`, so that no two different lists collide."""
    mac = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        mac.update(len(raw).to_bytes(4, "big") + raw)
    return mac.digest()


def same(left: bytes, right: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(left, right)
