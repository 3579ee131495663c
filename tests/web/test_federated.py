"""Sign-in at the organisation's own provider, over real HTTP: what opens a session, and over 90 answers that open none (F3)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from careledger.node.provider import ANSWER_PATH, ProviderFetcher
from careledger.primitives.errors import Conflict, Invalid, NotFound
from careledger.smart.accounts import list_accounts
from careledger.smart.administering import disabling
from careledger.smart.credentials import PasskeyRefused
from careledger.smart.federation import BEGUN
from careledger.smart.forgetting import forget_patient
from careledger.smart.links import LINKS, link, link_key, list_links, unlink
from careledger.smart.passkeys import PASSKEYS, begin_sign_in, finish_sign_in, list_passkeys
from careledger.smart.provider import KEPT_MS, Provider, check_issuer, origin_of
from careledger.smart.sessions import SESSIONS, STEP_UP_MS
from careledger.web.smart.federated import ANSWER, START, Federated
from careledger.web.smart.people import routes
from careledger.web.smart.screens import guard
from careledger.web.smart.words import WORDS
from tests.smart.authenticator import Authenticator
from tests.smart.people_support import PARTY, run
from tests.smart.provider_support import (
    CLIENT,
    MFA,
    SECRET,
    SUBJECT,
    Lies,
    Organisation,
    dripping,
    encode,
    key_of,
    keys,
    public,
    redirecting,
    send,
    sign,
    weak_key,
)
from tests.web.people_support import BELA, CHEN, ROSA, Browser, House

SHORT_S = 0.5
EVIL = "http://evil.example"


@pytest.fixture(scope="module")
def standing():
    """One provider for all; its clock is that of the house in the test."""
    now = {"ms": lambda: 0}
    organisation = Organisation(lambda: now["ms"]())
    organisation.clock = now
    yield organisation
    organisation.close()


@pytest.fixture
def organisation(standing):
    standing.lies, standing.algorithm, standing.kid = Lies(), "RS256", "k1"
    standing.asked, standing.codes = [], {}
    return standing


@pytest.fixture
def house(organisation):
    house = House()
    house.people = replace(house.people, has_provider=True)
    organisation.clock["ms"] = lambda: house.registry.now_ms
    house.provider = make_provider(organisation)
    screens = Federated(house.provider).routes()
    house.routes = {
        **routes(house.people),
        **{place: guard(house.people, place[0], route) for place, route in screens.items()},
    }
    Browser(house).enrol(CHEN)
    house.chen = list_accounts(house.registry)[0]
    run(
        link(house.registry, organisation.issuer, SUBJECT, house.chen.id, house.registry.now_ms)
    )  # by an administrator
    for one in SESSIONS.list(house.registry):
        run(house.registry.change(SESSIONS.drop(one)))
    house.reports.clear()
    return house


def make_provider(organisation, **other):
    settings = {
        "issuer": organisation.issuer, "client_id": CLIENT, "secret": SECRET, "demanded": MFA,
        "redirect_uri": f"{PARTY.origin}{ANSWER_PATH}",
        "fetch": ProviderFetcher(origin_of(organisation.issuer)),
    }  # fmt: skip
    return Provider(**settings | other)


def start(browser, ticket=""):
    answer = browser.get(START + (f"?ticket={ticket}" if ticket else ""))
    return dict(answer.headers).get(b"location", b"").decode() if answer.status == 303 else ""


def sign_in(organisation, browser, subject=SUBJECT, **claims):
    location = start(browser)
    return browser.get(organisation.sign_in(location, subject, **claims)) if location else None


# What opens a session


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_a_linked_person_signs_in_through_their_organisation(house, organisation, algorithm):
    organisation.algorithm = algorithm
    mei = Browser(house)
    assert START in mei.get("/sign-in").body.decode()
    answer = sign_in(organisation, mei)
    assert dict(answer.headers)[b"location"] == b"/welcome"
    assert "Mei Chen" in mei.get("/me").body.decode()
    assert "careledger-provider" not in mei.cookies
    (session,) = SESSIONS.list(house.registry)
    assert session.value.account == house.chen.id
    assert (
        len(list_passkeys(house.registry, house.chen.id)) == 1
    )  # what the session stands on is no passkey of theirs
    assert [what for what, _, _ in house.reports] == ["signed-in"]


def test_the_demanded_method_may_stand_in_amr_or_acrs(house, organisation):
    for name in ("amr", "acrs"):
        mei = Browser(house)
        sign_in(organisation, mei, **{"acr": "1", name: ["pwd", MFA]})
        assert mei.get("/me").status == 200


def test_a_provider_that_names_itself_in_no_answer_is_believed_by_its_token(house, organisation):
    """As Entra ID: there is one provider and an answer's address that is its alone (RFC 9700, 4.4.2.2)."""
    organisation.lies.document = lambda d: {k: v for k, v in d.items() if not k.startswith("authorization_r")}
    organisation.lies.answer = lambda a: {"code": a["code"], "state": a["state"]}
    mei = Browser(house)
    sign_in(organisation, mei)
    assert mei.get("/me").status == 200


def test_the_request_of_a_program_goes_on_after_it(house, organisation):
    mei, ticket = Browser(house), "t" * 43
    assert f"{START}?ticket={ticket}" in mei.get(f"/sign-in?ticket={ticket}").body.decode()
    answer = mei.get(organisation.sign_in(start(mei, ticket)))
    assert dict(answer.headers)[b"location"].decode() == f"/welcome?ticket={ticket}"
    answer = mei.get(organisation.sign_in(start(mei, "//evil.example")))
    assert dict(answer.headers)[b"location"] == b"/welcome"


def test_without_a_provider_there_is_no_button_and_no_route(organisation):
    house = House()
    assert START not in Browser(house).get("/sign-in").body.decode()
    assert ("GET", START) not in house.routes


def test_document_and_keys_are_fetched_once(house, organisation):
    for _ in range(3):
        sign_in(organisation, Browser(house))
    assert [path for path in organisation.asked if path.startswith("GET")] == [
        "GET /.well-known/openid-configuration", "GET /certs",
    ]  # fmt: skip
    house.registry.now_ms += KEPT_MS
    organisation.kid = "k2"
    mei = Browser(house)
    sign_in(organisation, mei)
    assert mei.get("/me").status == 200  # rotated keys are found


def test_a_failing_provider_is_not_asked_again_at_once(house, organisation):
    organisation.lies.raw["/.well-known/openid-configuration"] = lambda request: send(request, {}, 500)
    for _ in range(5):
        assert Browser(house).get(START).status == 503
    assert len(organisation.asked) == 1


def test_unknown_keys_do_not_make_the_provider_be_asked_each_time(house, organisation):
    organisation.lies.header = lambda header: {**header, "kid": "unknown"}
    for _ in range(4):
        assert sign_in(organisation, Browser(house)).status == 401
    assert organisation.asked.count("GET /certs") == 1


# What opens none

FIELD = {  # what stands in a claim instead
    "issuer of another provider": {"iss": f"{EVIL}/realms/riverside"},
    "issuer of another realm": {"iss": "http://localhost/realms/other"},
    "issuer in a list": {"iss": ["http://localhost/realms/riverside"]},
    "no issuer": {"iss": None},
    "audience of another client": {"aud": "billing"},
    "audience of others": {"aud": ["billing", "portal"]},
    "audiences without azp": {"aud": [CLIENT, "billing"], "azp": None},
    "audience as an object": {"aud": {CLIENT: True}},
    "no audience": {"aud": None},
    "made for another party": {"azp": "billing"},
    "made for another party among two": {"aud": [CLIENT, "billing"], "azp": "billing"},
    "expired": {"exp": -400},
    "no end": {"exp": None},
    "an end in words": {"exp": "tomorrow"},
    "an end that is true": {"exp": True},
    "issued in the future": {"iat": 3600},
    "issued long ago": {"iat": -3600},
    "no time of issue": {"iat": None},
    "not valid yet": {"nbf": 3600},
    "no nonce": {"nonce": None},
    "another nonce": {"nonce": "n" * 43},
    "nonce in a list": {"nonce": ["n"]},
    "hash of another access token": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
    "hash that is a number": {"at_hash": 7},
    "no acr": {"acr": None},
    "a weaker acr": {"acr": "1"},
    "an acr that begins alike": {"acr": MFA + "h"},
    "acr in a list": {"acr": [MFA]},
    "amr as a text": {"acr": None, "amr": MFA},
    "amr as an object": {"acr": None, "amr": {MFA: 1}},
    "acrs as a text": {"acr": None, "acrs": MFA},
    "verified in the future": {"auth_time": 3600},
    "verified in words": {"auth_time": "just now"},
    "no subject": {"sub": None},
    "subject empty": {"sub": ""},
    "subject as a number": {"sub": 7},
    "subject in a list": {"sub": [SUBJECT]},
    "subject in other letters": {"sub": SUBJECT.upper()},
    "subject and a space": {"sub": SUBJECT + " "},
    "subject with a break": {"sub": SUBJECT + "\n"},
    "a subject that nobody linked, with the right name": {"sub": "x", "name": "Mei Chen", "email": "Mei Chen"},
    "the account's number as subject": {"sub": "ACCOUNT"},
}  # fmt: skip
_TIMES = ("exp", "iat", "nbf", "auth_time")


@pytest.mark.parametrize("name", FIELD)
def test_a_claim_that_is_not_right_opens_nothing(house, organisation, name):
    now = house.registry.now_ms // 1000

    def claims(honest):
        for key, value in FIELD[name].items():
            if key in _TIMES and type(value) is int:
                value += now
            honest[key] = house.chen.id if value == "ACCOUNT" else value
        return {key: value for key, value in honest.items() if value is not None}

    organisation.lies.claims = claims
    refused(house, organisation)


def refused(house, organisation, statuses=(401, 503)):
    """Somebody with the linked subject tries; nothing comes of it, and the log is told why."""
    mei = Browser(house)
    location = start(mei)
    answer = mei.get(organisation.sign_in(location)) if location else None
    assert answer is None or answer.status in (400, *statuses), answer.status
    assert SESSIONS.list(house.registry) == []
    assert "careledger" not in mei.cookies
    assert mei.get("/me").status == 303
    assert answer is None or answer.status != 401 or house.reports[0][0] == "provider-refused"
    return answer


def hs256(secret):
    def token(honest):
        payload = honest.split(".")[1]
        signing = f"{encode({'alg': 'HS256', 'kid': 'k1', 'typ': 'JWT'})}.{payload}"
        return f"{signing}.{encode(hmac.new(secret(), signing.encode(), hashlib.sha256).digest())}"

    return token


def resigned(change, key=lambda: key_of("RS256"), algorithm="RS256"):
    """The honest token with another header, by whichever key."""

    def token(honest):
        payload = json.loads(_decode(honest.split(".")[1]))
        return sign(change({"alg": "RS256", "kid": "k1", "typ": "JWT"}), payload, key(), algorithm)

    return token


def _decode(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def unsigned(name):
    return lambda token: f"{encode({'alg': name, 'kid': 'k1', 'typ': 'JWT'})}.{token.split('.')[1]}."


def altered(token):
    header, payload, signature = token.split(".")
    claims = json.loads(_decode(payload)) | {"acr": MFA, "sub": SUBJECT, "more": 1}
    return f"{header}.{encode(claims)}.{signature}"


def twice(token):
    payload = _decode(token.split(".")[1])
    return sign({"alg": "RS256", "kid": "k1"}, payload[:-1] + b', "sub": "x"}', key_of("RS256"))


TOKENS = {
    "no signature": unsigned("none"),
    "no signature, in capitals": unsigned("NONE"),
    "signature taken away": lambda token: token.rpartition(".")[0] + ".",
    "HS256 with the public key": hs256(lambda: key_of("RS256").as_pem(private=False)),
    "HS256 with the modulus": hs256(lambda: key_of("RS256").as_dict(private=False)["n"].encode()),
    "HS256 with the client's secret": hs256(lambda: SECRET.encode()),
    "by a stranger": resigned(lambda header: header, lambda: keys()["stranger"]),
    "an algorithm beside the list": resigned(lambda header: header | {"alg": "RS512"}, algorithm="RS512"),
    "ES256 with a key of RSA": resigned(lambda h: h | {"alg": "ES256"}, lambda: keys()["ES256"], "ES256"),
    "an unknown key": resigned(lambda header: header | {"kid": "k9"}),
    "the key for encryption": resigned(lambda header: header | {"kid": "enc"}),
    "no kid": resigned(lambda header: {"alg": "RS256"}),
    "kid in a list": resigned(lambda header: header | {"kid": ["k1"]}),
    "kid as a path": resigned(lambda header: header | {"kid": "../../dev/null"}),
    "its own key": resigned(
        lambda header: header | {"jwk": keys()["stranger"].as_dict(private=False)}, lambda: keys()["stranger"]
    ),
    "keys from elsewhere": resigned(
        lambda h: h | {"jku": f"{EVIL}/jwks"}, lambda: keys()["stranger"]
    ),
    "certificates from elsewhere": resigned(lambda header: header | {"x5u": EVIL}),
    "an unknown duty": resigned(lambda header: header | {"crit": ["exp"]}),
    "a payload apart": resigned(lambda header: header | {"b64": False}),
    "an access token": resigned(lambda header: header | {"typ": "at+jwt"}),
    "altered claims": altered,
    "a member twice": twice,
    "two tokens": lambda token: f"{token}.{token}",
    "encrypted": lambda token: f"{token}.AAAA.AAAA",
    "padded": lambda token: token + "=",
    "huge": lambda token: token + "A" * 20_000,
    "in another alphabet": lambda token: token.replace("e", "е", 1),
    "empty": lambda token: "",
}  # fmt: skip


@pytest.mark.parametrize("name", TOKENS)
def test_a_forged_token_opens_nothing(house, organisation, name):
    organisation.lies.token = TOKENS[name]
    refused(house, organisation)


def only(**members):
    return lambda honest: {"keys": [public("RS256", "k1") | members]}


KEY_SETS = {
    "two keys of one name": lambda h: {"keys": [public("RS256", "k1"), public("RS256", "k1")]},
    "a key for encryption": only(use="enc"),
    "a key for another algorithm": only(alg="PS256"),
    "a private key": lambda h: {"keys": [key_of("RS256").as_dict(private=True) | {"kid": "k1"}]},
    "a symmetric key": lambda h: {"keys": [{"kty": "oct", "kid": "k1", "k": encode(b"0" * 32)}]},
    "a weak key": lambda h: {"keys": [weak_key().as_dict(private=False) | {"kid": "k1"}]},
    "a key of another kind": lambda h: {"keys": [public("ES256", "k1")]},
    "no list": lambda h: {"keys": {"k1": public("RS256", "k1")}},
    "too many": lambda h: {"keys": [public("RS256", f"k{n}") for n in range(65)]},
    "none": lambda h: {"keys": []},
    "huge": lambda h: h | {"more": "x" * 70_000},
    "no JSON": lambda h: b"<html>",
}


@pytest.mark.parametrize("name", KEY_SETS)
def test_a_key_set_that_is_not_right_opens_nothing(house, organisation, name):
    organisation.lies.key_set = KEY_SETS[name]
    refused(house, organisation)


def at(name, address):
    return lambda honest: honest | {name: address(honest) if callable(address) else address}


DOCUMENTS = {
    "of another issuer": at("issuer", f"{EVIL}/realms/riverside"),
    "of the issuer with a slash": at("issuer", lambda h: h["issuer"] + "/"),
    "without issuer": lambda h: {k: v for k, v in h.items() if k != "issuer"},
    "tokens from another host": at("token_endpoint", f"{EVIL}/token"),
    "tokens from another port": at("token_endpoint", "http://localhost:1/token"),
    "people to another host": at("authorization_endpoint", f"{EVIL}/auth"),
    "keys from another host": at("jwks_uri", f"{EVIL}/certs"),
    "keys from a cloud's inside": at("jwks_uri", "http://169.254.169.254/latest/meta-data"),
    "keys from a file": at("jwks_uri", "file:///etc/passwd"),
    "a script": at("authorization_endpoint", "javascript:alert(1)"),
    "a host behind a name": at("token_endpoint", lambda h: h["issuer"].replace("/realms", "@evil.example/realms")),
    "a fragment": at("token_endpoint", lambda h: h["token_endpoint"] + "#x"),
    "dots": at("token_endpoint", lambda h: h["issuer"] + "/../../other/token"),
    "a line break": at("token_endpoint", lambda h: h["token_endpoint"] + "\r\nX: y"),
    "no S256": at("code_challenge_methods_supported", ["plain"]),
    "no secrets": at("token_endpoint_auth_methods_supported", ["none"]),
    "no token end point": lambda h: {k: v for k, v in h.items() if k != "token_endpoint"},
    "a list": lambda h: [h],
    "a member twice": lambda h: json.dumps(h).encode()[:-1] + b', "issuer": "x"}',
    "huge": lambda h: h | {"more": "x" * 70_000},
    "no JSON": lambda h: b"<html>",
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_that_is_not_right_sends_nobody_anywhere(house, organisation, name):
    organisation.lies.document = DOCUMENTS[name]
    assert start(Browser(house)) == ""
    assert refused(house, organisation) is None
    assert BEGUN.list(house.registry) == []


def endless(request):
    request.send_response(200)
    request.end_headers()
    request.wfile.write(b" " * 200_000)


PATHS = ("/.well-known/openid-configuration", "/certs", "/token")
RAW = {
    "a redirect to another host": redirecting(f"{EVIL}/x"),
    "a redirect within": redirecting("/realms/riverside/.well-known/openid-configuration", 307),
    "an error": lambda request: send(request, {}, 500),
    "nothing": lambda request: None,
    "no HTTP": lambda request: request.wfile.write(b"keys\r\n\r\n"),
    "endless": endless,
    "a byte at a time": dripping,
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", RAW)
def test_what_is_no_answer_in_time_and_size_opens_nothing(house, organisation, name, path):
    organisation.lies.raw[path] = RAW[name]
    if RAW[name] is dripping:
        house.provider.fetch = ProviderFetcher(origin_of(organisation.issuer), timeout_s=SHORT_S)
    refused(house, organisation)
    assert all(one.split()[1] in PATHS for one in organisation.asked)


TOKEN_ANSWERS = {
    "no ID token": lambda h: {k: v for k, v in h.items() if k != "id_token"},
    "no access token": lambda h: {k: v for k, v in h.items() if k != "access_token"},
    "ID token in a list": lambda h: h | {"id_token": [h["id_token"]]},
    "another access token": lambda h: h | {"access_token": "stolen"},
    "a list": lambda h: [h],
    "no JSON": lambda h: b"id_token=x",
}


@pytest.mark.parametrize("name", TOKEN_ANSWERS)
def test_an_answer_of_the_token_end_point_that_is_not_right_opens_nothing(house, organisation, name):
    organisation.lies.tokens = TOKEN_ANSWERS[name]
    refused(house, organisation)


ANSWERS = {
    "of another issuer": lambda a: a | {"iss": f"{EVIL}/realms/riverside"},
    "of the issuer with a slash": lambda a: a | {"iss": a["iss"] + "/"},
    "of nobody, by one who names itself": lambda a: {"code": a["code"], "state": a["state"]},
    "of two issuers": lambda a: a | {"iss": [a["iss"], EVIL]},
    "without state": lambda a: {"code": a["code"], "iss": a["iss"]},
    "with another state": lambda a: a | {"state": "s" * 43},
    "with two states": lambda a: a | {"state": [a["state"], "s" * 43]},
    "with a longer state": lambda a: a | {"state": a["state"] + "A"},
    "without code": lambda a: {"state": a["state"], "iss": a["iss"]},
    "with another code": lambda a: a | {"code": "c" * 43},
    "with two codes": lambda a: a | {"code": [a["code"], "c" * 43]},
    "with a huge code": lambda a: a | {"code": "c" * 5000},
    "with an error": lambda a: a | {"error": "access_denied"},
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_not_right_opens_nothing(house, organisation, name):
    """Mix-up, injection, replay (F3; RFC 9207, RFC 9700)."""
    organisation.lies.answer = ANSWERS[name]
    refused(house, organisation)
    if "issuer" in name or name.startswith("of "):
        assert not [path for path in organisation.asked if path == "POST /token"]  # the code goes nowhere


def test_an_answer_counts_once(house, organisation):
    organisation.lies.takes_codes_twice = True
    mei = Browser(house)
    path = organisation.sign_in(start(mei))
    cookies = dict(mei.cookies)
    assert mei.get(path).status == 303
    again = Browser(house, cookies=cookies)
    assert again.get(path).status == 401
    assert len(SESSIONS.list(house.registry)) == 1


def test_a_wrong_answer_uses_the_sign_in_up(house, organisation):
    mei = Browser(house)
    path = organisation.sign_in(start(mei))
    cookies = dict(mei.cookies)
    assert mei.get(path.replace("iss=http", "iss=https")).status == 401
    mei.cookies = cookies
    assert mei.get(path).status == 401
    assert SESSIONS.list(house.registry) == []


def test_an_answer_is_for_the_browser_that_began(house, organisation):
    """Somebody is made to sign in as somebody else (login CSRF), or brings a code that they saw."""
    mei, other, bare = Browser(house), Browser(house), Browser(house)
    start(other)
    for browser in (other, bare):
        assert browser.get(organisation.sign_in(start(mei))).status == 401
    assert SESSIONS.list(house.registry) == []
    assert [why for _, why, _ in house.reports] == ["another-browser"] * 2


def test_an_answer_after_ten_minutes_is_none(house, organisation):
    mei = Browser(house)
    location = start(mei)
    house.registry.now_ms += 600_000
    assert mei.get(organisation.sign_in(location)).status == 401
    assert SESSIONS.list(house.registry) == []


@pytest.mark.parametrize("checks_pkce", [True, False])
def test_a_code_of_another_sign_in_opens_nothing(house, organisation, checks_pkce):
    """With PKCE the provider refuses it; where that is not checked, the nonce does not fit."""
    organisation.lies.checks_pkce = checks_pkce
    stolen = parse_qs(urlsplit(organisation.sign_in(start(Browser(house)))).query)["code"]
    mei = Browser(house)
    asked = parse_qs(urlsplit(organisation.sign_in(start(mei))).query)
    assert mei.get(f"{ANSWER}?{urlencode(asked | {'code': stolen}, doseq=True)}").status == 401
    assert SESSIONS.list(house.registry) == []


def test_another_site_begins_no_sign_in(house, organisation):
    for site in ("cross-site", "same-site"):
        assert Browser(house).send("GET", START, sec_fetch_site=site).status == 403
    assert organisation.asked == []
    assert BEGUN.list(house.registry) == []


def test_refusals_look_alike_and_only_the_unlinked_are_told_their_subject(house, organisation):
    organisation.lies.claims = lambda claims: claims | {"sub": "stranger-1"}
    told = refused(house, organisation).body.decode()
    assert WORDS["error.provider-not-linked"][0] in told
    assert "stranger-1" in told
    pages = set()
    for lie in ({"acr": "1"}, {"nonce": "x"}, {"aud": "x"}):
        organisation.lies.claims = lambda claims, lie=lie: claims | lie
        mei = Browser(house)
        mei.get("/sign-in")  # so that each has its cookie
        answer = mei.get(organisation.sign_in(start(mei)))
        pages.add(answer.body.decode().replace(mei.csrf, ""))
    assert len(pages) == 1
    assert not any("stranger-1" in word for report in house.reports for word in report)


# Links


def test_one_subject_is_one_account_of_one_issuer(house, organisation):
    registry, issuer = house.registry, organisation.issuer
    Browser(house).enrol(BELA)
    bela = next(one for one in list_accounts(registry) if one.name == BELA.name)
    with pytest.raises(Conflict):
        run(link(registry, issuer, SUBJECT, bela.id, 1))
    with pytest.raises(NotFound):
        run(link(registry, issuer, "another", "nobody", 1))
    for subject in ("", "x" * 256, "a\nb", "søren"):
        with pytest.raises(Invalid):
            run(link(registry, issuer, subject, bela.id, 1))
    run(link(registry, f"{issuer}2", SUBJECT, bela.id, 1))  # the same subject elsewhere is somebody else
    assert link_key("ab", "c") != link_key("a", "bc")
    mei = Browser(house)
    sign_in(organisation, mei)
    assert "Mei Chen" in mei.get("/me").body.decode()
    with pytest.raises(NotFound):
        run(unlink(registry, issuer, SUBJECT, bela.id))
    assert [one.account for one in list_links(registry, bela.id)] == [bela.id]


def test_unlinking_ends_the_sessions_at_the_next_request(house, organisation):
    mei = Browser(house)
    sign_in(organisation, mei)
    by_passkey = len(PASSKEYS.list(house.registry))
    run(unlink(house.registry, organisation.issuer, SUBJECT, house.chen.id))
    assert mei.get("/me").status == 303
    assert len(PASSKEYS.list(house.registry)) == by_passkey - 1
    assert LINKS.list(house.registry) == []
    assert sign_in(organisation, Browser(house)).status == 401


def test_a_person_sees_that_they_are_linked(house, organisation):
    mei = Browser(house)
    sign_in(organisation, mei)
    words = WORDS["sign-in.provider"][0]
    assert words in mei.get("/me").body.decode()
    rosa = Browser(house).enrol(ROSA)
    assert words not in rosa.get("/me").body.decode()


def test_nothing_of_a_link_is_left_of_a_shredded_patient(house, organisation):
    Browser(house).enrol(ROSA)
    rosa = next(one for one in list_accounts(house.registry) if one.name == ROSA.name)
    run(link(house.registry, organisation.issuer, "rosa-1", rosa.id, 1))
    before = len(PASSKEYS.list(house.registry))
    assert run(forget_patient(house.registry, house.people.revoke, "p1")) == 1
    assert [one.subject for one in list_links(house.registry)] == [SUBJECT]
    assert len(PASSKEYS.list(house.registry)) == before - 2  # hers, and what the link stood on


def test_a_disabled_account_is_not_signed_in(house, organisation):
    run(house.registry.change(*disabling(house.registry, house.chen.id)))
    refused(house, organisation)
    assert house.reports[0][1] == "account-disabled"


def test_what_a_link_stands_on_is_no_passkey(house, organisation):
    anchor = next(one.value for one in PASSKEYS.list(house.registry) if not one.value.public)
    device = Authenticator()
    browser = b"browser"

    async def attempt():
        registry, now = house.registry, house.registry.now_ms
        options = await begin_sign_in(registry, PARTY, browser, now)
        made = json.loads(device.get(options))
        for name in ("id", "rawId"):
            made[name] = encode(anchor.id)
        await finish_sign_in(registry, PARTY, browser, json.dumps(made).encode(), now)

    Browser(house, device=device).enrol(BELA)  # so that the device has a key to sign with
    with pytest.raises(PasskeyRefused):
        run(attempt())


# Confirming


def is_fresh(house, browser):
    """Printing the recovery code wants a verification of the last five minutes."""
    browser.get("/kit")
    return browser.post("/kit").status == 200


def test_a_session_is_as_fresh_as_the_provider_says(house, organisation):
    now = house.registry.now_ms // 1000
    for claims, expected in (({}, True), ({"auth_time": now - 3600}, False), ({"auth_time": now - 60}, True)):
        mei = Browser(house)
        sign_in(organisation, mei, **claims)
        assert is_fresh(house, mei) is expected, claims
    organisation.lies.claims = lambda claims: {k: v for k, v in claims.items() if k != "auth_time"}
    mei = Browser(house)
    sign_in(organisation, mei)
    assert not is_fresh(house, mei)  # what it does not say, nobody assumes


def test_somebody_signed_in_confirms_freshly_and_only_as_themselves(house, organisation):
    mei = Browser(house)
    sign_in(organisation, mei)
    house.registry.now_ms += STEP_UP_MS
    now = house.registry.now_ms // 1000
    Browser(house).enrol(BELA)
    bela = next(one for one in list_accounts(house.registry) if one.name == BELA.name)
    run(link(house.registry, organisation.issuer, "bela-1", bela.id, 1))
    location = start(mei)
    asked = parse_qs(urlsplit(location).query)
    assert asked["prompt"] == ["login"]
    assert asked["max_age"] == ["0"]
    for subject, claims in (
        (SUBJECT, {"auth_time": now - 60}),
        (SUBJECT, {"auth_time": 0}),
        ("bela-1", {}),
    ):
        assert mei.get(organisation.sign_in(start(mei), subject, **claims)).status == 401, claims
        assert not is_fresh(house, mei)
    path = organisation.sign_in(start(mei))
    stolen = Browser(house, cookies={"careledger-provider": mei.cookies["careledger-provider"]})
    assert stolen.get(path).status == 401  # it confirms a session, and opens none
    assert mei.get(organisation.sign_in(start(mei))).status == 303
    assert is_fresh(house, mei)


# The configuration


@pytest.mark.parametrize(
    "issuer",
    [
        "http://idp.example.org", "http://127.0.0.1:80", "https://idp.example.org/", "https://u@idp.example.org",
        "https://idp.example.org?x", "https://idp.example.org#x", "https://idp.example.org/a/../b", "idp.example.org",
        "HTTPS://IDP.example.org", "https://", "ftp://idp.example.org", "https://localhost.evil.example /",
        "http://localhost.evil.example",
    ],
)  # fmt: skip
def test_an_issuer_is_a_plain_https_address(issuer):
    with pytest.raises(Invalid):
        check_issuer(issuer)


def test_issuers_as_providers_write_them():
    for issuer in (
        "https://idp.example.org",
        "https://idp.example.org:8443/realms/riverside",
        "https://login.microsoftonline.com/3f2504e0-4f89-11d3-9a0c-0305e82c3301/v2.0",
        "http://localhost:8089/realms/riverside",
    ):
        assert check_issuer(issuer) == issuer
