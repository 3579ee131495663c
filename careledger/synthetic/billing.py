"""Claims and their explanations of benefits: what a visit cost and who paid. Pure; money in cents until written."""

from __future__ import annotations

from careledger.synthetic.resources import Reference, Resource, codes, concept, money
from careledger.synthetic.terms import HL7, SNOMED, Term

_BLUE_BUTTON = "https://bluebutton.cms.gov/resources/"
_AMOUNTS = (
    ("line_coinsrnc_amt", "Line Beneficiary Coinsurance Amount", 20),
    ("line_prvdr_pmt_amt", "Line Provider Payment Amount", 80),
    ("line_sbmtd_chrg_amt", "Line Submitted Charge Amount", 100),
    ("line_alowd_chrg_amt", "Line Allowed Charge Amount", 100),
    ("line_bene_ptb_ddctbl_amt", "Line Beneficiary Part B Deductible Amount", 0),
)
Line = tuple[str, Term, int]
"""(code system, term, cents) of one billed thing; 0 cents where the visit's price includes it."""


def claim(
    uid: str,
    patient: Reference,
    start: str,
    end: str,
    provider: Reference,
    facility: Reference,
    visit: Reference,
    payer: str,
    visit_kind: Term,
    visit_cents: int,
    diagnoses: list[Reference],
    lines: list[Line],
) -> Resource:
    """A professional claim: the visit first, then what was done in it."""
    resource: Resource = {
        "resourceType": "Claim",
        "id": uid,
        "status": "active",
        "type": codes("claim-type", "professional"),
        "use": "claim",
        "patient": patient,
        "billablePeriod": {"start": start, "end": end},
        "created": end,
        "provider": provider,
        "priority": codes("processpriority", "normal"),
        "facility": facility,
    }
    if diagnoses:
        resource["diagnosis"] = [
            {"sequence": at, "diagnosisReference": {"reference": item["reference"]}}
            for at, item in enumerate(diagnoses, 1)
        ]
    resource["insurance"] = [{"sequence": 1, "focal": True, "coverage": {"display": payer}}]
    items: list[Resource] = [
        {"sequence": 1, "productOrService": concept(SNOMED, visit_kind), "encounter": [visit]}
    ]
    for at, (system, term, cents) in enumerate(lines, 2):
        item: Resource = {"sequence": at, "productOrService": concept(system, term)}
        if cents:
            item["net"] = money(cents)
        items.append(item)
    resource["item"] = items
    resource["total"] = money(visit_cents + sum(line[2] for line in lines))
    return resource


def explanation(uid: str, claim: Resource, doctor: Reference, visit: Reference, period_end: str) -> Resource:
    """The payer's answer to `claim`: 80 % of each priced line paid, 20 % left to the patient."""
    patient = {"reference": claim["patient"]["reference"]}
    who = {"reference": doctor["reference"]}
    payer = claim["insurance"][0]["coverage"]["display"]
    start, end = claim["billablePeriod"]["start"], claim["billablePeriod"]["end"]
    claim_reference = {"reference": "urn:uuid:" + claim["id"]}
    resource: Resource = {
        "resourceType": "ExplanationOfBenefit",
        "id": uid,
        "contained": _contained(patient, who, payer),
        "identifier": [
            {"system": _BLUE_BUTTON + "variables/clm_id", "value": claim["id"]},
            {"system": _BLUE_BUTTON + "identifier/claim-group", "value": "99999999999"},
        ],
        "status": "active",
        "type": codes("claim-type", "professional"),
        "use": "claim",
        "patient": patient,
        "billablePeriod": {"start": end, "end": period_end},
        "created": end,
        "insurer": {"display": payer},
        "provider": who,
        "referral": {"reference": "#referral"},
        "facility": claim["facility"],
        "claim": claim_reference,
        "outcome": "complete",
        "careTeam": [
            {
                "sequence": 1,
                "provider": who,
                "role": codes("claimcareteamrole", "primary", "Primary provider"),
            }
        ],
    }
    if "diagnosis" in claim:
        resource["diagnosis"] = [
            {**item, "type": [codes("ex-diagnosistype", "principal")]} for item in claim["diagnosis"]
        ]
    resource["insurance"] = [{"focal": True, "coverage": {"reference": "#coverage", "display": payer}}]
    items, paid = [], 0
    for line in claim["item"]:
        item, cents = _explained(line, visit, start, end)
        items.append(item)
        paid += cents * 80 // 100
    resource["item"] = items
    resource["total"] = [
        {
            "category": {
                **codes("adjudication", "submitted", "Submitted Amount"),
                "text": "Submitted Amount",
            },
            "amount": claim["total"],
        }
    ]
    resource["payment"] = {"amount": money(paid)}
    return resource


def _contained(patient: Reference, who: Reference, payer: str) -> list[Resource]:
    """The referral and the coverage that an explanation points at."""
    return [
        {
            "resourceType": "ServiceRequest",
            "id": "referral",
            "status": "completed",
            "intent": "order",
            "subject": patient,
            "requester": who,
            "performer": [who],
        },
        {
            "resourceType": "Coverage",
            "id": "coverage",
            "status": "active",
            "type": {"text": payer},
            "beneficiary": patient,
            "payor": [{"display": payer}],
        },
    ]


def _explained(line: Resource, visit: Reference, start: str, end: str) -> tuple[Resource, int]:
    item: Resource = {
        "sequence": line["sequence"],
        "category": {
            "coding": [
                {
                    "system": _BLUE_BUTTON + "variables/line_cms_type_srvc_cd",
                    "code": "1",
                    "display": "Medical care",
                }
            ]
        },
        "productOrService": line["productOrService"],
        "servicedPeriod": {"start": start, "end": end},
        "locationCodeableConcept": {
            "coding": [
                {
                    "system": HL7 + "ex-serviceplace",
                    "code": "19",
                    "display": "Off Campus-Outpatient Hospital",
                }
            ]
        },
    }
    if "encounter" in line:
        item["encounter"] = [visit]
    if "net" not in line:
        return item, 0
    item["net"] = line["net"]
    cents = int(line["net"]["value"].scaleb(2))
    adjudication = [_adjudication(code, display, cents * share // 100) for code, display, share in _AMOUNTS]
    adjudication.append(_adjudication("line_prcsg_ind_cd", "Line Processing Indicator Code", None))
    item["adjudication"] = adjudication
    return item, cents


def _adjudication(code: str, display: str, cents: int | None) -> Resource:
    entry: Resource = {
        "category": {
            "coding": [
                {
                    "system": _BLUE_BUTTON + "codesystem/adjudication",
                    "code": _BLUE_BUTTON + "variables/" + code,
                    "display": display,
                }
            ]
        }
    }
    if cents is not None:
        entry["amount"] = money(cents)
    return entry
