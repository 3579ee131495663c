"""What a client may be: the same rules for the operator's `client add` and for dynamic registration (RFC 7591).

Nothing that a client says about itself is fetched: no logo, no policy, no software statement. Keys are sent inline
(`jwks`); a `jwks_uri` is taken only where the node's operator listed its host (`remote_keys.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, get_args

from careledger.access.scopes import SCOPE_TEXT_MAX_BYTES, SCOPES_MAX, parse_scope
from careledger.primitives.errors import Invalid
from careledger.smart.assertions import ALGORITHMS
from careledger.smart.clients import Client, IdTokenAlgorithm, Method, compute_secret_digest
from careledger.smart.errors import OAuthError
from careledger.smart.json import Unreadable, read_object
from careledger.smart.jwk import KEY_SET_BYTES_MAX, describe_key_set, read_key_set, read_keys
from careledger.smart.redirects import ADDRESSES_MAX, check_redirect
from careledger.smart.tables import new_id, new_secret

Choice = TypeVar("Choice", bound=str)

NAME_MAX: Final = 100
BODY_BYTES_MAX: Final = 65_536
GRANT_TYPES: Final = ("authorization_code", "refresh_token", "client_credentials")
METHODS: Final[tuple[Method, ...]] = get_args(Method)
ID_TOKEN_ALGORITHMS: Final[tuple[IdTokenAlgorithm, ...]] = get_args(IdTokenAlgorithm)

_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]{1,100}")
_FETCHED: Final = frozenset(
    ("software_statement", "request_uris", "sector_identifier_uri", "initiate_login_uri")
)
"""Metadata that would change what a client may do, and that this server does not take (RFC 7591, 2.3)."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A client as somebody wants it. `jwks` is a JWK set as JSON text, b"" for none."""

    name: str
    scope: str
    method: Method
    redirect_uris: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = ("authorization_code",)
    jwks: bytes = b""
    jwks_uri: str = ""
    dpop_bound: bool = False
    launch_uri: str = ""
    id_token_alg: IdTokenAlgorithm = "RS256"
    organisation: str = ""


def make_client(
    draft: Draft,
    now_ms: int,
    *,
    is_dynamic: bool = False,
    is_key_host: Callable[[str], bool] | None = None,
) -> tuple[Client, str]:
    """The client and its secret ("" unless its method is one with a secret), which is shown once and kept nowhere.

    `is_key_host` says which addresses of key sets the node fetches; None: no key set is fetched. Raises Invalid.
    """
    _check_words(draft)
    _check_redirects(draft)
    jwks = _check_keys(draft, is_key_host)
    secret = new_secret() if draft.method.startswith("client_secret_") else ""
    client = Client(
        id=new_id(),
        name=draft.name,
        method=draft.method,
        scope=" ".join(dict.fromkeys(draft.scope.split(" "))),
        redirect_uris=draft.redirect_uris,
        grant_types=draft.grant_types,
        jwks=jwks,
        jwks_uri=draft.jwks_uri,
        secret=compute_secret_digest(secret) if secret else b"",
        dpop_bound=draft.dpop_bound,
        created_ms=now_ms,
        launch_uri=draft.launch_uri,
        id_token_alg=draft.id_token_alg,
        registered_by="dynamic" if is_dynamic else "operator",
        organisation=draft.organisation,
    )
    return client, secret


def read_metadata(members: Mapping[str, Any]) -> Draft:
    """A dynamic registration request (RFC 7591, 2). Raises OAuthError; members not known here are left out, as 2 says.

    What strangers may not choose: another organisation, `client_credentials` and `system/` scopes (a machine is
    registered by an operator).
    """
    for name in _FETCHED & set(members):
        raise _refuse_metadata(f"{name} is not taken here")
    if "jwks" in members and "jwks_uri" in members:
        raise _refuse_metadata("jwks and jwks_uri exclude each other")
    grant_types = _read_texts(members, "grant_types", ("authorization_code",))
    scope = _read_text(members, "scope", "")
    if "client_credentials" in grant_types or any(one.startswith("system/") for one in scope.split(" ")):
        raise _refuse_metadata(
            "machines are registered by the operator: no client_credentials, no system/ scopes"
        )
    if any(one != "code" for one in _read_texts(members, "response_types", ("code",))):
        raise _refuse_metadata("the response_type is code")
    dpop_bound = members.get("dpop_bound_access_tokens", False)
    if not isinstance(dpop_bound, bool):
        raise _refuse_metadata("dpop_bound_access_tokens is true or false")
    return Draft(
        name=_read_text(members, "client_name", ""),
        scope=scope,
        method=_read_choice(members, "token_endpoint_auth_method", METHODS, "client_secret_basic"),
        redirect_uris=_read_texts(members, "redirect_uris", ()),
        grant_types=grant_types,
        jwks=_read_jwks(members),
        jwks_uri=_read_text(members, "jwks_uri", ""),
        dpop_bound=dpop_bound,
        launch_uri=_read_text(members, "launch_uri", ""),
        id_token_alg=_read_choice(members, "id_token_signed_response_alg", ID_TOKEN_ALGORITHMS, "RS256"),
    )


def register(
    members: Mapping[str, Any], now_ms: int, is_key_host: Callable[[str], bool] | None = None
) -> tuple[Client, str]:
    """The client that a dynamic registration asks for, and its secret. Raises OAuthError as RFC 7591, 3.2.2 says."""
    try:
        return make_client(read_metadata(members), now_ms, is_dynamic=True, is_key_host=is_key_host)
    except Invalid as error:
        kind = "invalid_redirect_uri" if error.code.startswith("redirect-") else "invalid_client_metadata"
        raise OAuthError(kind, error.message, hint=error.hint, code=error.code) from error


def register_body(
    body: bytes, now_ms: int, is_key_host: Callable[[str], bool] | None = None
) -> tuple[Client, str]:
    """`register` for the body of a request: one JSON object, no member twice, at most 64 KiB. Raises OAuthError."""
    try:
        members = read_object(body, BODY_BYTES_MAX)
    except Unreadable as error:
        raise _refuse_metadata(f"the body: {error}") from error
    return register(members, now_ms, is_key_host)


def describe_client(client: Client, secret: str) -> dict[str, Any]:
    """The answer to a registration (RFC 7591, 3.2.1): all of the metadata that counts."""
    answer: dict[str, Any] = {
        "client_id": client.id,
        "client_id_issued_at": client.created_ms // 1000,
        "client_name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "grant_types": list(client.grant_types),
        "response_types": ["code"] if "authorization_code" in client.grant_types else [],
        "token_endpoint_auth_method": client.method,
        "id_token_signed_response_alg": client.id_token_alg,
        "dpop_bound_access_tokens": client.dpop_bound,
        "scope": client.scope,
    }
    if secret:
        answer |= {"client_secret": secret, "client_secret_expires_at": 0}
    if client.jwks_uri:
        answer["jwks_uri"] = client.jwks_uri
    return answer


def _check_words(draft: Draft) -> None:
    if not _NAME.fullmatch(draft.name) or not draft.name.strip():
        raise Invalid(f"a client's name has 1 to {NAME_MAX} visible characters", code="client-name")
    _check_launch(draft.launch_uri)
    _check_scope(draft.scope)
    if draft.method not in METHODS or draft.id_token_alg not in ID_TOKEN_ALGORITHMS:
        raise Invalid("such a method or algorithm is not known", code="client-method")
    grants = draft.grant_types
    if not grants or len(set(grants)) != len(grants) or not set(grants) <= set(GRANT_TYPES):
        raise Invalid(f"grant types are {', '.join(GRANT_TYPES)}, each once", code="client-grants")
    if grants == ("refresh_token",) or ("client_credentials" in grants and len(grants) > 1):
        raise Invalid(
            "refresh_token goes with authorization_code, client_credentials with nothing else",
            hint="register two clients",
            code="client-grants",
        )
    if "client_credentials" in grants and draft.method != "private_key_jwt":
        # SMART App Launch 2.2, client-confidential-symmetric: not for backend services
        raise Invalid(
            "a machine proves itself with a key",
            hint="--jwks FILE with its public keys",
            code="client-method",
        )


def _check_scope(scope: str) -> None:
    """Every scope can be read; granular ones too. Raises Invalid."""
    if len(scope) > SCOPE_TEXT_MAX_BYTES or scope.count(" ") >= SCOPES_MAX:
        raise Invalid("too many scopes", code="scope-invalid", hint=f"at most {SCOPES_MAX} scopes, 4 kB")
    if not scope:
        raise Invalid(
            "no scope given", code="scope-invalid", hint="for example --scope 'openid patient/*.rs'"
        )
    for one in scope.split(" "):
        parse_scope(one)


def _check_launch(address: str) -> None:
    """As strict as a redirect address: the launcher's page names its origin in its policy."""
    if not address:
        return
    try:
        check_redirect(address, is_public=False)
    except Invalid as error:
        raise Invalid(
            f"a launch address is https, or http on this machine: {error.message}",
            hint="for example https://app.example/launch",
            code="client-launch",
        ) from error


def _check_redirects(draft: Draft) -> None:
    addresses = draft.redirect_uris
    if len(addresses) > ADDRESSES_MAX or len(set(addresses)) != len(addresses):
        raise Invalid(f"at most {ADDRESSES_MAX} redirect addresses, each once", code="redirect-count")
    if bool(addresses) != ("authorization_code" in draft.grant_types):
        raise Invalid(
            "clients of the authorization code need a redirect address, others have none",
            code="redirect-count",
        )
    for address in addresses:
        check_redirect(address, is_public=draft.method == "none")


def _check_keys(draft: Draft, is_key_host: Callable[[str], bool] | None) -> bytes:
    """The keys as they are kept. A client has keys exactly if it signs with them."""
    if bool(draft.jwks or draft.jwks_uri) != (draft.method == "private_key_jwt") or (
        draft.jwks and draft.jwks_uri
    ):
        raise Invalid(
            "private_key_jwt needs a key set, other methods have none",
            hint="send jwks, a JWK set with public keys for RS384, ES384 or ES256",
            code="client-keys",
        )
    if draft.jwks_uri and (is_key_host is None or not is_key_host(draft.jwks_uri)):
        raise Invalid(
            "this node does not fetch key sets from there",
            hint="send the key set itself as jwks, or ask the operator to list the host",
            code="client-jwks-uri",
        )
    if not draft.jwks:
        return b""
    try:
        return describe_key_set(read_key_set(draft.jwks, ALGORITHMS))
    except Unreadable as error:
        raise Invalid(
            f"the key set: {error}", hint="public keys only, each with kid", code="client-keys"
        ) from error


def _read_jwks(members: Mapping[str, Any]) -> bytes:
    if "jwks" not in members:
        return b""
    try:
        if not isinstance(members["jwks"], dict):
            raise Unreadable("it is no JSON object")
        return describe_key_set(read_keys(members["jwks"], ALGORITHMS))
    except Unreadable as error:
        raise _refuse_metadata(f"the key set: {error}") from error


def _read_text(members: Mapping[str, Any], name: str, otherwise: str) -> str:
    value = members.get(name, otherwise)
    if not isinstance(value, str) or len(value) > KEY_SET_BYTES_MAX:
        raise _refuse_metadata(f"{name} is no text")
    return value


def _read_texts(members: Mapping[str, Any], name: str, otherwise: Sequence[str]) -> tuple[str, ...]:
    value = members.get(name, list(otherwise))
    if (
        not isinstance(value, list)
        or len(value) > ADDRESSES_MAX
        or not all(isinstance(one, str) for one in value)
    ):
        raise _refuse_metadata(f"{name} is no list of at most {ADDRESSES_MAX} texts")
    return tuple(value)


def _read_choice(
    members: Mapping[str, Any], name: str, choices: Sequence[Choice], otherwise: Choice
) -> Choice:
    value = members.get(name, otherwise)
    for one in choices:
        if one == value:
            return one
    raise _refuse_metadata(f"{name} is one of {', '.join(choices)}")


def _refuse_metadata(description: str) -> OAuthError:
    return OAuthError(
        "invalid_client_metadata",
        description,
        hint="RFC 7591, 2: client_name, scope, redirect_uris, token_endpoint_auth_method, jwks",
    )
