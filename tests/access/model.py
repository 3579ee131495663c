"""The rules of docs/spec/consent.md as naive loops over calendar days: what `decide` is compared with.

Written from the rules, not from the code: no scopes' bits, no day numbers, no partition, no early end. Each rule is
asked for by itself; the first in the order of the page that says yes is the answer.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

ANSWERS = {
    "scope": "forbidden",
    "granular-scope": "absent",
    "other-patient": "absent",
    "house-read-only": "forbidden",
    "own-chart": "permit",
    "emergency": "permit",
    "stale": "absent",
    "directive-deny": "absent",
    "directive-permit": "permit",
    "custodian-default": "permit",
    "supporting": "permit",
    "no-directive": "absent",
    "purpose": "absent",
}
LETTERS = {
    "read": "r", "vread": "r", "history-instance": "r", "include": "r", "proof": "r", "history-type": "s",
    "history-system": "s", "search": "s", "count": "s", "everything": "rs", "create": "c",
    "conditional-create": "cs", "update": "u", "conditional-update": "us", "patch": "u", "delete": "d",
    "conditional-delete": "ds", "validate": "",
}  # fmt: skip
CARE = {"TREAT", "HPAYMT", "HOPERAT"}
KNOWN = {*CARE, "HRESCH", "ETREAT", "PATRQT", "HMARKT"}
"""Of HL7's purposes those that the tests use; every other code they use is nobody's."""
SUPPORTING = {"Practitioner", "Organization"}


def changes(request):
    return any(letter in "cud" for letter in LETTERS.get(request.interaction, ""))


def looks(request):
    return (
        request.interaction in LETTERS
        and not changes(request)
        and request.interaction not in ("validate", "proof")
    )


def outside_scope(request, actor):
    """No scope of the type holds a letter that is needed, whatever it is narrowed to."""
    if request.interaction not in LETTERS:
        return True
    if LETTERS[request.interaction] == "":
        return not any(on in ("*", request.type) for on, _, _ in scopes_of(actor))
    return not all(letters_held(request, actor, letter, None) for letter in LETTERS[request.interaction])


def out_of_reach(request, actor):
    """Some letter that is needed is held by no scope that the resource matches."""
    return not all(
        letters_held(request, actor, letter, request.categories) for letter in LETTERS[request.interaction]
    )


def scopes_of(actor):
    """(type, letters, criteria as text) of each scope."""
    for scope in str(actor.scopes).split(" "):
        on, _, rest = scope.partition("/")[2].partition(".")
        held, _, criteria = rest.partition("?")
        yield on, held, criteria


def letters_held(request, actor, letter, categories):
    for on, held, criteria in scopes_of(actor):
        if on not in ("*", request.type) or letter not in held:
            continue
        if categories is None or all(
            one.partition("=")[0] == "category" and has_token(one.partition("=")[2], categories)
            for one in criteria.split("&")
            if one
        ):
            return True
    return False


def has_token(value, codings):
    """As R4's search.html says of tokens."""
    for alternative in value.split(","):
        for coding in codings:
            if "|" not in alternative and coding.code == alternative:
                return True
            if "|" in alternative and f"{coding.system}|{coding.code}" == alternative:
                return True
    return False


def of_the_house(request, actor):
    return request.custodian != "" and actor.organisation == request.custodian


def herself(request, actor):
    return (
        actor.patient != ""
        and of_the_house(request, actor)
        and actor.practitioner == ""
        and len(actor.roles) == 0
        and actor.purpose in {*CARE, "PATRQT"}
    )


def bound_elsewhere(request, actor):
    if actor.patient == "" and "patient/" not in str(actor.scopes):
        return ""
    if len(request.patients) == 0:
        if request.type not in SUPPORTING:
            return "other-patient"
        return "house-read-only" if changes(request) else ""
    if actor.patient not in request.patients:
        return "other-patient"
    if changes(request):
        for patient in request.patients:
            if patient != actor.patient:
                return "other-patient"
    return ""


def names(directive, actor):
    for grantee in directive.text.grantees:
        if grantee.kind == "organisation" and actor.organisation == grantee.value != "":
            return True
        if grantee.kind == "practitioner" and actor.practitioner == grantee.value != "":
            return True
        if grantee.kind == "practitioner" and actor.subject == grantee.value and "did:" in grantee.value:
            return True
        if grantee.kind == "role":
            for role in actor.roles:
                if role == grantee.value:
                    return True
    return False


def about(directive, purpose):
    deny = directive.text.effect == "deny"
    if purpose not in KNOWN:
        return deny
    if deny:
        for code in directive.text.purposes:
            if code not in KNOWN:
                return True
    return len(directive.text.purposes) == 0 or purpose in directive.text.purposes


def counts(directive, directives, time_ms):
    if directive.status != "active" or not directive.bound:
        return False
    today = datetime.fromtimestamp(time_ms / 1000, UTC).date()
    first = date(1970, 1, 1) + timedelta(days=directive.text.from_day)
    last = date(1970, 1, 1) + timedelta(days=directive.text.until_day)
    if today < first or today > last:
        return False
    for other in directives:
        if other.id != directive.id and other.status == "active" and other.bound:
            if other.text.supersedes == directive.id:
                return False
    return True


def has_one(directive, wanted, found):
    if len(wanted) == 0:
        return True
    for code in wanted:
        for one in found:
            if code.code != one.code:
                continue
            if code.system == one.system or code.system == "":
                return True
            if one.system == "" and directive.text.effect == "deny":
                return True
    return False


def matching(effect, request, actor, directives, labels, *, resource=True):
    """Ids of the directives of this effect that match, in the chart's order."""
    found = []
    for directive in directives:
        text = directive.text
        if text.effect != effect or not counts(directive, directives, request.time_ms):
            continue
        if not names(directive, actor) or not about(directive, actor.purpose):
            continue
        if effect == "permit" and request.interaction == "proof" and "proof" not in text.actions:
            continue
        if effect == "permit" and request.interaction != "proof":
            if not looks(request) or "access" not in text.actions:
                continue
        if effect == "deny" and "access" not in text.actions and request.interaction != "proof":
            continue
        if resource:
            if len(text.types) > 0 and request.type not in text.types:
                continue
            if not has_one(directive, text.categories, request.categories):
                continue
            if not has_one(directive, text.labels, labels):
                continue
        found.append(directive.id)
    return found


def decided(request, actor, directives, labels):
    """(rule, id of the directive that decided or "")."""
    if outside_scope(request, actor):
        return "scope", ""
    rule, used = beyond_scopes(request, actor, directives, labels)
    divides = len(request.patients) > 0 and any(
        matching(effect, request, actor, directives, labels, resource=False) for effect in ("deny", "permit")
    )
    if out_of_reach(request, actor) and (ANSWERS[rule] == "permit" or divides):
        if rule not in ("other-patient", "house-read-only", "stale"):
            return "granular-scope", ""
    return rule, used


def beyond_scopes(request, actor, directives, labels):
    """As `decided`, by everything but scopes."""
    house = len(request.patients) == 0
    if bound_elsewhere(request, actor):
        return bound_elsewhere(request, actor), ""
    if not house and actor.patient != "" and herself(request, actor):
        return "own-chart", ""
    if not house and request.emergency and actor.purpose == "ETREAT":
        if of_the_house(request, actor) or looks(request):
            return "emergency", ""
    if request.stale and not (of_the_house(request, actor) and actor.purpose in CARE):
        return "stale", ""
    if not house:
        denies = matching("deny", request, actor, directives, labels)
        if denies:
            return "directive-deny", denies[0]
        permits = matching("permit", request, actor, directives, labels)
        if permits:
            return "directive-permit", permits[0]
    if of_the_house(request, actor) and actor.purpose in CARE:
        return "custodian-default", ""
    if house and looks(request) and request.type in SUPPORTING:
        if request.emergency and actor.purpose == "ETREAT":
            return "supporting", ""
        if herself(request, actor) or matching("permit", request, actor, directives, labels, resource=False):
            return "supporting", ""
    return ("purpose" if of_the_house(request, actor) else "no-directive"), ""


def decided_in_all(request, actor, charts, labels):
    """(permitted, rule) of a resource that stands in several charts: permitted in each, or not at all."""
    rules = [decided(request, actor, directives, labels)[0] for directives in charts]
    denials = [rule for rule in rules if ANSWERS[rule] != "permit"]
    for rule in ANSWERS:
        if rule in (denials or rules):
            return not denials, rule
    raise AssertionError("no chart")
