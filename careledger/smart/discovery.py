"""What programs are told of this server before they ask for anything: SMART configuration and OAuth metadata.

SMART App Launch 2.2, "Conformance"; RFC 8414; OpenID Connect Discovery 1.0. Only what is true of this server stands
here: a test compares it with the routes and the code. The answer hangs on the configuration alone, so it is made once.
"""

from __future__ import annotations

from typing import Any, Final

from careledger.smart.assertions import ALGORITHMS as ASSERTION_ALGORITHMS
from careledger.smart.dpop import ALGORITHMS as DPOP_ALGORITHMS
from careledger.smart.issuing import GRANT_TYPES

CAPABILITIES: Final = (
    "launch-ehr", "launch-standalone", "authorize-post",
    "client-public", "client-confidential-symmetric", "client-confidential-asymmetric",
    "sso-openid-connect",
    "context-banner", "context-style", "context-ehr-patient", "context-ehr-encounter", "context-standalone-patient",
    "permission-offline", "permission-online", "permission-patient", "permission-user", "permission-v1", "permission-v2",
)  # fmt: skip
SCOPES: Final = (
    "openid", "profile", "fhirUser", "launch", "launch/patient", "launch/encounter", "offline_access", "online_access",
    "patient/*.cruds", "user/*.cruds", "system/*.cruds",
    "patient/*.read", "patient/*.write", "user/*.read", "user/*.write",
)  # fmt: skip
END_POINTS: Final = ("authorize", "token", "par", "introspect", "revoke", "register", "jwks", "userinfo")
CLIENT_METHODS: Final = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
ID_TOKEN_ALGORITHMS: Final = ("RS256", "ES256", "ES384")


def describe(base: str, public_url: str, *, registration: bool) -> dict[str, Any]:
    """The document at `[base]/.well-known/smart-configuration`, which serves OAuth and OpenID metadata alike."""
    at = {name: f"{public_url}/oauth/{name}" for name in END_POINTS}
    found: dict[str, Any] = {
        "issuer": base,
        "jwks_uri": at["jwks"],
        "authorization_endpoint": at["authorize"],
        "token_endpoint": at["token"],
        "pushed_authorization_request_endpoint": at["par"],
        "introspection_endpoint": at["introspect"],
        "revocation_endpoint": at["revoke"],
        "userinfo_endpoint": at["userinfo"],
        "management_endpoint": f"{public_url}/me",
        "grant_types_supported": list(GRANT_TYPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "scopes_supported": list(SCOPES),
        "capabilities": list(CAPABILITIES),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": list(CLIENT_METHODS),
        "token_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "introspection_endpoint_auth_methods_supported": list(CLIENT_METHODS[1:]),
        "introspection_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "revocation_endpoint_auth_methods_supported": list(CLIENT_METHODS),
        "revocation_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "dpop_signing_alg_values_supported": list(DPOP_ALGORITHMS),
        "authorization_response_iss_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(ID_TOKEN_ALGORITHMS),
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "fhirUser"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "ui_locales_supported": ["en", "es"],
    }  # fmt: skip
    if registration:
        found["registration_endpoint"] = at["register"]
    return found
