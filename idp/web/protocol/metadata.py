"""Discovery and JWKS: bytes in memory, an ETag, no database (OIDC Discovery 1.0 §4)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from idp.oidc.discovery import document
from idp.web.door import Answer, Request
from idp.web.protocol.answers import ANY_ORIGIN, JSON

if TYPE_CHECKING:
    from idp.keys.service import KeyRing

_CACHED: Final = ("Cache-Control", "public, max-age=300, stale-if-error=86400")


class Metadata:
    """The two documents that everybody may read."""

    def __init__(self, issuer: str, keys: KeyRing) -> None:
        self._document = document(issuer)
        self._etag = '"' + hashlib.sha256(self._document).hexdigest()[:32] + '"'
        self._keys = keys

    def discovery(self, request: Request) -> Answer:
        """Answer with the provider's metadata."""
        return _cacheable(request, self._document, self._etag)

    def jwks(self, request: Request) -> Answer:
        """Answer with the public keys: staged, signing and verifying."""
        published = self._keys.published()
        return _cacheable(request, published.body, published.etag)


def _cacheable(request: Request, body: bytes, etag: str) -> Answer:
    headers = (*JSON, *ANY_ORIGIN, _CACHED, ("ETag", etag))
    seen = request.headers.get("if-none-match")
    if seen is not None and (seen.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in seen.split(",")]):
        return Answer(304, headers)
    return Answer(200, headers, body)
