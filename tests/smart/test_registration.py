"""What a client may be, from an operator and from a stranger (RFC 7591): nothing is fetched, nothing is widened (F8)."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careledger.primitives.errors import Invalid, NotFound
from careledger.smart.clients import add_client, disable_client, find_client, get_client, list_clients
from careledger.smart.errors import OAuthError
from careledger.smart.registration import Draft, describe_client, make_client, register, register_body
from careledger.smart.remote_keys import Fetched, RemoteKeys
from careledger.vault.registry import RegistryMoved
from tests.smart.forging import NOW_MS, Clock, ec_key, jwk, rsa_key, run
from tests.smart.registry import MemoryRegistry

JWKS = {"keys": [jwk(rsa_key(), kid="r"), jwk(ec_key(), kid="e")]}
APP = Draft("Growth charts", "openid fhirUser patient/*.rs", "none", ("https://app.example/callback",))
MACHINE = Draft(
    "Nightly export",
    "system/*.rs",
    "private_key_jwt",
    grant_types=("client_credentials",),
    jwks=json.dumps(JWKS).encode(),
)
REQUEST = {
    "client_name": "Growth charts",
    "redirect_uris": ["https://app.example/callback"],
    "scope": "openid fhirUser patient/*.rs",
    "token_endpoint_auth_method": "none",
}


def test_an_operators_app_and_machine():
    app, secret = make_client(APP, NOW_MS)
    assert (app.is_public, secret, app.secret, app.jwks) == (True, "", b"", b"")
    machine, secret = make_client(MACHINE, NOW_MS)
    assert (machine.is_public, secret, machine.redirect_uris) == (False, "", ())
    assert json.loads(machine.jwks)["keys"][0]["kid"] == "r"
    assert len({make_client(APP, NOW_MS)[0].id for _ in range(50)}) == 50


def test_a_secret_is_told_once():
    client, secret = make_client(dataclasses.replace(APP, method="client_secret_basic"), NOW_MS)
    assert len(secret) == 43
    assert secret.encode() not in client.secret
    assert describe_client(client, secret)["client_secret"] == secret
    assert "client_secret" not in describe_client(client, "")


REFUSED_DRAFTS = {
    "no name": {"name": ""},
    "a blank name": {"name": "   "},
    "a long name": {"name": "n" * 101},
    "a name with a line break": {"name": "Growth\ncharts"},
    "a name that turns the text": {"name": "Growth \u202estrahc"},
    "a name with what cannot be seen": {"name": "Growth\u200bcharts"},
    "no scope": {"scope": ""},
    "a scope that is none": {"scope": "admin"},
    "scopes with two spaces": {"scope": "openid  fhirUser"},
    "200 scopes": {"scope": " ".join(["openid"] * 200)},
    "a long scope": {"scope": "openid " * 1000},
    "no redirect address": {"redirect_uris": ()},
    "21 redirect addresses": {"redirect_uris": tuple(f"https://app.example/{n}" for n in range(21))},
    "an address twice": {"redirect_uris": ("https://app.example/a", "https://app.example/a")},
    "a wrong address among good ones": {"redirect_uris": ("https://app.example/a", "http://app.example/b")},
    "no grant type": {"grant_types": ()},
    "implicit": {"grant_types": ("implicit",)},
    "password": {"grant_types": ("authorization_code", "password")},
    "device code": {"grant_types": ("urn:ietf:params:oauth:grant-type:device_code",)},
    "a grant type twice": {"grant_types": ("authorization_code", "authorization_code")},
    "refresh alone": {"grant_types": ("refresh_token",), "redirect_uris": ()},
    "both kinds of grants": {"grant_types": ("authorization_code", "client_credentials")},
    "a public machine": {"grant_types": ("client_credentials",), "redirect_uris": ()},
    "a machine with a secret": {
        "grant_types": ("client_credentials",),
        "redirect_uris": (),
        "method": "client_secret_basic",
    },
    "a machine with a redirect address": {
        "grant_types": ("client_credentials",),
        "method": "private_key_jwt",
        "jwks": MACHINE.jwks,
    },
    "an unknown method": {"method": "client_secret_jwt"},
    "tls": {"method": "tls_client_auth"},
    "keys without signing": {"jwks": MACHINE.jwks},
    "signing without keys": {"method": "private_key_jwt"},
    "keys in two ways": {
        "method": "private_key_jwt",
        "jwks": MACHINE.jwks,
        "jwks_uri": "https://keys.example/jwks",
    },
    "keys from an address": {"method": "private_key_jwt", "jwks_uri": "https://keys.example/jwks"},
    "private keys": {
        "method": "private_key_jwt",
        "jwks": json.dumps({"keys": [{**JWKS["keys"][1], "d": "AA"}]}).encode(),
    },
    "no key in the set": {"method": "private_key_jwt", "jwks": b'{"keys":[]}'},
    "a symmetric key": {
        "method": "private_key_jwt",
        "jwks": b'{"keys":[{"kty":"oct","kid":"k","k":"AAAA"}]}',
    },
    "an unknown algorithm": {"id_token_alg": "none"},
    "ID tokens by HS256": {"id_token_alg": "HS256"},
    "a launch address over http": {"launch_uri": "http://app.example/launch"},
    "a launch address that is a script": {"launch_uri": "javascript:alert(1)"},
    "a launch address elsewhere": {"launch_uri": "http://localhost.attacker.example/launch"},
    "a launch address that adds to a page's policy": {"launch_uri": "https://app.example;script-src/launch"},
    "a launch address of any host": {"launch_uri": "https://*/launch"},
}


@pytest.mark.parametrize("name", REFUSED_DRAFTS)
def test_what_a_client_may_not_be(name):
    with pytest.raises(Invalid) as refused:
        make_client(dataclasses.replace(APP, **REFUSED_DRAFTS[name]), NOW_MS)
    assert refused.value.code != "invalid"


REFUSED_REQUESTS = {
    "software statement": {"software_statement": "eyJ"},
    "request addresses": {"request_uris": ["https://attacker.example/request"]},
    "sector identifier": {"sector_identifier_uri": "https://attacker.example/sector"},
    "initiated login": {"initiate_login_uri": "https://attacker.example/login"},
    "keys from inside (SSRF)": {
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks_uri": "http://169.254.169.254/",
    },
    "keys from an unlisted host": {
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks_uri": "https://attacker.example/jwks.json",
    },
    "keys in two ways": {"jwks": JWKS, "jwks_uri": "https://keys.example/jwks"},
    "keys as text": {"token_endpoint_auth_method": "private_key_jwt", "jwks": json.dumps(JWKS)},
    "keys a list": {"token_endpoint_auth_method": "private_key_jwt", "jwks": JWKS["keys"]},
    "private keys": {
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [{**JWKS["keys"][1], "d": "AA"}]},
    },
    "a machine": {
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": JWKS,
        "redirect_uris": [],
    },
    "a scope of machines": {"scope": "openid system/*.rs"},
    "a scope of machines among others": {"scope": "patient/*.rs system/Patient.r"},
    "implicit": {"grant_types": ["implicit"], "response_types": ["token"]},
    "hybrid": {"response_types": ["code id_token"]},
    "ID tokens unsigned": {"id_token_signed_response_alg": "none"},
    "ID tokens by HS256": {"id_token_signed_response_alg": "HS256"},
    "a method that is not agreed": {"token_endpoint_auth_method": "client_secret_jwt"},
    "a method that is a list": {"token_endpoint_auth_method": ["none"]},
    "a name that is a list": {"client_name": ["Growth charts"]},
    "no name": {"client_name": None},
    "grant types a text": {"grant_types": "authorization_code"},
    "scope a list": {"scope": ["openid"]},
    "DPoP a text": {"dpop_bound_access_tokens": "false"},
    "no scope": {"scope": ""},
}
REFUSED_ADDRESSES = {
    "a script": {"redirect_uris": ["javascript:alert(1)"]},
    "plain http": {"redirect_uris": ["http://app.example/callback"]},
    "a fragment": {"redirect_uris": ["https://app.example/callback#x"]},
    "a wildcard": {"redirect_uris": ["https://*.example/callback"]},
    "none": {"redirect_uris": []},
    "an app's own scheme with a secret": {
        "redirect_uris": ["com.example.app:/callback"],
        "token_endpoint_auth_method": "client_secret_basic",
    },
}


@pytest.mark.parametrize("name", REFUSED_REQUESTS)
def test_a_strangers_request_that_is_refused(name):
    with pytest.raises(OAuthError) as refused:
        register(REQUEST | REFUSED_REQUESTS[name], NOW_MS)
    assert (refused.value.error, refused.value.status) == ("invalid_client_metadata", 400)


@pytest.mark.parametrize("name", REFUSED_ADDRESSES)
def test_a_strangers_address_that_is_refused(name):
    with pytest.raises(OAuthError) as refused:
        register(REQUEST | REFUSED_ADDRESSES[name], NOW_MS)
    assert refused.value.error == "invalid_redirect_uri"


def test_a_strangers_client_is_what_the_answer_says():
    """Logos, policies and contacts are neither fetched nor kept; another organisation cannot be named."""
    extra = {
        "logo_uri": "http://169.254.169.254/latest/meta-data",
        "policy_uri": "file:///etc/passwd",
        "tos_uri": "https://app.example/terms",
        "contacts": ["ada@example.org"],
        "organisation": "did:careledger:other",
        "registered_by": "operator",
        "client_id": "chosen",
        "id": "chosen",
    }
    client, secret = register(REQUEST | extra, NOW_MS)
    answer = describe_client(client, secret)
    assert (client.registered_by, client.organisation, secret) == ("dynamic", "", "")
    assert answer["client_id"] == client.id != "chosen"
    assert not set(extra) - {"client_id"} & set(answer)
    assert answer["redirect_uris"] == REQUEST["redirect_uris"]
    assert answer["token_endpoint_auth_method"] == "none"


def test_a_stranger_gets_a_secret_unless_another_method_is_named():
    """RFC 7591, 2: client_secret_basic is the default."""
    client, secret = register({name: value for name, value in REQUEST.items() if "auth" not in name}, NOW_MS)
    assert (client.method, len(secret)) == ("client_secret_basic", 43)
    assert describe_client(client, secret)["client_secret_expires_at"] == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"client_name=x",
        b'{"client_name":"a","client_name":"b"}',
        b"{" * 70_000,
        b"\xff",
        b" " * 70_000,
    ],
    ids=lambda body: body[:20],
)
def test_a_body_that_has_two_readings_or_none(body):
    with pytest.raises(OAuthError) as refused:
        register_body(body, NOW_MS)
    assert refused.value.error == "invalid_client_metadata"


def test_a_body_is_read_as_it_stands():
    client, _ = register_body(json.dumps(REQUEST).encode(), NOW_MS)
    assert client.name == REQUEST["client_name"]


def test_strangers_do_not_fill_the_registry(monkeypatch):
    """The operator's clients do not count and are not kept out; a disabled one makes room."""
    monkeypatch.setattr("careledger.smart.clients.STRANGERS_MAX", 3)
    registry = MemoryRegistry(Clock())
    run(add_client(registry, make_client(APP, NOW_MS)[0]))
    strangers = [register(REQUEST, NOW_MS)[0] for _ in range(4)]
    for client in strangers[:3]:
        run(add_client(registry, client))
    with pytest.raises(OAuthError) as refused:
        run(add_client(registry, strangers[3]))
    assert (refused.value.error, refused.value.status) == ("temporarily_unavailable", 503)
    run(add_client(registry, make_client(APP, NOW_MS)[0]))
    run(disable_client(registry, strangers[0].id))
    run(add_client(registry, strangers[3]))


class NoFetcher:
    """Nothing is fetched while something is registered."""

    async def fetch(self, address: str) -> Fetched:
        raise AssertionError("fetched")


LISTED = RemoteKeys(NoFetcher(), ("keys.example", "keys.example:8443"))


@pytest.mark.parametrize("address", ["https://keys.example/jwks.json", "https://keys.example:8443/a/b/jwks"])
def test_keys_from_a_listed_host(address):
    draft = dataclasses.replace(MACHINE, jwks=b"", jwks_uri=address)
    client, _ = make_client(draft, NOW_MS, is_key_host=LISTED.is_listed)
    assert (client.jwks_uri, client.jwks) == (address, b"")
    assert describe_client(client, "")["jwks_uri"] == address


@pytest.mark.parametrize(
    "address",
    [
        "http://keys.example/jwks.json",
        "https://keys.example",
        "https://keys.example:443/jwks.json",
        "https://keys.example:8080/jwks.json",
        "https://KEYS.example/jwks.json",
        "https://keys.example./jwks.json",
        "https://keys.example.attacker.example/jwks.json",
        "https://attacker.example/keys.example/jwks.json",
        "https://keys.example@attacker.example/jwks.json",
        "https://attacker.example\\@keys.example/jwks.json",
        "https://keys.example/../admin",
        "https://keys.example/.well-known",
        "https://keys.example/jwks.json?next=http://127.0.0.1",
        "https://keys.example/jwks.json#x",
        "https://keys.example/%2e%2e/admin",
        "https://127.0.0.1/jwks.json",
        "https://[::1]/jwks.json",
        "https://localhost/jwks.json",
        "https://169.254.169.254/latest",
        "file:///etc/passwd",
        "gopher://keys.example/1",
        " https://keys.example/jwks.json",
        "https://keys.example/jwks.json\n",
        "",
    ],
)
def test_keys_from_anywhere_else(address):
    assert not LISTED.is_listed(address)
    assert run(LISTED.get(address, NOW_MS)) == ()


def test_clients_are_kept_listed_and_disabled():
    registry = MemoryRegistry(Clock())
    first, _ = make_client(APP, NOW_MS)
    second, _ = make_client(MACHINE, NOW_MS + 1)
    run(add_client(registry, second))
    run(add_client(registry, first))
    with pytest.raises(RegistryMoved):
        run(add_client(registry, first))
    assert list_clients(registry) == [first, second]
    assert find_client(registry, first.id) == first
    for id in ("", "nobody", first.id + "\0", first.id[:-1], "\ud800", "x" * 1000):
        assert find_client(registry, id) is None
    run(disable_client(registry, first.id))
    assert run(disable_client(registry, first.id)).is_disabled
    assert find_client(registry, first.id) is None
    assert get_client(registry, first.id).value.is_disabled
    with pytest.raises(NotFound):
        run(disable_client(registry, "nobody"))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.just("https://app.example/callback"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from([*REQUEST, "grant_types", "jwks", "jwks_uri", "response_types", "launch_uri"]), VALUES
    )
)
def test_any_request_makes_a_client_or_a_refusal(changes):
    try:
        client, _ = register(REQUEST | changes, NOW_MS)
    except OAuthError:
        return
    assert client.registered_by == "dynamic"
    assert "system/" not in client.scope
