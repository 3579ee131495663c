"""Which of a chart's directives count for one caller at one time. Pure.

A directive counts if it is active on the ledger, its binding holds, the day of the request (UTC) lies in its period,
no other active and bound directive of the chart supersedes it, and it names the caller and the purpose. What a
superseding directive says, and when it begins, does not matter: what was replaced is replaced.

Codes that nobody knows deny: a purpose outside `PURPOSES`, the caller's or the directive's, is met by every deny and
by no permit. Purposes are compared as they are; none stands for those below it in HL7's hierarchy.
"""

from __future__ import annotations

from collections.abc import Sequence

from careledger.access.actor import Actor
from careledger.access.directives import DAY_MS, Directive, Grantee, Text

PURPOSES = frozenset((
    "BIORCH", "BTG", "CAREMGT", "CLINTRCH", "CLINTRCHNPC", "CLINTRCHPC", "CLINTRL", "CLMATTCH", "COC",
    "COVAUTH", "COVERAGE", "DISASTER", "DONAT", "DSRCH", "ELIGDTRM", "ELIGVER", "ENROLLM", "ERTREAT",
    "ETREAT", "FAMRQT", "FRAUD", "GOV", "HACCRED", "HCOMPL", "HDECD", "HDIRECT", "HDM", "HLEGAL", "HMARKT",
    "HOPERAT", "HOUTCOMS", "HPAYMT", "HPRGRP", "HQUALIMP", "HRESCH", "HSYSADMIN", "HTEST", "LABELING",
    "MEMADMIN", "METAMGT", "MILCDM", "MILDCRG", "PATADMIN", "PATRQT", "PATSFTY", "PERFMSR", "POARCH",
    "POPHLTH", "PRECLINTRCH", "PUBHLTH", "PWATRNY", "RECORDMGT", "REMITADV", "SUPNWK", "SYSDEV", "THREAT",
    "TRAIN", "TRANSRCH", "TREAT",
))  # fmt: skip
"""HL7 v3 PurposeOfUse (ActReason), without the root."""


def grantees_of(actor: Actor) -> frozenset[Grantee]:
    """Every name under which a directive can mean this caller.

    A practitioner is named by logical id, or by DID where the token's subject is one.
    """
    names = [Grantee(kind="role", value=role) for role in actor.roles]
    if actor.organisation:
        names.append(Grantee(kind="organisation", value=actor.organisation))
    if actor.practitioner:
        names.append(Grantee(kind="practitioner", value=actor.practitioner))
    if actor.subject.startswith("did:"):
        names.append(Grantee(kind="practitioner", value=actor.subject))
    return frozenset(names)


def is_named(text: Text, grantees: frozenset[Grantee]) -> bool:
    """One of these names is among the directive's grantees."""
    return not grantees.isdisjoint(text.grantees)


def has_force(directive: Directive) -> bool:
    """Active on the ledger, and bound by the key enrolled in its chart."""
    return directive.status == "active" and directive.bound


def meets_purpose(text: Text, purpose: str) -> bool:
    """The directive is about this purpose, or (a deny) nobody can tell that it is not."""
    if purpose not in PURPOSES:
        return text.effect == "deny"
    if not text.purposes or purpose in text.purposes:
        return True
    return text.effect == "deny" and not PURPOSES.issuperset(text.purposes)


def compute_in_force(directives: Sequence[Directive], actor: Actor, time_ms: int) -> list[Directive]:
    """Those of one chart's directives that count for this caller at this time, in the chart's order."""
    day = time_ms // DAY_MS
    grantees = grantees_of(actor)
    held = [directive for directive in directives if has_force(directive)]
    replaced = {one.text.supersedes for one in held if one.text.supersedes != one.id}
    return [
        one
        for one in held
        if one.text.from_day <= day <= one.text.until_day
        and one.id not in replaced
        and is_named(one.text, grantees)
        and meets_purpose(one.text, actor.purpose)
    ]
