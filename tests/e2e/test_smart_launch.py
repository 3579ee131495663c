"""Launches as a browser and a program make them, on a real node of two workers: SMART App Launch 2.2 (F2, F4, F6, F7).

Then what must not be possible with what they gave, and that what was given is taken back at once everywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from careledger.smart.sessions import session_key
from careledger.smart.tables import base64url
from tests.e2e.node import Answer, Caller
from tests.e2e.smart import CALLBACK, CONNECTIONS, App, Browser, Clinic, browse, proof
from tests.smart.forging import b64, ec_key

ONLINE = "openid fhirUser launch/patient online_access patient/*.rs"


@contextmanager
def on_every_worker(clinic: Clinic, token: str) -> Iterator[Callable[[str], set[int]]]:
    """Connections that stay open: what all of them answer to that token."""
    callers = [Caller(clinic.node.port, token) for _ in range(CONNECTIONS)]
    try:
        yield lambda path: {one.get(path).status for one in callers}
    finally:
        for one in callers:
            one.close()


def error_of(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["error"]


def id_claims(clinic: Clinic, app: App, token: str) -> dict[str, Any]:
    """The ID token, checked by a library that is not ours with the published keys."""
    keys = KeySet.import_key_set(clinic.send("GET", clinic.discover()["jwks_uri"]).json)
    found = jwt.decode(token, keys, algorithms=["RS256"])
    rules = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": clinic.base}, aud={"essential": True, "value": app.id}
    )
    rules.validate(found.claims)
    return dict(found.claims)


# Launches


def test_a_patients_standalone_launch(clinic: Clinic) -> None:
    app, mine, others = App(clinic, clinic.client()), *clinic.patients[:2]
    given = app.tokens(browse(clinic, "Pat"))
    assert (given["patient"], given["token_type"], given["expires_in"]) == (mine, "Bearer", 3600)
    claims = id_claims(clinic, app, given["id_token"])
    assert (claims["nonce"], claims["fhirUser"]) == ("of-this-launch", f"{clinic.base}/Patient/{mine}")
    caller = Caller(clinic.node.port, given["access_token"])
    assert caller.get(f"Patient/{mine}").status == 200
    assert caller.get("Patient").ids == [f"Patient/{mine}"]
    assert caller.get(f"Patient/{others}").status == 404
    assert caller.get(f"Observation?patient={others}").ids == []
    assert caller.get(f"Patient/{others}/$everything").status == 404
    assert caller.post("Patient", {"resourceType": "Patient"}).status == 403
    caller.close()
    again = app.refresh(given["refresh_token"])
    assert again.status == 200
    assert (again.json["patient"], again.json["refresh_token"] != given["refresh_token"]) == (mine, True)
    assert clinic.on_all(again.json["access_token"], f"Patient/{mine}") == {200}


def test_a_patient_changes_what_is_hers_alone(clinic: Clinic) -> None:
    """By an app that she allowed to write: the house's entry stays, hers is marked; her clinician may correct both."""
    mine, scope = clinic.patients[0], "launch/patient openid fhirUser patient/*.crus"
    said: dict[str, Any] = {"resourceType": "Communication", "status": "completed"}
    said["subject"] = {"reference": f"Patient/{mine}"}
    house = clinic.node.caller()
    theirs = house.post("Communication", said).json
    caller = Caller(
        clinic.node.port,
        App(clinic, clinic.client(scope=scope)).tokens(browse(clinic, "Pat"), scope=scope)["access_token"],
    )
    refused = caller.put(f"Communication/{theirs['id']}", {**theirs, "status": "entered-in-error"})
    assert (refused.status, refused.json["issue"][0]["details"]["coding"][0]["code"]) == (
        403,
        "not-your-entry",
    )
    assert house.get(f"Communication/{theirs['id']}").json == theirs
    about = [{"reference": f"Communication/{theirs['id']}"}]
    made = caller.post("Communication", {**said, "about": about}).json
    assert [tag["code"] for tag in made["meta"]["tag"]] == ["PATAST"]
    changed = caller.put(f"Communication/{made['id']}", {**said, "id": made["id"], "status": "stopped"})
    assert (changed.status, changed.json["meta"]["tag"]) == (200, made["meta"]["tag"])
    caller.close()
    treating = App(clinic, clinic.client(scope=scope)).tokens(browse(clinic, "Clin"), mine, scope=scope)
    clinician = Caller(clinic.node.port, treating["access_token"])
    assert clinician.put(f"Communication/{theirs['id']}", theirs).status == 200
    assert clinician.put(f"Communication/{made['id']}", changed.json).status == 200
    assert clinician.post("Communication", {**said, "meta": made["meta"]}).status == 422
    clinician.close()
    house.close()


def test_a_clinician_chooses_the_patient_and_the_program_sees_that_one(clinic: Clinic) -> None:
    app, chosen, other = App(clinic, clinic.client()), clinic.patients[1], clinic.patients[2]
    given = app.tokens(browse(clinic, "Clin"), chosen)
    assert given["patient"] == chosen
    assert id_claims(clinic, app, given["id_token"])["fhirUser"] == f"{clinic.base}/{clinic.practitioner}"
    caller = Caller(clinic.node.port, given["access_token"])
    assert caller.get(f"Patient/{chosen}").status == 200
    assert caller.get(f"Patient/{other}").status == 404
    caller.close()
    browser = browse(clinic, "Clin")
    page = browser.go(browser.go(App(clinic, clinic.client()).request()).location)
    for bad in ("' OR 1=1", "../x", "", f"Patient/{chosen}"):
        refused = browser.go(
            "/oauth/patient", {"csrf": page.csrf, "ticket": page.values("ticket")[0], "patient": bad}
        )
        assert refused.status == 400, bad


def test_a_launch_from_the_record_carries_its_context_once(clinic: Clinic) -> None:
    url = "https://app.example/launch"
    app = App(clinic, clinic.client(launch_uri=url))
    browser, chosen = browse(clinic, "Clin"), clinic.patients[0]
    browser.go("/launcher")
    context = {"patient": chosen, "encounter": clinic.encounter, "intent": "reconcile-medications"}
    opened = browser.act("/launcher", client=app.id, **(context | {"patient": f"Patient/{chosen}"}))
    assert opened.location.startswith(url + "?")
    assert chosen not in opened.location
    told = dict(parse_qsl(urlsplit(opened.location).query))
    assert told["iss"] == clinic.base
    asked = {"scope": "openid fhirUser launch patient/*.rs", "launch": told["launch"]}
    given = app.tokens(browser, **asked)
    assert {name: given[name] for name in context} == context
    assert given["need_patient_banner"] is True
    assert "refresh_token" not in given
    for bad in ("' OR 1=1", "../x", "é", "x" * 65, "a/b"):
        browser.go("/launcher")
        assert browser.act("/launcher", client=app.id, patient=bad).status == 400, bad
        assert browser.act("/launcher", client=app.id, patient=chosen, intent="a b\r\nc").status == 400
    for who in (browser, browse(clinic, "Pat")):  # once, and nobody else's
        assert who.launch(App(clinic, app.id), **asked)["error"] == "invalid_request"
    assert Browser(clinic).go(App(clinic, app.id).request(launch="x" * 43)).status == 303


def test_what_the_person_narrows_and_what_version_1_asks(clinic: Clinic) -> None:
    app = App(clinic, clinic.client(scope="openid launch/patient patient/*.cruds"))
    browser = browse(clinic, "Pat")
    asked = "launch/patient patient/Observation.rs patient/Condition.rs patient/Patient.rs"
    answered = browser.launch(app, kept=["launch/patient", "patient/Patient.rs"], scope=asked)
    given = app.redeem(answered["code"]).json
    assert set(given["scope"].split()) == {"launch/patient", "patient/Patient.rs"}
    caller = Caller(clinic.node.port, given["access_token"])
    assert [caller.get(path).status for path in ("Patient", "Observation", "Condition")] == [200, 403, 403]
    caller.close()
    given = App(clinic, app.id).tokens(browser, scope="launch/patient patient/*.read")
    assert given["scope"] == "launch/patient patient/*.read"
    widened = App(clinic, app.id).tokens(browser, scope="launch/patient patient/*.* user/*.* system/*.*")
    assert "system/" not in widened["scope"]
    assert "user/" not in widened["scope"]


US_CORE = (
    "AllergyIntolerance", "CarePlan", "CareTeam", "Condition", "Device", "DiagnosticReport", "DocumentReference",
    "Encounter", "Goal", "Immunization", "MedicationRequest", "Observation", "Procedure", "Provenance", "ServiceRequest",
)  # fmt: skip


def test_g10_unauthorized_access_and_g10_restricted_resource_type_access(clinic: Clinic) -> None:
    """Inferno (g)(10): nothing without a token; with some types allowed, those and no others."""
    allowed = {"Observation", "Condition"}
    scope = "launch/patient " + " ".join(f"patient/{one}.rs" for one in sorted(allowed))
    token = App(clinic, clinic.client()).tokens(browse(clinic, "Pat"), scope=scope)["access_token"]
    nobody, caller = Caller(clinic.node.port, ""), Caller(clinic.node.port, token)
    for type in US_CORE:
        path = f"{type}?patient={clinic.patients[0]}"
        assert nobody.get(path).status == 401, type
        assert caller.get(path).status == (200 if type in allowed else 403), type
    assert nobody.get(f"Patient/{clinic.patients[0]}").status == 401
    assert caller.get(f"Patient/{clinic.patients[0]}").status == 403
    for one in (nobody, caller):
        one.close()


def test_granular_scopes_show_their_category_and_nothing_else(clinic: Clinic) -> None:
    app, mine = App(clinic, clinic.client()), clinic.patients[0]
    category = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
    given = app.tokens(
        browse(clinic, "Pat"), scope=f"launch/patient patient/Observation.rs?category={category}"
    )
    all_of = clinic.node.caller("system/*.rs")
    expected = set(all_of.all_ids(f"Observation?patient={mine}&category=laboratory&_count=500"))
    hidden = set(all_of.all_ids(f"Observation?patient={mine}&_count=500")) - expected
    assert expected
    assert hidden
    caller = Caller(clinic.node.port, given["access_token"])
    assert set(caller.all_ids("Observation?_count=500")) == expected
    assert caller.get(next(iter(expected))).status == 200
    assert caller.get(next(iter(hidden))).status in (403, 404)
    assert caller.get(f"Patient/{mine}").status == 403
    for one in (caller, all_of):
        one.close()


def test_pushed_requests_are_used_once_and_by_their_program(clinic: Clinic) -> None:
    app, other = App(clinic, clinic.client()), App(clinic, clinic.client())
    browser = browse(clinic, "Pat")

    def push() -> str:
        answer = app.post("pushed_authorization_request_endpoint", **app.asked())
        assert answer.status == 201
        return str(answer.json["request_uri"])

    def follow(client: str, uri: str) -> str:
        url = f"{clinic.discover()['authorization_endpoint']}?client_id={client}&request_uri={uri}"
        return browser.go(url).location

    uri = push()
    assert follow(other.id, uri) == ""
    assert follow(app.id, uri).startswith("/oauth/continue?ticket=")
    assert follow(app.id, uri) == ""
    assert follow(app.id, "https://evil.example/request") == ""
    bad = app.post("pushed_authorization_request_endpoint", **app.asked(redirect_uri="https://evil.example/"))
    assert bad.status == 400


def test_nobody_is_asked_with_prompt_none(clinic: Clinic) -> None:
    app = App(clinic, clinic.client())

    def silently(browser: Browser) -> dict[str, str]:
        page = browser.go(app.request(prompt="none"))
        page = browser.go(page.location) if page.location.startswith("/") else page
        return dict(parse_qsl(urlsplit(page.location).query))

    assert silently(Browser(clinic))["error"] == "login_required"
    browser = browse(clinic, "Pat")
    assert silently(browser)["error"] == "consent_required"
    app.tokens(browser)
    answered = silently(browser)
    assert app.redeem(answered["code"]).status == 200
    assert silently(browse(clinic, "Clin"))["error"] in ("consent_required", "interaction_required")


# What must not be possible


BAD_REQUESTS = {
    "smart_invalid_aud": {"aud": "https://other.example/fhir"},
    "smart_invalid_aud: none": {"aud": ""},
    "smart_pkce: none": {"code_challenge": "", "code_challenge_method": ""},
    "smart_pkce: plain": {"code_challenge_method": "plain"},
    "smart_pkce: method missing": {"code_challenge_method": ""},
    "response_type token": {"response_type": "token"},
    "response_type with id_token": {"response_type": "code id_token"},
    "response_mode fragment": {"response_mode": "fragment"},
    "no state": {"state": ""},
    "request object": {"request": "eyJhbGciOiJub25lIn0.e30."},
    "no scope": {"scope": ""},
    "a scope of nothing": {"scope": "nonsense"},
}


def test_a_bad_request_ends_without_a_code(clinic: Clinic) -> None:
    app, browser = App(clinic, clinic.client()), browse(clinic, "Pat")
    for name, changes in BAD_REQUESTS.items():
        page = browser.go(app.request(**changes))
        page = browser.go(page.location) if page.location.startswith("/") else page
        assert page.location.startswith(CALLBACK + "?error="), (name, page.status, page.location)
        told = dict(parse_qsl(urlsplit(page.location).query))
        assert "code" not in told, name
        assert told["iss"] == clinic.base, name


def test_an_answer_goes_nowhere_but_to_the_registered_address(clinic: Clinic) -> None:
    app, browser = App(clinic, clinic.client()), browse(clinic, "Pat")
    variants = (
        "https://evil.example/", "http://app.example/callback", "https://app.example:444/callback",
        "https://app.example/callback/", "https://app.example/callback?x=1", "https://app.example/callback#x",
        "https://app.example/call/../callback", "https://app.example/%63allback", "https://user@app.example/callback",
        "https://app.example.evil.example/callback", "https://APP.example/callback", "https://app.example/Callback",
        "https://app.example/callback\\@evil.example", "//app.example/callback", "javascript:alert(1)",
        "data:text/html,x", "https://xn--pp-lia.example/callback", "https://аpp.example/callback",
        "https://app.example/callback%00", "https://app.example/callback\r\nSet-Cookie: a=b", " " + CALLBACK,
    )  # fmt: skip
    for variant in (*variants, ""):
        page = browser.go(app.request(redirect_uri=variant))
        assert (page.status, page.location) == (400, ""), variant
        assert "evil" not in page.html, variant
    assert browser.go(app.request(client_id="nobody")).status == 400
    twice = browser.go(app.request() + "&redirect_uri=https://evil.example/")
    assert (twice.status, twice.location) == (400, "")


OF_ANOTHER = "another program's id"
CHALLENGE = "the challenge itself"
CODE_ATTACKS: dict[str, dict[str, str]] = {
    "smart_invalid_token_request_code": {"code": "x" * 43},
    "smart_invalid_token_request_code: none": {"code": ""},
    "smart_invalid_token_request_client": {"client_id": "nobody"},
    "smart_pkce_blank_verifier": {"code_verifier": ""},
    "smart_pkce_wrong_verifier": {"code_verifier": "w" * 60},
    "smart_pkce_verifier_is_challenge": {"code_verifier": CHALLENGE},
    "another redirect_uri": {"redirect_uri": CALLBACK + "/"},
    "no redirect_uri": {"redirect_uri": ""},
    "another program": {"client_id": OF_ANOTHER},
}


def test_a_stolen_code_is_of_no_use_and_used_twice_it_ends_the_grant(clinic: Clinic) -> None:
    app, browser = App(clinic, clinic.client()), browse(clinic, "Pat")
    meant = {OF_ANOTHER: clinic.client(), CHALLENGE: app.asked()["code_challenge"]}
    code = browser.launch(app)["code"]
    for name, changes in CODE_ATTACKS.items():
        refused = app.redeem(code, **{field: meant.get(value, value) for field, value in changes.items()})
        assert refused.status in (400, 401), (name, refused.body)
        assert "access_token" not in refused.json, name
    given = app.redeem(code)
    assert given.status == 200
    path = "Patient"
    with on_every_worker(clinic, given.json["access_token"]) as say:
        assert say(path) == {200}
        assert error_of(app.redeem(code)) == (400, "invalid_grant")
        assert say(path) == {401}
    assert error_of(app.refresh(given.json["refresh_token"])) == (400, "invalid_grant")


def test_a_former_refresh_token_ends_the_grant_on_every_worker(clinic: Clinic) -> None:
    app = App(clinic, clinic.client())
    given = app.tokens(browse(clinic, "Pat"))
    following = app.refresh(given["refresh_token"]).json
    with on_every_worker(clinic, following["access_token"]) as say:
        assert say("Patient") == {200}
        widened = app.refresh(following["refresh_token"], scope="patient/*.cruds user/*.cruds")
        assert error_of(widened) == (400, "invalid_scope")
        assert say("Patient") == {200}
        assert error_of(app.refresh(given["refresh_token"])) == (400, "invalid_grant")
        assert say("Patient") == {401}
    assert error_of(app.refresh(following["refresh_token"])) == (400, "invalid_grant")


def test_a_public_program_need_not_name_itself_and_no_other_is_spared_its_proof(clinic: Clinic) -> None:
    """RFC 6749, 6, asks for no client_id; `fhirclient` sends none."""
    public, token_url = App(clinic, clinic.client()), clinic.discover()["token_endpoint"]
    browser = browse(clinic, "Pat")

    def bare(token: str) -> Answer:
        return clinic.send("POST", token_url, {"grant_type": "refresh_token", "refresh_token": token})

    given = public.tokens(browser)
    assert bare("a.1." + "b" * 43).status == 400
    assert bare(given["refresh_token"]).status == 200
    added = clinic.add_client(method="client_secret_basic")
    secret = b64(f"{added['id']}:{added['secret']}").replace("-", "+").replace("_", "/")
    secret += "=" * (-len(secret) % 4)
    app = App(clinic, added["id"])
    code = browser.launch(app)["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    form |= {"code_verifier": app.verifier}
    for sent in ({}, {"Authorization": "Basic " + b64(f"{added['id']}:wrong")}):
        refused = clinic.send("POST", token_url, form | {"client_id": added["id"]}, **sent)
        assert error_of(refused)[1] in ("invalid_client", "invalid_request")
    given = clinic.send("POST", token_url, form, Authorization=f"Basic {secret}").json
    assert bare(given["refresh_token"]).json["error"] in ("invalid_client", "invalid_request")
    again = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
    assert clinic.send("POST", token_url, again, Authorization=f"Basic {secret}").status == 200


def test_of_many_refreshes_at_once_over_both_workers_at_most_one_wins(clinic: Clinic) -> None:
    app = App(clinic, clinic.client())
    given = app.tokens(browse(clinic, "Pat"))
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: app.refresh(given["refresh_token"]), range(16)))
    won = [one.json for one in answers if one.status == 200]
    assert len(won) <= 1
    for one in won:
        assert clinic.on_all(one["access_token"], "Patient") == {401}
        assert app.refresh(one["refresh_token"]).status == 400


def test_a_bound_token_is_of_no_use_without_its_key_even_over_kill_9(clinic: Clinic) -> None:
    key, thief = ec_key("app"), ec_key("thief")
    app = App(clinic, clinic.client(dpop_bound=True), key)
    url = f"{clinic.base}/Patient"
    with_key = {"dpop_jkt": ECKey.import_key(key.public_key()).thumbprint()}
    given = app.tokens(browse(clinic, "Pat"), **with_key)
    token = given["access_token"]
    assert given["token_type"] == "DPoP"

    def use(sent: str, scheme: str = "DPoP", method: str = "GET", path: str = "") -> int:
        headers = {"Authorization": f"{scheme} {token}"} | ({"DPoP": sent} if sent else {})
        return clinic.send(method, url + path, **headers).status

    good = proof(key, "GET", url, token)
    assert use(good) == 200
    assert use(proof(key, "GET", url, token), path="?_count=1") == 200
    bad = {
        "none": "",
        "jti replayed": good,
        "wrong htm": proof(key, "POST", url, token),
        "no htm": proof(key, "GET", url, token, htm=None),
        "wrong htu": proof(key, "GET", url + "/1", token),
        "htu of another server": proof(key, "GET", "https://other.example/fhir/Patient", token),
        "htu with the query": proof(key, "GET", url, token, htu=url + "?_count=1"),
        "wrong ath": proof(key, "GET", url, token + "x"),
        "no ath": proof(key, "GET", url),
        "old": proof(key, "GET", url, token, iat=int(time.time()) - 120),
        "made in advance": proof(key, "GET", url, token, iat=int(time.time()) + 120),
        "no jti": proof(key, "GET", url, token, jti=None),
        "another key": proof(thief, "GET", url, token),
        "no proof": "a.b.c",
    }
    for name, sent in bad.items():
        assert use(sent) == 401, name
    assert use(proof(key, "GET", url, token), "Bearer") == 401
    assert use("", "Bearer") == 401
    clinic.kill()
    assert use(good) == 401
    assert use(proof(key, "GET", url, token)) == 200
    stolen = App(clinic, app.id, thief).refresh(given["refresh_token"])
    assert error_of(stolen) == (400, "invalid_grant")
    bare = App(clinic, app.id).refresh(given["refresh_token"])
    assert bare.status == 400
    assert app.refresh(given["refresh_token"]).status == 200
    code = browse(clinic, "Pat").launch(app, **with_key)["code"]
    assert App(clinic, app.id, thief, app.verifier).redeem(code).status == 400
    assert app.redeem(code).status == 200


# What was given is taken back


def test_a_suspended_practitioner_is_out_at_the_next_block_and_back_when_reinstated(clinic: Clinic) -> None:
    app, chosen = App(clinic, clinic.client()), clinic.patients[1]
    browser = browse(clinic, "Clin")
    given = app.tokens(browser, chosen)
    paths = (f"Patient/{chosen}", f"Observation?patient={chosen}", f"Patient/{chosen}/$everything")
    with on_every_worker(clinic, given["access_token"]) as say:
        assert [say(path) for path in paths] == [{200}] * 3
        clinic.command("practitioner", "suspend", clinic.did)
        try:
            assert [say(path) for path in paths] == [{401}] * 3
            refused = app.refresh(given["refresh_token"])
            assert error_of(refused) == (400, "invalid_grant")
            begun = browser.go(App(clinic, clinic.client()).request())
            pages = (begun.location, "/me", "/launcher")
            assert [browser.go(page).status for page in pages] == [403] * 3
            assert "has suspended you" in browser.page.html and "/launcher" not in browser.page.html
        finally:
            clinic.command("practitioner", "reinstate", clinic.did)
        assert [say(path) for path in paths] == [
            {200}
        ] * 3  # nobody ended the grant: the ledger said no, now yes
    assert app.refresh(given["refresh_token"]).status == 200
    assert App(clinic, app.id).tokens(browse(clinic, "Clin"), chosen)["patient"] == chosen


@pytest.mark.parametrize("how", ["sign-out", "end-one", "end-others", "another-sign-in"])
def test_online_access_ends_with_its_session_and_offline_access_stays(clinic: Clinic, how: str) -> None:
    app, browser = App(clinic, clinic.client()), browse(clinic, "Pat")
    online = app.tokens(browser, scope=ONLINE)
    plain = App(clinic, app.id).tokens(browser, scope="launch/patient patient/*.rs")
    offline = App(clinic, app.id).tokens(browser)
    assert online["expires_in"] <= 1800  # no longer than an idle session lasts
    begun = App(clinic, app.id)
    code = browser.launch(begun, scope=ONLINE)["code"]
    elsewhere = browse(clinic, "Pat")
    kept = App(clinic, app.id).tokens(elsewhere, scope=ONLINE)
    tokens = [one["access_token"] for one in (online, plain, offline, kept)]
    with on_every_worker(clinic, tokens[0]) as say:
        assert say("Patient") == {200}
        end_session(how, browser, elsewhere)
        assert say("Patient") == {401}
    assert [clinic.on_all(one, "Patient") for one in tokens[1:]] == [{401}, {200}, {200}]
    assert error_of(app.refresh(online["refresh_token"])) == (400, "invalid_grant")
    assert error_of(begun.redeem(code)) == (400, "invalid_grant")
    assert app.refresh(offline["refresh_token"]).status == 200


def end_session(how: str, browser: Browser, elsewhere: Browser) -> None:
    if how == "sign-out":
        browser.go("/me")
        assert browser.act("/sign-out").location == "/sign-in"
        assert browser.go("/me").location == "/sign-in"
    elif how == "end-others":
        elsewhere.go("/me")
        assert elsewhere.act("/me/sessions/end-others").status == 303
    elif how == "end-one":
        ours = base64url(session_key(browser.cookies["careledger"]))
        assert ours in elsewhere.go("/me").values("session")
        assert elsewhere.act("/me/sessions/end", session=ours).status == 303
    else:
        browser.sign_in("Pat")


def test_an_app_withdrawn_on_my_page_is_out_on_every_worker(clinic: Clinic) -> None:
    app, browser = App(clinic, clinic.client(name="Withdrawn soon")), browse(clinic, "Pat")
    given = app.tokens(browser)
    page = browser.go("/me")
    html = page.html[page.html.index("Withdrawn soon") :]
    grant = html.split('name="grant" value="')[1].partition('"')[0]
    with on_every_worker(clinic, given["access_token"]) as say:
        assert say("Patient") == {200}
        assert browse(clinic, "Adm").go("/me").values("grant") == []
        stranger = browse(clinic, "Adm")
        stranger.go("/me")
        assert stranger.act("/me/apps/end", grant=grant).status == 404
        assert say("Patient") == {200}
        assert browser.act("/me/apps/end", grant=grant).status == 303
        assert say("Patient") == {401}
