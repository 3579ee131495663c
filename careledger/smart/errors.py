"""What the authorisation server refuses, as OAuth spells it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from careledger.primitives.errors import CareLedgerError

STATUS: Final[Mapping[str, int]] = MappingProxyType(
    {
        # RFC 6749, 4.1.2.1 and 5.2
        "invalid_request": 400,
        "invalid_client": 400,
        "invalid_grant": 400,
        "invalid_scope": 400,
        "unauthorized_client": 400,
        "unsupported_grant_type": 400,
        "unsupported_response_type": 400,
        "access_denied": 400,
        "server_error": 500,
        "temporarily_unavailable": 503,
        # RFC 6750, 3.1; RFC 7009, 2.2.1; RFC 7591, 3.2.2
        "invalid_token": 401,
        "insufficient_scope": 403,
        "unsupported_token_type": 400,
        "invalid_redirect_uri": 400,
        "invalid_client_metadata": 400,
        # RFC 9449, 5, 7.1 and 8
        "invalid_dpop_proof": 400,
        "use_dpop_nonce": 400,
        # OpenID Connect Core, 3.1.2.6
        "login_required": 400,
        "consent_required": 400,
        "interaction_required": 400,
        "account_selection_required": 400,
        "request_not_supported": 400,
        "request_uri_not_supported": 400,
        "registration_not_supported": 400,
    }
)
"""Every error code that this server answers with, and its usual status."""

_NOT_PRINTABLE = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")


class OAuthError(CareLedgerError):
    """A refusal with its RFC 6749 `error`, an `error_description` and an HTTP status.

    Clients get `error` and `description`; `code` is the exact rule, for logs and tests: of failed client
    authentication it says more than the client may know. `status` 0 is the usual one of the error.
    """

    code = "oauth"

    def __init__(
        self, error: str, description: str, *, hint: str = "", status: int = 0, code: str | None = None
    ) -> None:
        super().__init__(description, hint=hint, code=code or error.replace("_", "-"))
        self.error = error
        self.description = _NOT_PRINTABLE.sub("'", description)  # RFC 6749, 5.2: no quotes or backslashes
        self.status = status or STATUS[error]
