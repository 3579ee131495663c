"""Each client in its one way, once a request; whatever fails looks the same from outside."""

from __future__ import annotations

import base64
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careledger.primitives.errors import Unavailable
from careledger.smart.assertions import ASSERTION_TYPE
from careledger.smart.authentication import Authenticator
from careledger.smart.clients import add_client, disable_client
from careledger.smart.errors import STATUS, OAuthError
from careledger.smart.registration import Draft, make_client
from careledger.smart.remote_keys import Fetched, RemoteKeys
from tests.smart.client_support import Clinic, carried
from tests.smart.forging import AUDIENCES, NOW_MS, ec_key, jwk, run


@pytest.fixture
def clinic():
    return Clinic()


def basic(id, secret):
    return b"Basic " + base64.b64encode(f"{id}:{secret}".encode())


def test_each_client_in_its_own_way(clinic):
    assert clinic.authenticate({}, basic(clinic.basic.id, clinic.basic_secret)) == clinic.basic
    named = {"client_id": clinic.basic.id}
    assert clinic.authenticate(named, basic(clinic.basic.id, clinic.basic_secret)) == clinic.basic
    posted = {"client_id": clinic.post.id, "client_secret": clinic.post_secret}
    assert clinic.authenticate(posted) == clinic.post
    assert clinic.authenticate({"client_id": clinic.public.id}) == clinic.public
    assert clinic.authenticate(carried(clinic.assertion(), client_id=clinic.machine.id)) == clinic.machine


def credentials(clinic, id, secret="not the secret"):
    """All ways in which somebody could try to be the client `id`: parameters and header."""
    return {
        "none": ({"client_id": id}, None),
        "client_secret_post": ({"client_id": id, "client_secret": secret}, None),
        "client_secret_basic": ({}, basic(id, secret)),
        "private_key_jwt": (carried(clinic.assertion(iss=id, sub=id)), None),
    }


def test_no_client_is_taken_in_another_way_than_its_own(clinic):
    """Downgrade: also with the right secret, and with a good signature."""
    for client, secret in (
        (clinic.machine, ""),
        (clinic.basic, clinic.basic_secret),
        (clinic.post, clinic.post_secret),
        (clinic.public, ""),
    ):
        for method, (parameters, header) in credentials(clinic, client.id, secret).items():
            if method != client.method:
                assert clinic.refusal(parameters, header).code == "client-method", (client.method, method)


def test_what_fails_cannot_be_told_apart(clinic):
    """Unknown, disabled, wrong secret, foreign key, other method: one answer a way of trying."""
    gone, _ = clinic.add(name="Gone", method="client_secret_basic")
    gone_machine, _ = clinic.add(
        name="Gone too", method="private_key_jwt", grant_types=("client_credentials",), jwks=clinic.jwks
    )
    stranger = json.dumps({"keys": [jwk(ec_key("mallory"), kid="e")]}).encode()
    foreign, _ = clinic.add(
        name="Foreign", method="private_key_jwt", grant_types=("client_credentials",), jwks=stranger
    )
    for id in (gone.id, gone_machine.id):
        run(disable_client(clinic.registry, id))
    seen = {}
    for id in ("nobody", gone.id, gone_machine.id, foreign.id, clinic.basic.id, clinic.post.id):
        for method, (parameters, header) in credentials(clinic, id).items():
            refusal = clinic.refusal(parameters, header)
            told = (refusal.error, refusal.status, refusal.description, refusal.hint)
            assert seen.setdefault(method, told) == told
    assert {told[0] for told in seen.values()} == {"invalid_client"}
    assert {method for method, told in seen.items() if told[1] == 401} == {"client_secret_basic"}


MIXED = list(itertools.combinations(("header", "client_secret", "client_assertion"), 2))


@pytest.mark.parametrize("first, second", MIXED)
def test_two_ways_at_once_are_refused(clinic, first, second):
    """Also if each of them is right."""
    good = {
        "header": ({}, basic(clinic.basic.id, clinic.basic_secret)),
        "client_secret": ({"client_id": clinic.post.id, "client_secret": clinic.post_secret}, None),
        "client_assertion": (carried(clinic.assertion()), None),
    }
    parameters = good[first][0] | good[second][0]
    refusal = clinic.refusal(parameters, good[first][1] or good[second][1])
    assert (refusal.error, refusal.code) == ("invalid_request", "client-credentials")


@pytest.mark.parametrize(
    "change",
    [
        {"client_assertion_type": "not_an_assertion_type"},  # Inferno: ..._invalid_client_assertion
        {"client_assertion_type": ""},
        {"client_assertion_type": ASSERTION_TYPE.upper()},
        {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
        {"client_assertion_type": None},
        {"client_assertion": None},
        {"client_assertion": ""},
        {"client_id": "somebody else"},
        {"client_id": ""},
    ],
    ids=str,
)
def test_half_an_assertion_is_refused(clinic, change):
    """`smart_backend_services_invalid_client_assertion` answers 400."""
    given = {**carried(clinic.assertion()), **change}
    refusal = clinic.refusal({name: value for name, value in given.items() if value is not None})
    assert (refusal.error, refusal.status) == ("invalid_request", 400)


def encoded(text):
    return b"Basic " + base64.b64encode(text if isinstance(text, bytes) else text.encode())


REFUSED_HEADERS = {
    "empty": lambda c: b"",
    "Basic alone": lambda c: b"Basic",
    "Basic with nothing": lambda c: b"Basic ",
    "Bearer": lambda c: b"Bearer " + c.basic_secret.encode(),
    "no base64": lambda c: b"Basic ***",
    "no padding": lambda c: basic(c.basic.id, c.basic_secret + "=").rstrip(b"="),
    "no colon": lambda c: encoded(c.basic.id + c.basic_secret),
    "no id": lambda c: encoded(f":{c.basic_secret}"),
    "no secret": lambda c: encoded(f"{c.basic.id}:"),
    "a space before": lambda c: b"Basic  " + basic(c.basic.id, c.basic_secret)[6:],
    "a line break": lambda c: basic(c.basic.id, c.basic_secret) + b"\n",
    "no UTF-8": lambda c: encoded(b"\xff:\xff"),
    "long": lambda c: encoded("a" * 2000),
    "wrong secret": lambda c: basic(c.basic.id, "x" * 43),
    "secret of another": lambda c: basic(c.basic.id, c.post_secret),
    "secret in another case": lambda c: basic(c.basic.id, c.basic_secret.swapcase()),
    "secret with more": lambda c: basic(c.basic.id, c.basic_secret + "x"),
    "secret cut": lambda c: basic(c.basic.id, c.basic_secret[:-1]),
    "the kept digest": lambda c: basic(c.basic.id, c.basic.secret.hex()),
    "the id of a client without secret": lambda c: basic(c.public.id, ""),
    "id in another case": lambda c: basic(c.basic.id.swapcase(), c.basic_secret),
    "id with a NUL": lambda c: basic(c.basic.id + "\0", c.basic_secret),
}


@pytest.mark.parametrize("name", REFUSED_HEADERS)
def test_a_header_that_proves_nothing_is_refused(clinic, name):
    refusal = clinic.refusal({}, REFUSED_HEADERS[name](clinic))
    assert (refusal.error, refusal.status) == ("invalid_client", 401)


def test_a_body_that_names_somebody_else_is_refused(clinic):
    header = basic(clinic.basic.id, clinic.basic_secret)
    assert clinic.refusal({"client_id": clinic.public.id}, header).error == "invalid_request"
    assert clinic.refusal({"client_id": ""}, header).error == "invalid_request"
    assert clinic.refusal({}).error == "invalid_request"
    assert clinic.refusal({"client_id": ""}).error == "invalid_request"
    for secret in ("", "x" * 43, clinic.basic_secret, clinic.post.secret.hex()):
        refusal = clinic.refusal({"client_id": clinic.post.id, "client_secret": secret})
        assert (refusal.error, refusal.status) == ("invalid_client", 400)


def test_credentials_may_be_form_encoded_in_the_header(clinic):
    """RFC 6749, 2.3.1."""
    id = "".join(f"%{byte:02X}" for byte in clinic.basic.id.encode())
    assert clinic.authenticate({}, basic(id, clinic.basic_secret)) == clinic.basic


def test_a_disabled_client_is_gone_at_once(clinic):
    text = clinic.assertion()
    run(disable_client(clinic.registry, clinic.machine.id))
    assert clinic.refusal(carried(text)).code == "client-unknown"


def test_secrets_are_not_kept(clinic):
    for _, entry in clinic.registry.list("client"):
        assert clinic.basic_secret.encode() not in entry.value
        assert clinic.post_secret.encode() not in entry.value
    assert clinic.basic_secret not in repr(clinic.basic)


@given(
    st.binary(max_size=80),
    st.dictionaries(st.sampled_from(["client_id", "client_secret"]), st.text(max_size=9)),
)
def test_any_header_and_body_are_refused_as_such(header, parameters):
    for authorization in (None, header, b"Basic " + header, b"Basic " + base64.b64encode(header)):
        with pytest.raises(OAuthError):
            CLINIC.authenticate(parameters, authorization)


CLINIC = Clinic()


class Publisher:
    """A client's server: what it answers, and how often it was asked."""

    def __init__(self, body: bytes, max_age_s: int) -> None:
        self.body, self.max_age_s, self.asked = body, max_age_s, 0

    async def fetch(self, address: str) -> Fetched:
        self.asked += 1
        if not self.body:
            raise Unavailable("no answer", hint="later")
        return Fetched(self.body, self.max_age_s)


ADDRESS = "https://keys.example/machine/jwks.json"


@pytest.fixture
def published(clinic):
    """A client whose keys are fetched from a listed host."""
    publisher = Publisher(clinic.jwks, 60)
    remote = RemoteKeys(publisher, ("keys.example",))
    clinic.authenticator = Authenticator(clinic.registry, AUDIENCES, remote)
    draft = Draft(
        name="Fetched",
        scope="system/*.rs",
        method="private_key_jwt",
        grant_types=("client_credentials",),
        jwks_uri=ADDRESS,
    )
    client, _ = make_client(draft, NOW_MS, is_key_host=remote.is_listed)
    run(add_client(clinic.registry, client))
    clinic.machine = client
    return publisher


def test_published_keys_are_kept_no_longer_than_their_header_allows(clinic, published):
    """ONC (g)(10) attestation: does not cache a JWKS for longer than its Cache-Control."""
    for seconds, asked in ((0, 1), (59, 1), (60, 2), (119, 2), (120, 3)):
        clinic.clock.now_ms = NOW_MS + seconds * 1000
        assert clinic.authenticate(carried(clinic.assertion())) == clinic.machine
        assert published.asked == asked
    published.max_age_s = 0
    clinic.clock.now_ms = NOW_MS + 180_000
    for _ in range(3):
        clinic.authenticate(carried(clinic.assertion()))
    assert published.asked == 6
    published.max_age_s = 10**9
    clinic.authenticate(carried(clinic.assertion()))
    clinic.clock.now_ms += 299_999 - 180_000
    clinic.authenticate(carried(clinic.assertion()))
    assert published.asked == 7


def test_rotated_keys_count_and_replaced_ones_do_not(clinic, published):
    clinic.authenticate(carried(clinic.assertion()))
    published.body = json.dumps({"keys": [jwk(ec_key("next"), kid="e")]}).encode()
    clinic.clock.now_ms += 60_000
    assert clinic.refusal(carried(clinic.assertion())).code == "assertion-signature"


def test_a_publisher_that_fails_is_left_alone_for_a_while(clinic, published):
    for body in (b"", b"no keys", json.dumps({"keys": [{**jwk(ec_key()), "d": "AA"}]}).encode()):
        published.body = body
        clinic.clock.now_ms += 60_000
        asked = published.asked
        for _ in range(5):
            assert clinic.refusal(carried(clinic.assertion())).code == "assertion-key"
        assert published.asked == asked + 1


def test_the_one_jku_that_counts_is_the_registered_address(clinic, published):
    assert clinic.authenticate(carried(clinic.assertion({"jku": ADDRESS}))) == clinic.machine
    for jku in (
        ADDRESS + "?",
        ADDRESS.upper(),
        "https://keys.example/other",
        "https://attacker.example/jwks.json",
    ):
        assert clinic.refusal(carried(clinic.assertion({"jku": jku}))).code == "assertion-jku"


def test_a_host_that_is_no_longer_listed_is_not_asked(clinic, published):
    clinic.authenticator = Authenticator(clinic.registry, AUDIENCES, RemoteKeys(published, ()))
    assert clinic.refusal(carried(clinic.assertion())).code == "assertion-key"
    clinic.authenticator = Authenticator(clinic.registry, AUDIENCES)
    assert clinic.refusal(carried(clinic.assertion())).code == "assertion-key"
    assert published.asked == 0


def test_every_error_has_a_status_and_a_printable_description():
    for error, status in STATUS.items():
        refusal = OAuthError(error, 'a "quote", a \\ and an é')
        assert (refusal.status, refusal.description) == (status, "a 'quote', a ' and an '")
        assert 400 <= status < 600
