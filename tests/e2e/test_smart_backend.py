"""A backend service that knows the FHIR base alone, on a real node of two workers: SMART Backend Services 2.2 (F1, F5).

The negative cases of ONC (g)(10) bear the names of Inferno's tests.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.node import Caller
from tests.e2e.smart import (
    ASSERTION,
    KEYS,
    App,
    Clinic,
    assertion,
    browse,
    key_set,
    send,
    service_form,
)
from tests.smart.forging import b64, compact, ec_key, rsa_key, signed

ELSEWHERE = "https://other.example/oauth/token"


def service(clinic: Clinic, scope: str = "system/Patient.rs system/Observation.rs") -> str:
    return clinic.client(jwks=key_set("RS384", "ES384", "ES256"), scope=scope)


def ask(clinic: Clinic, form: dict[str, str]) -> Any:
    return clinic.send("POST", clinic.discover()["token_endpoint"], form)


def errors(clinic: Clinic, form: dict[str, str], times: int = 4) -> set[str]:
    """Asked on several connections: the errors."""
    answers = [ask(clinic, form) for _ in range(times)]
    assert {one.status for one in answers} <= {400, 401}, answers
    return {one.json["error"] for one in answers}


def token_of(clinic: Clinic, client: str, name: str = "ES384", scope: str = "system/*.rs") -> str:
    answer = ask(clinic, service_form(assertion(clinic, client, name), scope))
    assert answer.status == 200, answer.body
    return str(answer.json["access_token"])


def test_a_service_registered_by_command_line_gets_what_is_registered_and_no_more(
    clinic: Clinic, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(key_set("RS384", "ES384", "ES256"))
    client = clinic.command(
        "client", "add", "--name", "Lab", "--jwks", str(keys), "--grant", "client_credentials",
        "--scope", "system/Patient.rs system/Observation.rs",
    )  # fmt: skip
    assert client and len(client.split()) == 1  # the id alone
    told = clinic.discover()
    assert told["issuer"] == clinic.base
    for name in told["token_endpoint_auth_signing_alg_values_supported"]:
        answer = ask(clinic, service_form(assertion(clinic, client, name), "system/*.cruds"))
        assert answer.status == 200, answer.body
        given = answer.json
        assert given["token_type"] == "Bearer"
        assert given["expires_in"] <= 300
        assert set(given["scope"].split()) == {"system/Patient.rs", "system/Observation.rs"}
        assert "refresh_token" not in given
        caller = Caller(clinic.node.port, given["access_token"])
        assert caller.get("Patient?_count=1").status == 200
        assert caller.get("Condition?_count=1").status == 403
        assert caller.get("Encounter/" + clinic.encounter).status in (403, 404)
        assert caller.post("Patient", {"resourceType": "Patient"}).status == 403
        assert caller.delete("Patient/" + clinic.patients[0]).status == 403
        caller.close()
    issuer = ask(clinic, service_form(assertion(clinic, client, aud=told["issuer"])))
    assert issuer.status == 200  # the issuer is an audience too
    narrow = ask(clinic, service_form(assertion(clinic, client), "system/Patient.r"))
    assert narrow.json["scope"] == "system/Patient.r"
    for scope in (
        "system/Condition.rs",
        "patient/*.rs",
        "user/*.rs",
        "openid",
        "system/*.rs patient/*.rs",
        "",
    ):
        refused = ask(clinic, service_form(assertion(clinic, client), scope))
        assert (refused.status, refused.json["error"]) == (400, "invalid_scope"), scope
    clinic.end(client)


Forge = Callable[[Clinic, str], dict[str, str]]


def claims(**changes: Any) -> Forge:
    return lambda clinic, client: service_form(assertion(clinic, client, **changes))


def form(**changes: str) -> Forge:
    return lambda clinic, client: service_form(assertion(clinic, client), **changes)


def header(key: Any, spelled: Callable[[dict[str, Any]], Any], algorithm: str = "") -> Forge:
    """The right claims under another header, signed with `key`."""

    def forge(clinic: Clinic, client: str) -> dict[str, str]:
        now = int(time.time())
        said = {"iss": client, "sub": client, "aud": clinic.discover()["token_endpoint"], "exp": now + 60}
        found = spelled({"alg": "ES256", "kid": "e2", "typ": "JWT"})
        text = signed(found, compact({**said, "jti": f"forged-{time.monotonic_ns()}"}), key, algorithm)
        return service_form(text)

    return forge


def tampered(clinic: Clinic, client: str) -> dict[str, str]:
    head, _, tail = assertion(clinic, client).split(".")
    now = int(time.time())
    said = {"iss": client, "sub": client, "aud": clinic.discover()["token_endpoint"], "exp": now + 200}
    return service_form(f"{head}.{b64(compact({**said, 'jti': 'x'}))}.{tail}")


NOW = int(time.time())
OURS = KEYS["ES256"].private_key
PUBLIC = KEYS["RS384"].as_pem(private=False)
REFUSED: dict[str, tuple[Forge, str]] = {
    "bulk_data_authorization invalid grant_type": (form(grant_type="not_a_grant_type"), "unsupported_grant_type"),
    "bulk_data_authorization no grant_type": (form(grant_type=""), "unsupported_grant_type"),
    "bulk_data_authorization invalid client_assertion_type": (form(client_assertion_type="not_an_assertion_type"), ""),
    "bulk_data_authorization no client_assertion_type": (form(client_assertion_type=""), ""),
    "smart_backend_services_invalid_grant_type": (form(grant_type="authorization_code"), ""),
    "smart_backend_services_invalid_client_assertion": (form(client_assertion="not.an.assertion"), "invalid_client"),
    "smart_backend_services_invalid_client_assertion: none": (form(client_assertion=""), ""),
    "smart_backend_services_invalid_jwt iss": (claims(iss="not_a_valid_iss"), "invalid_client"),
    "smart_backend_services_invalid_jwt iss missing": (claims(iss=None), "invalid_client"),
    "smart_backend_services_invalid_jwt sub": (claims(sub="not_a_valid_client_id"), "invalid_client"),
    "smart_backend_services_invalid_jwt sub missing": (claims(sub=None), "invalid_client"),
    "smart_backend_services_invalid_jwt aud": (claims(aud=ELSEWHERE), "invalid_client"),
    "smart_backend_services_invalid_jwt aud missing": (claims(aud=None), "invalid_client"),
    "smart_backend_services_invalid_jwt aud of two": (claims(aud=[ELSEWHERE, "x"]), "invalid_client"),
    "smart_backend_services_invalid_jwt exp over five minutes": (claims(exp=NOW + 4000), "invalid_client"),
    "smart_backend_services_invalid_jwt exp past": (claims(exp=NOW - 60), "invalid_client"),
    "smart_backend_services_invalid_jwt exp missing": (claims(exp=None), "invalid_client"),
    "smart_backend_services_invalid_jwt exp as text": (claims(exp=str(NOW + 60)), "invalid_client"),
    "smart_backend_services_invalid_jwt jti missing": (claims(jti=None), "invalid_client"),
    "smart_backend_services_invalid_jwt jti empty": (claims(jti=""), "invalid_client"),
    "smart_backend_services_invalid_jwt payload changed": (tampered, "invalid_client"),
    "another's key": (header(ec_key("mallory"), lambda head: head), "invalid_client"),
    "alg none": (header(b"", lambda head: {**head, "alg": "none"}), "invalid_client"),
    "HS256 with the public key": (header(PUBLIC, lambda head: {**head, "alg": "HS256", "kid": "r"}), "invalid_client"),
    "RS256": (header(rsa_key(), lambda head: {**head, "alg": "RS256", "kid": "r"}), "invalid_client"),
    "ES256 under another kid": (header(OURS, lambda head: {**head, "kid": "e3"}), "invalid_client"),
    "kid with a path": (header(OURS, lambda head: {**head, "kid": "../../e2"}), "invalid_client"),
    "kid with a query": (header(OURS, lambda head: {**head, "kid": "e2' OR '1'='1"}), "invalid_client"),
    "key in the header": (header(ec_key("m"), lambda h: {**h, "jwk": {"kty": "EC"}}), "invalid_client"),
    "jku of a stranger": (header(OURS, lambda h: {**h, "jku": "https://evil.example/jwks"}), "invalid_client"),
    "x5u of a stranger": (header(OURS, lambda h: {**h, "x5u": "https://evil.example/c"}), "invalid_client"),
    "unknown crit": (header(OURS, lambda h: {**h, "crit": ["exp"]}), "invalid_client"),
    "alg twice": (header(OURS, lambda h: compact(h)[:-1] + ',"alg":"ES256"}', "ES256"), "invalid_client"),
    "a zipped one": (header(OURS, lambda h: {**h, "zip": "DEF"}), "invalid_client"),
}  # fmt: skip


def test_every_bad_request_for_a_token_is_refused_and_gives_none(clinic: Clinic) -> None:
    names = list(REFUSED)
    for start in range(0, len(names), 12):  # who fails too often has to wait: that is not what is tried here
        client = service(clinic)
        for name in names[start : start + 12]:
            forge, error = REFUSED[name]
            answer = ask(clinic, forge(clinic, client))
            assert answer.status in (400, 401), (name, answer.status, answer.body)
            assert "access_token" not in answer.json, name
            assert error in ("", answer.json["error"]), (name, answer.json)
        assert ask(clinic, service_form(assertion(clinic, client))).status == 200
        clinic.end(client)


def test_who_guesses_waits_and_nobody_else_does(clinic: Clinic) -> None:
    """F13: a client is slowed down where its proof was guessed, not elsewhere, and no other client anywhere."""
    client, other = service(clinic), service(clinic)
    forge = header(ec_key("mallory"), lambda head: head)
    answers = [ask(clinic, forge(clinic, client)) for _ in range(60)]
    waiting = [one for one in answers if one.status == 429]
    assert waiting
    assert all(int(one.headers["retry-after"]) >= 1 for one in waiting)
    assert {one.status for one in answers} <= {400, 401, 429}
    assert ask(clinic, service_form(assertion(clinic, other))).status == 200
    url, port = clinic.discover()["token_endpoint"], clinic.node.port
    elsewhere = send(port, "POST", url, service_form(assertion(clinic, client)), {}, source="127.0.0.2")
    assert elsewhere.status == 200


def test_strangers_learn_nothing_of_which_clients_there_are(clinic: Clinic) -> None:
    """E14: unknown, disabled, another's key, another method: one answer."""
    known, disabled, public = service(clinic), service(clinic), clinic.client()
    clinic.end(disabled)
    forge = header(ec_key("mallory"), lambda head: head)
    answers = {
        (answer.status, answer.body)
        for answer in (ask(clinic, forge(clinic, one)) for one in ("nobody", known, disabled, public))
    }
    assert len(answers) == 1, answers
    revoked = clinic.discover()["revocation_endpoint"]
    said = {
        clinic.send("POST", revoked, {"client_id": public, "token": token}).body
        for token in ("x", token_of(clinic, known))
    }
    assert said == {b""}
    clinic.end(known)


def test_an_assertion_counts_once_over_kill_9(clinic: Clinic) -> None:
    client = service(clinic)
    used = service_form(assertion(clinic, client))
    assert ask(clinic, used).status == 200
    assert errors(clinic, used) == {"invalid_client"}
    clinic.kill()
    assert errors(clinic, used) == {"invalid_client"}
    assert ask(clinic, service_form(assertion(clinic, client))).status == 200
    clinic.end(client)


def test_a_disabled_service_is_out_at_once_on_every_worker(clinic: Clinic) -> None:
    client, other = service(clinic), service(clinic)
    token, others = token_of(clinic, client), token_of(clinic, other)
    callers = [Caller(clinic.node.port, token) for _ in range(12)]
    assert {one.get("Patient?_count=1").status for one in callers} == {200}
    clinic.command("client", "disable", client)
    assert {one.get("Patient?_count=1").status for one in callers} == {401}
    for _ in range(4):
        assert errors(clinic, service_form(assertion(clinic, client)), 1) == {"invalid_client"}
    assert clinic.on_all(others) == {200}
    for caller in callers:
        caller.close()
    clinic.end(other)


def introspect(clinic: Clinic, client: str, token: str) -> dict[str, Any]:
    form = {
        "token": token,
        "client_assertion_type": ASSERTION,
        "client_assertion": assertion(clinic, client),
    }
    answer = clinic.send("POST", clinic.discover()["introspection_endpoint"], form)
    assert answer.status == 200, answer.body
    return dict(answer.json)


def test_introspection_tells_a_proven_client_alone(clinic: Clinic) -> None:
    client, public = service(clinic), clinic.client()
    token = token_of(clinic, client)
    told = introspect(clinic, client, token)
    assert (told["active"], told["client_id"], told["iss"]) == (True, client, clinic.base)
    assert "system/Patient.rs" in told["scope"]
    for nothing in ("x", token[:-4] + "AAAA", "a.1." + "b" * 43, "eyJhbGciOiJub25lIn0.e30."):
        assert introspect(clinic, client, nothing) == {"active": False}
    url = clinic.discover()["introspection_endpoint"]
    for form in (
        {"token": token},
        {"token": token, "client_id": public},
        {"token": token, "client_id": client},
    ):
        answer = clinic.send("POST", url, form)
        assert answer.status in (400, 401)
        assert "active" not in answer.json
    bearer = clinic.send("POST", url, {"token": token}, Authorization=f"Bearer {token}")
    assert (bearer.status in (400, 401), "active" in bearer.json) == (True, False)
    clinic.end(client)


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_revocation_ends_both_tokens_on_every_worker_at_once(clinic: Clinic, which: str) -> None:
    app, asking = App(clinic, clinic.client()), service(clinic)
    stranger = App(clinic, clinic.client())
    given = app.tokens(browse(clinic, "Pat"))
    path = f"Patient/{given['patient']}"
    callers = [Caller(clinic.node.port, given["access_token"]) for _ in range(12)]
    assert {one.get(path).status for one in callers} == {200}
    assert introspect(clinic, asking, given[which])["active"]
    assert stranger.post("revocation_endpoint", token=given[which]).status == 200
    assert {one.get(path).status for one in callers} == {200}  # another's token stays (RFC 7009, 2.1)
    assert app.post("revocation_endpoint", token=given[which]).status == 200
    assert {one.get(path).status for one in callers} == {401}
    for _ in range(4):
        refused = app.refresh(given["refresh_token"])
        assert (refused.status, refused.json["error"]) == (400, "invalid_grant")
        for token in (given["access_token"], given["refresh_token"]):
            assert introspect(clinic, asking, token) == {"active": False}
    for caller in callers:
        caller.close()
    clinic.end(asking)


def test_the_published_documents_hold_no_secret_and_every_address_is_there(clinic: Clinic) -> None:
    told = clinic.discover()
    for name in ("openid-configuration", "smart-configuration"):
        assert clinic.send("GET", f"{clinic.base}/.well-known/{name}").json == told
    place = clinic.origin + "/.well-known/oauth-authorization-server/fhir"
    assert clinic.send("GET", place).json["issuer"] == told["issuer"]
    keys = clinic.send("GET", told["jwks_uri"]).json["keys"]
    assert keys
    for key in keys:
        assert {"d", "p", "q", "dp", "dq", "qi", "k", "oth"}.isdisjoint(key)
    for name, url in told.items():
        if name.endswith(("_endpoint", "_uri")):
            assert clinic.send("OPTIONS", url).status == 204, name
    assert json.dumps(told).count("http://") == json.dumps(told).count(clinic.origin)
