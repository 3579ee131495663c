"""From an authorisation request to tokens and their end; the negative cases of ONC's (g)(10) tests by their names."""

from __future__ import annotations

import asyncio
import itertools
import json
from base64 import urlsafe_b64decode
from typing import Any

import pytest

from careledger.access.directives import Grantee
from careledger.access.force import grantees_of
from careledger.primitives.errors import Unauthenticated
from careledger.smart import authorising, codes, grants, introspection, launches, requests, scoping
from careledger.smart.authorising import AskConsent, ChoosePatient, Redirect, SignIn
from careledger.smart.codes import CODE_MS
from careledger.smart.errors import OAuthError
from careledger.smart.launches import LAUNCH_MS, Launch
from careledger.smart.remembering import Remembered
from careledger.smart.requests import PENDING_MS, PUSHED_MS, RedirectedError
from careledger.smart.sessions import end_session
from tests.smart.flow_support import BASE, CHALLENGE, REDIRECT, STATE, VERIFIER, House, refusal
from tests.smart.forging import run


@pytest.fixture
def house() -> House:
    return House()


def test_standalone_launch_of_a_patients_app(house: House) -> None:
    back = house.allow(house.ana)
    assert back["state"] == STATE and back["iss"] == BASE
    answer = house.redeem(back["code"])
    assert (answer["patient"], answer["token_type"], answer["expires_in"]) == ("ana", "Bearer", 3600)
    actor = house.actor(answer)
    assert (actor.patient, actor.practitioner, actor.account) == ("ana", "", house.ana.account.id)
    claims = json.loads(urlsafe_b64decode(answer["id_token"].split(".")[1] + "=="))
    assert (claims["aud"], claims["iss"], claims["nonce"]) == (house.app.id, BASE, "nonce-of-the-app")
    assert claims["fhirUser"] == BASE + "/Patient/ana"


def test_a_clinician_chooses_a_patient(house: House) -> None:
    pending = house.begin()
    assert isinstance(run(authorising.next_step(house.server, pending, house.doctor)), ChoosePatient)
    answer = house.redeem(house.allow(house.doctor, patient="ben")["code"])
    actor = house.actor(answer)
    assert (answer["patient"], actor.patient, actor.practitioner) == ("ben", "ben", "doctor")
    assert grantees_of(actor) >= {
        Grantee(kind="practitioner", value=one) for one in ("doctor", "did:careledger:dd")
    }
    assert actor.did == "did:careledger:dd" and "physician" in actor.roles


def test_ehr_launch_gives_the_context_it_was_made_with_once(house: House) -> None:
    context = {
        "patient": "ben",
        "encounter": "e1",
        "intent": "order",
        "need_patient_banner": "false",
        "role": "x",
    }
    launch = Launch(client=house.app.id, account=house.doctor.account.id, context=context)
    value = run(launches.begin(house.registry, launch, house.clock()))
    scope = "launch openid fhirUser online_access patient/*.rs"
    answer = house.redeem(house.allow(house.doctor, launch=value, scope=scope)["code"])
    assert (answer["patient"], answer["encounter"], answer["intent"]) == ("ben", "e1", "order")
    assert answer["need_patient_banner"] is False and "role" not in answer
    assert refusal(lambda: house.allow(house.doctor, launch=value, scope=scope)).code == "launch-unknown"


@pytest.mark.parametrize("who", ["another account", "another client", "too late"])
def test_a_launch_is_for_one_person_and_program_and_five_minutes(house: House, who: str) -> None:
    client = house.other.id if who == "another client" else house.app.id
    account = house.ana if who == "another account" else house.doctor
    launch = Launch(client=client, account=account.account.id, context={"patient": "ben"})
    value = run(launches.begin(house.registry, launch, house.clock()))
    house.clock.now_ms += LAUNCH_MS if who == "too late" else 0
    assert refusal(lambda: house.allow(house.doctor, launch=value)).code == "launch-unknown"


UNSENT: list[tuple[str, dict[str, str], str]] = [
    ("unknown client", {"client_id": "nobody"}, "client-unknown"),
    ("no client", {"client_id": ""}, "client-unknown"),
    ("another redirect", {"redirect_uri": "https://evil.example/callback"}, "redirect-uri"),
    ("a longer redirect", {"redirect_uri": REDIRECT + "/x"}, "redirect-uri"),
    ("no redirect", {"redirect_uri": ""}, "redirect-uri"),
]


@pytest.mark.parametrize(("name", "changes", "code"), UNSENT)
def test_nothing_is_sent_where_the_program_is_not_certain(
    house: House, name: str, changes: dict[str, str], code: str
) -> None:
    with pytest.raises(OAuthError) as refused:
        house.begin(**changes)
    assert refused.value.code == code


SENT_BACK: list[tuple[str, dict[str, str], str]] = [
    ("smart_invalid_aud", {"aud": "https://other.example/fhir"}, "invalid_request"),
    ("smart_invalid_aud: none", {"aud": ""}, "invalid_request"),
    ("smart_pkce: no challenge", {"code_challenge": ""}, "invalid_request"),
    ("smart_pkce: no method", {"code_challenge_method": ""}, "invalid_request"),
    ("smart_pkce: plain", {"code_challenge_method": "plain", "code_challenge": VERIFIER}, "invalid_request"),
    ("a challenge of another length", {"code_challenge": CHALLENGE[:-1]}, "invalid_request"),
    ("response_type=token", {"response_type": "token"}, "unsupported_response_type"),
    ("response_type=code id_token", {"response_type": "code id_token"}, "unsupported_response_type"),
    ("response_mode=fragment", {"response_mode": "fragment"}, "invalid_request"),
    ("no state", {"state": ""}, "invalid_request"),
    ("a short state", {"state": "1234567"}, "invalid_request"),
    ("a request object", {"request": "eyJ"}, "request_not_supported"),
    ("a request by reference", {"request_uri": "https://evil.example/r"}, "request_not_supported"),
    ("no scope", {"scope": ""}, "invalid_scope"),
    ("control characters", {"scope": "openid\npatient/*.rs"}, "invalid_request"),
    ("prompt=none login", {"prompt": "none login"}, "invalid_request"),
    ("max_age=-1", {"max_age": "-1"}, "invalid_request"),
    ("a thumbprint that is none", {"dpop_jkt": "x"}, "invalid_request"),
]


@pytest.mark.parametrize(("name", "changes", "error"), SENT_BACK)
def test_a_bad_request_goes_back_without_a_code(
    house: House, name: str, changes: dict[str, str], error: str
) -> None:
    with pytest.raises(RedirectedError) as refused:
        house.begin(**changes)
    back = house.answered(authorising.redirect_error(house.server, refused.value))
    assert (back["error"], back["iss"]) == (error, BASE) and "code" not in back
    assert back.get("state", "") == house.asked(**changes).get("state", "")


def test_parameters_are_given_once_and_within_limits() -> None:
    for pairs in ([("a", "1"), ("a", "1")], [("a", "x" * 5000)], [(str(n), "") for n in range(50)]):
        with pytest.raises(OAuthError):
            requests.read_parameters(pairs)


def test_nobody_is_asked_who_was_not_to_be_asked(house: House) -> None:
    for who, error in (
        (None, "login_required"),
        (house.doctor, "interaction_required"),
        (house.ana, "consent_required"),
    ):
        pending = house.begin(prompt="none")
        found = refusal(
            lambda pending=pending, who=who: run(authorising.next_step(house.server, pending, who))
        )
        assert found.error == error


def test_a_fresher_sign_in_is_demanded(house: House) -> None:
    house.clock.now_ms += 60_000
    for changes in ({"prompt": "login"}, {"max_age": "59"}):
        step = run(authorising.next_step(house.server, house.begin(**changes), house.ana))
        assert step == SignIn(again=True)
    assert isinstance(
        run(authorising.next_step(house.server, house.begin(max_age="61"), house.ana)), AskConsent
    )


def test_what_was_allowed_is_not_asked_again_and_more_is(house: House) -> None:
    house.redeem(house.allow(house.ana)["code"])
    again = house.begin()
    assert isinstance(run(authorising.next_step(house.server, again, house.ana)), Redirect)
    for changes in (
        {"prompt": "consent"},
        {"scope": "openid offline_access patient/*.rs user/*.rs online_access"},
    ):
        assert isinstance(
            run(authorising.next_step(house.server, house.begin(**changes), house.ana)), AskConsent
        )
    assert isinstance(run(authorising.next_step(house.server, house.begin(), house.ben)), AskConsent)


def test_what_one_clinician_allowed_another_is_asked(house: House) -> None:
    house.redeem(house.allow(house.doctor, patient="ben")["code"])
    other = house.account("clinician", "Practitioner/other")
    pending = house.begin()
    run(authorising.next_step(house.server, pending, other))
    run(authorising.choose_patient(house.server, house.again(pending), other, "ben"))
    assert isinstance(run(authorising.next_step(house.server, house.again(pending), other)), AskConsent)


def test_only_who_began_to_answer_answers_and_only_what_was_offered(house: House) -> None:
    pending = house.begin()
    run(authorising.next_step(house.server, pending, house.ana))
    pending = house.again(pending)
    assert (
        refusal(lambda: run(authorising.next_step(house.server, pending, house.ben))).code == "request-taken"
    )
    answers = [
        (house.ben, ("patient/*.rs",), "consent-not-yours"),
        (house.ana, ("patient/*.cruds",), "consent-widened"),
        (house.ana, ("system/*.rs",), "consent-widened"),
    ]
    for who, kept, code in answers:
        found = refusal(
            lambda who=who, kept=kept: run(authorising.answer(house.server, pending, who, kept, 1))
        )
        assert found.code == code
    assert (
        refusal(lambda: run(authorising.answer(house.server, pending, house.ana, None, 0))).error
        == "access_denied"
    )
    assert (
        refusal(lambda: run(authorising.answer(house.server, pending, house.ana, ("openid",), 0))).code
        == "request-gone"
    )


def test_a_patient_cannot_choose_another_patient(house: House) -> None:
    pending = house.begin()
    run(authorising.next_step(house.server, pending, house.ana))
    pending = house.again(pending)
    choose = lambda: run(authorising.choose_patient(house.server, pending, house.ana, "ben"))  # noqa: E731
    assert refusal(choose).code == "patient-unasked"


CODES: list[tuple[str, dict[str, str], str]] = [
    ("smart_invalid_token_request: code", {"code": "x" * 43}, "code-unknown"),
    ("smart_pkce: no verifier", {"code_verifier": ""}, "pkce-verifier"),
    ("smart_pkce: wrong verifier", {"code_verifier": "w" * 60}, "pkce-verifier"),
    ("smart_pkce: verifier equals challenge", {"code_verifier": CHALLENGE}, "pkce-verifier"),
    ("smart_pkce: a short verifier", {"code_verifier": VERIFIER[:42]}, "pkce-verifier"),
    ("another redirect", {"redirect_uri": REDIRECT + "?x"}, "code-redirect"),
    ("no redirect", {"redirect_uri": ""}, "code-redirect"),
]


@pytest.mark.parametrize(("name", "changes", "code"), CODES)
def test_a_code_is_redeemed_by_who_asked_for_it(
    house: House, name: str, changes: dict[str, str], code: str
) -> None:
    good = house.allow(house.ana)["code"]
    assert refusal(lambda: house.redeem(**({"code": good} | changes))).code == code
    assert house.redeem(good)["access_token"]  # a wrong try uses nothing up


def test_smart_invalid_token_request_client(house: House) -> None:
    """A code that was injected into another program opens nothing there."""
    code = house.allow(house.ana)["code"]
    parameters = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    }
    assert refusal(lambda: house.token(house.other, **parameters)).code == "code-unknown"


def test_a_code_lives_a_minute(house: House) -> None:
    code = house.allow(house.ana)["code"]
    house.clock.now_ms += CODE_MS
    assert refusal(lambda: house.redeem(code)).code == "code-expired"


def test_a_code_that_is_used_twice_ends_what_came_of_it(house: House) -> None:
    code = house.allow(house.ana)["code"]
    answer = house.redeem(code)
    assert refusal(lambda: house.redeem(code)).code == "code-used"
    with pytest.raises(Unauthenticated):
        house.actor(answer)
    assert refusal(lambda: house.refresh(answer["refresh_token"])).error == "invalid_grant"


def test_of_a_hundred_refreshes_at_once_one_wins_and_the_grant_ends(house: House) -> None:
    """F6."""
    token = house.redeem(house.allow(house.ana)["code"])["refresh_token"]
    parameters = {"grant_type": "refresh_token", "refresh_token": token}

    async def race() -> list[Any]:
        from careledger.smart.issuing import issue

        tries = (issue(house.server, house.app, parameters, "") for _ in range(100))
        return await asyncio.gather(*tries, return_exceptions=True)

    outcome = run(race())
    won = [one for one in outcome if isinstance(one, dict)]
    assert len(won) == 1 and all(isinstance(one, OAuthError) for one in outcome if one not in won)
    assert refusal(lambda: house.refresh(won[0]["refresh_token"])).error == "invalid_grant"
    with pytest.raises(Unauthenticated):
        house.actor(won[0])


def test_a_refresh_that_lost_a_race_ends_the_grant(house: House) -> None:
    answer = house.redeem(house.allow(house.ana)["code"])
    stale = grants.find_refreshed(house.registry, answer["refresh_token"])
    assert stale is not None
    won = house.refresh(answer["refresh_token"])
    rotate = lambda: run(  # noqa: E731
        grants.rotate(house.registry, house.server.revoke, stale, answer["refresh_token"], stale.value)
    )
    assert refusal(rotate).code == "refresh-reused"
    with pytest.raises(Unauthenticated):
        house.actor(won)


def test_a_former_refresh_token_ends_the_grant_and_an_invented_one_nothing(house: House) -> None:
    first = house.redeem(house.allow(house.ana)["code"])["refresh_token"]
    second = house.refresh(first)
    id, _, mac = second["refresh_token"].split(".")
    invented = [
        f"{id}.1.{mac}",
        f"{id}.2.{'A' * 43}",
        f"{id}.3.{mac}",
        f"{id}.{mac}",
        f"{id}.02.{mac}",
        "",
        first + "x",
    ]
    for one in invented:
        assert refusal(lambda one=one: house.refresh(one)).code == "refresh-unknown"
    third = house.refresh(second["refresh_token"])
    assert refusal(lambda: house.refresh(first)).code == "refresh-reused"
    assert refusal(lambda: house.refresh(third["refresh_token"])).error == "invalid_grant"
    with pytest.raises(Unauthenticated):
        house.actor(third)


def test_a_refresh_token_is_its_programs(house: House) -> None:
    token = house.redeem(house.allow(house.ana)["code"])["refresh_token"]
    assert refusal(lambda: house.refresh(token, house.other)).code == "refresh-unknown"
    assert house.refresh(token)["access_token"]


def test_a_refresh_never_widens(house: House) -> None:
    token = house.redeem(
        house.allow(house.ana, scope="openid offline_access patient/Observation.rs")["code"]
    )["refresh_token"]
    for scope in (
        "patient/*.rs",
        "patient/Observation.cruds",
        "patient/Observation.rs user/Patient.r",
        "fhirUser",
    ):
        found = refusal(lambda scope=scope: house.refresh(token, scope=scope))
        assert found.error == "invalid_scope"
    less = house.refresh(token, scope="patient/Observation.r")
    assert str(house.actor(less).scopes) == "patient/Observation.r"
    assert str(house.actor(house.refresh(less["refresh_token"])).scopes) == "patient/Observation.rs"


def test_no_refresh_token_without_offline_or_online_access(house: House) -> None:
    answer = house.redeem(house.allow(house.ana, scope="openid patient/*.rs")["code"])
    assert "refresh_token" not in answer


def test_online_access_ends_with_the_session_and_offline_access_does_not(house: House) -> None:
    online = house.redeem(house.allow(house.ana, scope="online_access patient/*.rs")["code"])
    offline = house.redeem(house.allow(house.ana)["code"])
    run(end_session(house.registry, house.ana.account.id, house.ana.key))
    assert refusal(lambda: house.refresh(online["refresh_token"])).code == "session-ended"
    with pytest.raises(Unauthenticated):
        house.actor(online)
    assert house.refresh(offline["refresh_token"])["access_token"]


def test_a_suspended_practitioner_gets_nothing(house: House) -> None:
    back = house.allow(house.doctor, patient="ana")
    answer = house.redeem(back["code"])
    late = house.allow(house.doctor, patient="ana", prompt="consent")
    house.suspended.add("did:careledger:dd")
    assert refusal(lambda: house.refresh(answer["refresh_token"])).code == "practitioner-suspended"
    assert refusal(lambda: house.redeem(late["code"])).code == "practitioner-suspended"


def test_a_key_that_the_request_named_is_demanded_from_then_on(house: House) -> None:
    jkt, other = "A" * 43, "A" * 42 + "E"
    code = house.allow(house.ana, dpop_jkt=jkt)["code"]
    parameters = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "code_verifier": VERIFIER,
    }  # fmt: skip
    for wrong in ("", other):
        assert refusal(lambda wrong=wrong: house.token(jkt=wrong, **parameters)).code == "code-key"
    answer = house.token(jkt=jkt, **parameters)
    assert answer["token_type"] == "DPoP" and house.actor(answer).confirmation == jkt
    again = {"grant_type": "refresh_token", "refresh_token": answer["refresh_token"]}
    for wrong in ("", other):
        assert refusal(lambda wrong=wrong: house.token(jkt=wrong, **again)).code == "refresh-key"
    assert house.token(jkt=jkt, **again)["token_type"] == "DPoP"


def test_pushed_requests_are_used_once_by_their_program(house: House) -> None:
    request = requests.read_request(house.registry, house.asked(), BASE)
    uri = run(requests.push(house.registry, request, house.clock()))
    assert (
        refusal(lambda: run(requests.take_pushed(house.registry, uri, house.other.id))).code == "request-gone"
    )
    assert run(requests.take_pushed(house.registry, uri, house.app.id)) == request
    assert (
        refusal(lambda: run(requests.take_pushed(house.registry, uri, house.app.id))).code == "request-gone"
    )
    late = run(requests.push(house.registry, request, house.clock()))
    house.clock.now_ms += PUSHED_MS
    assert (
        refusal(lambda: run(requests.take_pushed(house.registry, late, house.app.id))).code == "request-gone"
    )
    waiting = run(requests.keep(house.registry, request, house.clock()))
    taken = requests.PUSHED_PREFIX + waiting
    assert (
        refusal(lambda: run(requests.take_pushed(house.registry, taken, house.app.id))).code == "request-gone"
    )
    house.clock.now_ms += PENDING_MS
    with pytest.raises(OAuthError):
        requests.find_pending(house.registry, waiting)


def test_introspection_tells_a_token_and_nothing_of_one_that_has_ended(house: House) -> None:
    answer = house.redeem(house.allow(house.ana)["code"])
    read = lambda token: house.verifier.read(token.encode())  # noqa: E731
    for token in (answer["access_token"], answer["refresh_token"]):
        told = introspection.introspect(house.server, read, token)
        assert told["active"] and (told["patient"], told["iss"], told["client_id"]) == (
            "ana",
            BASE,
            house.app.id,
        )
        assert told["fhirUser"] == BASE + "/Patient/ana"
    run(introspection.revoke_token(house.server, house.other, read, answer["refresh_token"]))
    assert introspection.introspect(house.server, read, answer["access_token"])["active"]
    run(introspection.revoke_token(house.server, house.app, read, answer["access_token"]))
    for token in (answer["access_token"], answer["refresh_token"], "", "x.y.z", answer["id_token"]):
        assert introspection.introspect(house.server, read, token) == {"active": False}
    assert refusal(lambda: house.refresh(answer["refresh_token"])).error == "invalid_grant"


def test_a_person_ends_what_they_allowed_and_nobody_elses(house: House) -> None:
    from careledger.primitives.errors import NotFound

    answer = house.redeem(house.allow(house.ana)["code"])
    grant = grants.list_grants(house.registry, account=house.ana.account.id)[0]
    with pytest.raises(NotFound):
        run(grants.end_grant(house.registry, house.server.revoke, grant.id, account=house.ben.account.id))
    assert house.actor(answer)
    run(grants.end_grant(house.registry, house.server.revoke, grant.id, account=house.ana.account.id))
    with pytest.raises(Unauthenticated):
        house.actor(answer)


ASKED = (
    "patient/*.cruds",
    "user/*.cruds",
    "system/*.cruds",
    "patient/Observation.*",
    "patient/*.read",
    "user/Patient.c",
)


def test_scopes_are_the_least_of_all_for_every_kind_of_person(house: House) -> None:
    """F7: what comes out is covered by what was asked, by the registration, and by what the person may."""
    for who, asked, registered in itertools.product((house.ana, house.doctor), ASKED, ASKED):
        limited = scoping.limit(scoping.read_scopes(asked), registered, who.account)
        for most in (asked, registered, scoping.USER_SCOPES[who.account.kind]):
            assert scoping.covers(scoping.read_scopes(most), limited)
        assert not any(scope.level == "system" for scope in limited.scopes)
    assert not scoping.limit(scoping.read_scopes("user/*.rs"), "user/*.rs", house.admin.account).scopes


def test_a_service_gets_system_scopes_alone(house: House) -> None:
    for asked in ("patient/*.rs", "user/*.rs", "system/*.rs openid", "launch system/*.rs"):
        assert (
            refusal(
                lambda asked=asked: scoping.limit_service(scoping.read_scopes(asked), "system/*.rs")
            ).error
            == "invalid_scope"
        )
    assert (
        str(scoping.limit_service(scoping.read_scopes("system/*.cruds"), "system/Patient.rs"))
        == "system/Patient.rs"
    )


def test_version_1_is_answered_as_it_was_asked(house: House) -> None:
    granted = scoping.read_scopes("patient/Observation.rs patient/Patient.r")
    assert scoping.spell(granted, "patient/Observation.read") == "patient/Observation.read patient/Patient.r"
    assert scoping.spell(granted, "patient/Observation.*") == "patient/Observation.rs patient/Patient.r"


def test_codes_are_long_and_kept_as_digests(house: House) -> None:
    code = house.allow(house.ana)["code"]
    assert len(code) == 43
    assert all(code.encode() not in key + entry.value for key, entry in house.registry.list("code"))
    assert codes.CODES.get(house.registry, code.encode()) is None


DAY_MS = 86_400_000


def test_what_was_allowed_for_seven_days_ends_then_however_often_it_is_used(house: House) -> None:
    answer = house.redeem(house.allow(house.ana, days=7)["code"])
    for _ in range(6):
        house.clock.now_ms += DAY_MS
        answer = house.refresh(answer["refresh_token"])
    quiet = house.redeem(house.allow(house.ana, days=0)["code"])  # nobody is asked: it was allowed
    house.clock.now_ms += DAY_MS - 1000
    assert [house.refresh(one["refresh_token"])["expires_in"] for one in (answer, quiet)] == [1, 1]
    house.clock.now_ms += 1000
    for one in (answer, quiet):
        assert refusal(lambda one=one: house.refresh(one["refresh_token"])).code == "refresh-unknown"


def test_what_nobody_was_asked_about_again_ends_with_the_directive_of_the_first(house: House) -> None:
    found = house.begin()
    asked = run(authorising.next_step(house.server, found, house.ana))
    assert isinstance(asked, AskConsent)
    kept, signed = tuple(str(asked.offered).split()), Remembered("ab" * 32, b"c" * 32)
    step = run(authorising.answer(house.server, house.again(found), house.ana, kept, 30, signed))
    assert isinstance(step, Redirect)
    house.redeem(house.answered(step)["code"])
    house.redeem(house.allow(house.ana)["code"])
    standing = grants.list_grants(house.registry, account=house.ana.account.id)
    assert [(one.directive, one.code) for one in standing] == [(signed.directive, signed.code)] * 2
