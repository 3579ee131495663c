"""What browsers let programs of other origins do here (CORS), as headers."""

from __future__ import annotations

PREFLIGHT = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-headers", b"authorization, content-type, dpop"),
    (b"access-control-max-age", b"600"),
)
"""For paths that read no cookie."""
FHIR_PREFLIGHT = (
    (
        b"access-control-allow-headers",
        b"authorization, content-type, dpop, if-match, if-none-match, if-modified-since, if-none-exist, prefer, x-request-id",
    ),
    (b"access-control-max-age", b"600"),
)
READABLE = (
    (b"access-control-allow-origin", b"*"),
    (
        b"access-control-expose-headers",
        b"content-location, dpop-nonce, etag, last-modified, location, retry-after, www-authenticate, x-request-id",
    ),
)
"""FHIR is for programs in browsers of other origins too (SMART App Launch 2.2): a cookie says nothing there, a token all."""
