"""Checks the ID tokens that were kept during a measurement, by signature and by content, once it is over."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from joserfc import jwt
from joserfc.jwk import KeySet

from tests.bench.wire import Answer, Conversation, Request, converse_once

if TYPE_CHECKING:
    from tests.bench.operations import Load, SampledIdToken


class WrongIdTokenError(Exception):
    """An ID token does not verify."""


def fetch_keys(load: Load) -> KeySet:
    """Return the public keys at the subject's `jwks_uri`."""

    def ask() -> Conversation[Answer]:
        return (yield Request("GET", load.endpoints.keys))

    return KeySet.import_key_set(json.loads(converse_once(load.origin, ask()).body))


def verify_sample(load: Load) -> int:
    """Verify every kept ID token (OpenID Connect Core 1.0 section 3.1.3.7), forget them, return how many there were."""
    keys = fetch_keys(load)
    count = len(load.sample)
    verify(load.sample, keys, issuer=load.service.issuer, audience=load.service.client.client_id)
    load.sample.clear()
    return count


def verify(sample: Iterable[SampledIdToken], keys: KeySet, *, issuer: str, audience: str) -> None:
    """Raise `WrongIdTokenError` for the first that is not an ES256 token of this issuer, for this client and sign-in."""
    for kept in sample:
        claims = jwt.decode(kept.value, keys, algorithms=["ES256"]).claims
        now = time.time()
        wrong = [
            name
            for name, holds in (
                ("iss", claims.get("iss") == issuer),
                ("aud", claims.get("aud") in (audience, [audience])),
                ("sub", claims.get("sub") == kept.sub),
                ("nonce", kept.nonce is None or claims.get("nonce") == kept.nonce),
                ("iat", isinstance(claims.get("iat"), int) and claims["iat"] <= now + 2),
                ("exp", isinstance(claims.get("exp"), int) and claims["exp"] > claims.get("iat", 0)),
            )
            if not holds
        ]
        if wrong:
            message = f"an ID token with a wrong {', '.join(wrong)}: {claims}"
            raise WrongIdTokenError(message)
