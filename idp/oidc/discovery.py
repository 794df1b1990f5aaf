"""Metadata (OIDC Discovery 1.0 §3, RFC 8414). Law 5: everything advertised is exercised by a test, everything wired is advertised."""

from __future__ import annotations

import json
from typing import Final

from idp.assurance.levels import OFFERED
from idp.clients.model import ASSERTION_ALGS, GRANT_TYPES, METHODS, RESPONSE_MODES
from idp.keys.model import SIGNING_ALGS
from idp.oidc.claims import CLAIMS_OF_SCOPE, TRUTH_CLAIMS
from idp.oidc.request import PROMPTS

PATHS: Final = {
    "authorization_endpoint": "/authorize",
    "token_endpoint": "/token",
    "userinfo_endpoint": "/userinfo",
    "jwks_uri": "/jwks",
    "introspection_endpoint": "/introspect",
    "revocation_endpoint": "/revoke",
    "end_session_endpoint": "/logout",
}
"""Where each endpoint lives below the issuer."""


DISCOVERY: Final = "/.well-known/openid-configuration"
"""Where this document itself lives (OIDC Discovery §4)."""


def metadata(issuer: str) -> dict[str, object]:
    """Return the provider's metadata document."""
    confidential = [method for method in METHODS if method != "none"]
    return {
        "issuer": issuer,
        **{name: issuer + path for name, path in PATHS.items()},
        "scopes_supported": list(CLAIMS_OF_SCOPE),
        "response_types_supported": ["code"],
        "response_modes_supported": list(RESPONSE_MODES),
        "grant_types_supported": list(GRANT_TYPES),
        "acr_values_supported": [level.acr for level in OFFERED],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": list(SIGNING_ALGS),
        "token_endpoint_auth_methods_supported": list(METHODS),
        "token_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGS),
        "introspection_endpoint_auth_methods_supported": confidential,
        "introspection_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGS),
        "revocation_endpoint_auth_methods_supported": list(METHODS),
        "revocation_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGS),
        "display_values_supported": ["page"],
        "claim_types_supported": ["normal"],
        "claims_supported": [*TRUTH_CLAIMS, *dict.fromkeys(claim for claims in CLAIMS_OF_SCOPE.values() for claim in claims)],
        "claims_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "ui_locales_supported": ["vi", "en"],
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": sorted(PROMPTS),
        "authorization_response_iss_parameter_supported": True,
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
    }


def document(issuer: str) -> bytes:
    """Return the metadata as it is served."""
    return json.dumps(metadata(issuer), ensure_ascii=False, indent=1).encode()
