"""The pages of people: every path, with whom it demands, in one literal table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from careledger.smart.wording import LANGUAGES
from careledger.web.smart import audit, deciding, desk, entering, here, mine, onboarding, signing
from careledger.web.smart.messages import Handler, Routes, SmartAnswer, SmartRequest
from careledger.web.smart.rendering import ASSETS, read_asset
from careledger.web.smart.screens import Demand, Form, People, Route, go, guard
from careledger.web.smart.visits import Visit


async def speak(people: People, visit: Visit, form: Form) -> SmartAnswer:
    """Another language from now on."""
    chosen = form.one("language")
    for language in LANGUAGES:
        if language == chosen:
            visit.speak(language)
    return go(visit, "/me" if visit.signed_in is not None else "/sign-in")


ROUTES: Final[Mapping[tuple[str, str], Route]] = MappingProxyType(
    {
        ("GET", "/session"): Route(here.tell_house, "nobody", is_json=True, is_exit=True),
        ("GET", "/sign-in"): Route(entering.show_sign_in, "nobody"),
        ("POST", "/sign-in/options"): Route(entering.begin, "nobody", is_json=True),
        ("POST", "/sign-in/answer"): Route(entering.sign_in, "nobody", is_json=True),
        ("POST", "/language"): Route(speak, "nobody", is_exit=True),
        ("GET", "/enrol"): Route(entering.show_enrol, "nobody"),
        ("POST", "/enrol"): Route(entering.enrol, "nobody"),
        ("POST", "/passkey/options"): Route(entering.begin_passkey, "nobody", is_json=True),
        ("POST", "/passkey/answer"): Route(entering.make_passkey, "nobody", is_json=True),
        ("GET", "/recover"): Route(entering.show_recover, "nobody"),
        ("POST", "/recover/code"): Route(entering.recover_with_code, "nobody"),
        ("POST", "/recover/ticket"): Route(entering.recover_with_ticket, "nobody"),
        ("POST", "/sign-out"): Route(entering.sign_out, "session", is_exit=True),
        ("POST", "/step-up/options"): Route(entering.begin, "session", is_json=True),
        ("POST", "/step-up/answer"): Route(entering.step_up, "session", is_json=True),
        ("GET", "/welcome"): Route(onboarding.welcome, "session"),
        ("GET", "/kit"): Route(onboarding.show_kit, "session"),
        ("POST", "/kit"): Route(onboarding.print_kit, "session"),
        ("POST", "/kit/rehearse"): Route(onboarding.rehearse_kit, "session"),
        ("GET", "/me"): Route(mine.show_me, "session"),
        ("POST", "/me/passkeys/options"): Route(entering.begin_another, "session", is_json=True),
        ("POST", "/me/passkeys/answer"): Route(entering.add_another, "session", is_json=True),
        ("POST", "/me/passkeys/remove"): Route(mine.drop_passkey, "session"),
        ("POST", "/me/key/options"): Route(deciding.show_key, "session", is_json=True),
        ("POST", "/me/key/answer"): Route(deciding.enrol_key, "session", is_json=True),
        ("POST", "/me/copies/options"): Route(deciding.show_copy_key, "session", is_json=True),
        ("POST", "/me/copies/answer"): Route(deciding.keep_wraps, "session", is_json=True),
        ("POST", "/me/sessions/end"): Route(mine.end_one, "session"),
        ("POST", "/me/sessions/end-others"): Route(mine.end_others, "session"),
        ("POST", "/me/apps/end"): Route(mine.end_app, "session"),
        ("POST", "/me/guardian"): Route(mine.choose_guardian, "session"),
        ("POST", "/me/wards/approve"): Route(mine.approve_ward, "session"),
        ("POST", "/me/recovery/stop"): Route(mine.stop_recovery, "session"),
        ("GET", "/launcher"): Route(desk.show_launcher, "clinician"),
        ("POST", "/launcher"): Route(desk.launch, "clinician"),
        ("GET", "/launcher/apps"): Route(desk.list_apps, "clinician", is_json=True),
        ("POST", "/launcher/open"): Route(desk.open_app, "clinician", is_json=True),
        ("GET", "/sign"): Route(signing.show_sign, "clinician"),
        ("POST", "/sign"): Route(signing.write, "clinician"),
        ("POST", "/sign/key"): Route(signing.choose_key, "clinician"),
        ("POST", "/sign/again"): Route(signing.begin_anew, "clinician"),
        ("POST", "/sign/options"): Route(signing.options, "clinician", is_json=True),
        ("POST", "/sign/answer"): Route(signing.answer, "clinician", is_json=True),
        ("GET", "/desk"): Route(desk.show_desk, "administrator"),
        ("GET", "/desk/audit"): Route(audit.show_audit, "administrator"),
        ("POST", "/desk/invite"): Route(desk.invite_somebody, "administrator"),
        ("POST", "/desk/invitations/withdraw"): Route(desk.withdraw_invitation, "administrator"),
        ("POST", "/desk/accounts/disable"): Route(desk.disable_account, "administrator"),
        ("POST", "/desk/accounts/enable"): Route(desk.enable_account, "administrator"),
        ("POST", "/desk/requests"): Route(desk.ask_for_act, "administrator"),
        ("POST", "/desk/requests/approve"): Route(desk.approve, "administrator"),
        ("POST", "/desk/requests/refuse"): Route(desk.refuse, "administrator"),
    }
)
"""(method, path) -> screen and demand."""

DEMANDS: Final[Mapping[tuple[str, str], Demand]] = MappingProxyType(
    {place: route.demand for place, route in ROUTES.items()}
)
"""For the inventory: what each demands. What `nobody` needs comes from our own page all the same, if it is a POST."""


def routes(people: People) -> Routes:
    """The handlers, and the two files that the pages load."""
    found: dict[tuple[str, str], Handler] = {
        (method, path): guard(people, method, route) for (method, path), route in ROUTES.items()
    }
    for name in ASSETS:
        found["GET", f"/ui/{name}"] = _asset(name)
    return MappingProxyType(found)


def _asset(name: str) -> Handler:
    async def handle(request: SmartRequest) -> SmartAnswer:
        content = read_asset(name)
        if content is None:
            return SmartAnswer(404, b"", [(b"content-type", b"text/plain")])
        return SmartAnswer(200, content, [(b"content-type", ASSETS[name])])

    return handle
