"""What is written about one demo patient: each planned visit as the resources that record and bill it."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from careledger.synthetic import terms as t
from careledger.synthetic.billing import Line, claim, explanation
from careledger.synthetic.lives import REFERENCE_DATE, Clinic, Life, Visit
from careledger.synthetic.resources import (
    Reference,
    Resource,
    allergy,
    codes,
    component,
    concept,
    condition,
    encounter,
    immunization,
    interpretation,
    medication_request,
    meta,
    note,
    observation,
    procedure,
    quantity,
    reference_range,
    report,
)

_GROWTH: Final[tuple[tuple[float, float, float], ...]] = ((0.0, 50.0, 3.4), (1, 75, 9.6), (2, 87, 12.2), (4, 102, 16.3), (8, 128, 26), (12, 150, 41), (16, 168, 58), (18, 171, 66))  # fmt: skip
"""(years, cm, kg) of a middling child."""


class Patient(Life):
    """Builds the Bundle entries of one patient."""

    def __init__(self, seed: int, number: int, clinics: tuple[Clinic, ...]) -> None:
        super().__init__(seed, number, clinics)
        self.entries: list[Resource] = []

    def build(self) -> list[Resource]:
        """All entries, the Patient first, the Provenance of all the others last."""
        self._add(self._patient())
        self._allergies()
        visits = sorted(self.plan(), key=lambda visit: visit.when)
        self.orders = {drug: visit.when for visit in visits for drug, _ in visit.drugs}
        for visit in visits:
            self._visit(visit, last=visit is visits[-1])
        self._care_plan(visits[-1])
        self._provenance(visits[-1])
        return self.entries

    # -- one visit ----------------------------------------------------------------------------------------------

    def _visit(self, visit: Visit, last: bool) -> None:
        start, end = _iso(visit.when), _iso(visit.when + timedelta(minutes=visit.minutes))
        issued = start[:19] + f".{self.random.randrange(1000):03d}+00:00"
        uid, clinic = self._uuid(), visit.clinic
        here = {"reference": "urn:uuid:" + uid}
        self._add(
            encounter(
                uid, self.subject, visit.kind, start, end, clinic.doctor, clinic.place, clinic.provider,
                t.SYSTEM, visit.reason, visit.act,
            )
        )  # fmt: skip
        billed: list[Line] = []
        found = [self._diagnose(term, here, visit.when, days) for term, days in visit.diagnoses]
        if not found and visit.reason in self.conditions:
            found = [self.conditions[visit.reason][1]]
        self._vitals(visit, here, start, issued)
        billed += [self._panel(panel, visit, here, start, issued) for panel in visit.panels]
        self._disease_labs(visit, here, start, issued)
        for code in visit.vaccines:
            vaccine = (code, t.VACCINES[code])
            self._add(immunization(self._uuid(), vaccine, self.patient, here, start, clinic.place))
            billed.append((t.CVX, vaccine, 13600))
        for term in visit.procedures:
            reason = found[0] if found else None
            self._add(procedure(self._uuid(), term, self.patient, here, start, end, clinic.place, reason))
            billed.append((t.SNOMED, term, 43120 + len(term[1]) * 113))
        for drug, term in visit.drugs:
            reason = self.conditions[term][1] if term in self.conditions else None
            lasting = t.CHRONIC_DRUGS.get(term) == drug and self.orders[drug] == visit.when
            status = "active" if lasting else "completed"
            self._add(
                medication_request(
                    self._uuid(),
                    drug,
                    self.patient,
                    here,
                    start,
                    clinic.doctor,
                    reason,
                    status,
                    1 + len(drug[0]) % 2,
                )
            )
        self._note(visit, here, start, end, issued, last)
        self._bill(visit, here, start, end, found, billed)

    def _diagnose(self, term: t.Term, here: Reference, when: datetime, days: int | None) -> Reference:
        abates = None if days is None else _iso(when + timedelta(days=days))
        if days is not None and (when + timedelta(days=days)).date() > REFERENCE_DATE:
            abates = None
        uid = self._uuid()
        self._add(condition(uid, term, self.patient, here, _iso(when), abates))
        reference = {"reference": "urn:uuid:" + uid, "display": term[1]}
        self.conditions[term] = (when.date(), reference)
        return reference

    def _vitals(self, visit: Visit, here: Reference, start: str, issued: str) -> None:
        age = (visit.when.date() - self.birth).days / 365.25
        height, weight = self._body(age)
        measured: list[tuple[t.Measure, float]] = [
            (t.HEIGHT, height),
            (t.PAIN, self.random.randrange(4)),
            (t.WEIGHT, weight),
        ]
        if age < 3:
            measured.append((t.HEAD, 34.5 + 13 * min(age, 3) ** 0.5 / 1.73 + self.stature))
        else:
            measured.append((t.BMI, weight / (height / 100) ** 2))
        if 3 <= age < 20:
            measured.append((t.BMI_PERCENTILE, min(99.0, max(1.0, 50 + 28 * self.bulk))))
        if visit.reason is not None:
            fever = 1.2 if visit.diagnoses and visit.diagnoses[0][1] else 0.0
            measured.append((t.TEMPERATURE, self.random.gauss(37.0 + fever, 0.2)))
        if self._has(t.COPD, visit) or self._has(t.ASTHMA, visit):
            measured.append((t.OXYGEN, self.random.gauss(91.5 if self._has(t.COPD, visit) else 96.5, 1)))
        for measure, value in measured:
            self._measure("vital-signs", measure, value, here, start, issued)
        self._blood_pressure(age, visit, here, start, issued)
        self._measure(
            "vital-signs", t.PULSE, self.random.gauss(max(72, 120 - age * 4), 6), here, start, issued
        )
        self._measure(
            "vital-signs", t.BREATHS, self.random.gauss(max(14, 30 - age * 1.5), 1), here, start, issued
        )
        if age >= 18 and visit.kind == t.GENERAL_EXAM:
            self._smoking(here, start, issued)
            blue = 4.0 if self._has(t.DEPRESSION, visit) else 1.0
            scores = ((t.PHQ2, blue), (t.GAD7, blue * 2)) if len(visit.vaccines) % 2 else ((t.AUDIT_C, 1.5),)
            for measure, mean in scores:
                self._measure("survey", measure, max(0.0, self.random.gauss(mean, 1)), here, start, issued)

    def _body(self, age: float) -> tuple[float, float]:
        """(cm, kg): growth in childhood, slow gain afterwards."""
        height, weight = _GROWTH[-1][1:]
        for (y0, h0, w0), (y1, h1, w1) in pairwise(_GROWTH):
            if age < y1:
                part = (age - y0) / (y1 - y0)
                height, weight = h0 + part * (h1 - h0), w0 + part * (w1 - w0)
                break
        grown = min(age, 18) / 18
        height += (self.stature * 6 + (-5 if self.female else 4)) * grown
        weight += (self.bulk * 14 + (-4 if self.female else 8)) * grown + max(0, min(age, 60) - 25) * 0.25
        return height, max(weight + self.random.gauss(0, 0.4), 2.5)

    def _blood_pressure(self, age: float, visit: Visit, here: Reference, start: str, issued: str) -> None:
        systolic = 92 + min(age, 18) * 1.3 + max(0.0, age - 18) * 0.22 + self.bulk * 2
        since = self._since(t.HYPERTENSION, visit)
        if since is not None:
            systolic += 34 - 22 * min(since / 240, 1)  # found high, then treated
        systolic = self.random.gauss(systolic, 4)
        code = ("85354-9", "Blood pressure panel with all children optional")
        resource = observation(self._uuid(), "vital-signs", code, self.patient, here, start, issued)
        resource["component"] = [
            component(
                ("8462-4", "Diastolic Blood Pressure"), round(systolic * 0.63 + self.random.gauss(0, 2))
            ),
            component(("8480-6", "Systolic Blood Pressure"), round(systolic)),
        ]
        self._add(resource)

    def _smoking(self, here: Reference, start: str, issued: str) -> None:
        smoked = self.stature > 0.6
        answer = (
            ("8517006", "Ex-smoker (finding)") if smoked else ("266919005", "Never smoked tobacco (finding)")
        )
        code = ("72166-2", "Tobacco smoking status")
        resource = observation(self._uuid(), "social-history", code, self.patient, here, start, issued)
        resource["valueCodeableConcept"] = concept(t.SNOMED, answer)
        self._add(resource)

    def _panel(self, panel: str, visit: Visit, here: Reference, start: str, issued: str) -> Line:
        code, display, measures = t.PANELS[panel]
        results = []
        for measure in measures:
            middle, spread = (measure.low + measure.high) / 2, (measure.high - measure.low) / 7
            value = self.random.gauss(middle, spread) + self._shift(measure, visit)
            results.append(self._measure("laboratory", measure, max(value, 0.01), here, start, issued))
        term = (code, display)
        self._add(
            report(self._uuid(), term, self.patient, here, start, issued, visit.clinic.provider, results)
        )
        return t.LOINC, term, 3960 + 540 * len(measures)

    def _disease_labs(self, visit: Visit, here: Reference, start: str, issued: str) -> None:
        """What a chronic condition is followed by: HbA1c, urine albumin, filtration rate, spirometry."""
        since = self._since(t.DIABETES, visit)
        before = self._since(t.PREDIABETES, visit)
        if since is not None:
            value = 8.3 - 1.5 * min(since / 365, 1) + since / 2500
            self._measure("laboratory", t.HBA1C, self.random.gauss(value, 0.2), here, start, issued)
            self._measure("laboratory", t.ALBUMINURIA, abs(self.random.gauss(18, 14)), here, start, issued)
        elif before is not None:
            self._measure("laboratory", t.HBA1C, self.random.gauss(6.0, 0.12), here, start, issued)
        if self._has(t.KIDNEY, visit):
            self._measure("laboratory", t.GFR, self.random.gauss(45, 4), here, start, issued)
        if visit.procedures == (t.SPIROMETRY,):
            value = 58 if self._has(t.COPD, visit) else 74
            self._measure("laboratory", t.FEV1, self.random.gauss(value, 3), here, start, issued)

    def _shift(self, measure: t.Measure, visit: Visit) -> float:
        if "Glucose" in measure.display:
            return 60 if self._has(t.DIABETES, visit) else 18 if self._has(t.PREDIABETES, visit) else 0
        if "Creatinine" in measure.display:
            return 0.7 if self._has(t.KIDNEY, visit) else 0
        since = self._since(t.HYPERLIPIDEMIA, visit)
        if measure in (t.CHOLESTEROL, t.LDL) and since is not None:
            return 70 - 50 * min(since / 300, 1)
        return 0

    def _measure(
        self, category: str, measure: t.Measure, value: float, here: Reference, start: str, issued: str
    ) -> Reference:
        uid = self._uuid()
        term = (measure.code, measure.display)
        resource = observation(uid, category, term, self.patient, here, start, issued)
        resource["valueQuantity"] = quantity(value, measure)
        if category == "laboratory":
            resource["interpretation"] = interpretation(value, measure)
            resource["referenceRange"] = reference_range(measure)
        self._add(resource)
        return {"reference": "urn:uuid:" + uid, "display": measure.display}

    def _note(self, visit: Visit, here: Reference, start: str, end: str, issued: str, last: bool) -> None:
        known = "\n".join(f"- {term[1]}, since {day}" for term, (day, _) in self.conditions.items())
        reason = visit.reason[1] if visit.reason else "No complaints."
        age = (visit.when.date() - self.birth).days // 365
        text = (
            f"\n{start[:10]}\n\n# Chief Complaint\n{reason}\n\n# History of Present Illness\n{self.given[0]}\n is a "
            f"{age} year-old {'female' if self.female else 'male'}.\n\n# Problems\n{known or 'None known.'}\n\n"
            f"# Assessment and Plan\nPatient is presenting for {visit.kind[1].lower()}.\n"
        )
        clinic = visit.clinic
        self._add(
            note(
                self._uuid(),
                text,
                self.patient,
                here,
                start,
                end,
                issued,
                clinic.doctor,
                clinic.provider,
                last,
            )
        )

    def _bill(
        self, visit: Visit, here: Reference, start: str, end: str, found: list[Reference], billed: list[Line]
    ) -> None:
        clinic = visit.clinic
        cost = t.VISIT_COST[visit.kind]
        bill = claim(
            self._uuid(), self.subject, start, end, clinic.provider, clinic.place, here, self.payer,
            visit.kind, cost, found, billed,
        )  # fmt: skip
        self._add(bill)
        until = _iso(visit.when + timedelta(days=365))
        self._add(explanation(self._uuid(), bill, clinic.doctor, here, until))

    # -- around the visits --------------------------------------------------------------------------------------

    def _patient(self) -> Resource:
        city, postcode, latitude, longitude = self.random.choice(t.CITIES)
        race, ethnicity = self.random.choice(t.RACES), self.random.choice(t.ETHNICITIES)
        language = self.random.choice(t.LANGUAGES)
        digits = f"{self.random.randrange(10**9):09d}"
        married = self.years > 28 and self.random.random() < 0.6
        status = ("M", "Married") if married else ("S", "Never Married")
        return {
            "resourceType": "Patient",
            "id": self.uid,
            "meta": meta("patient"),
            "text": {
                "status": "generated",
                "div": '<div xmlns="http://www.w3.org/1999/xhtml">Invented for the CareLedger demo.</div>',
            },
            "extension": [
                _us_core("race", race),
                _us_core("ethnicity", ethnicity),
                {"url": t.US_CORE + "birthsex", "valueCode": "F" if self.female else "M"},
            ],
            "identifier": [
                {"system": t.SYSTEM, "value": self.uid},
                _identifier("MR", "Medical Record Number", t.SYSTEM + "/mrn", "CL" + digits[:7]),
                _identifier(
                    "SS",
                    "Social Security Number",
                    "http://hl7.org/fhir/sid/us-ssn",
                    f"999-{digits[1:3]}-{digits[3:7]}",
                ),
            ],
            "name": [{"use": "official", "family": self.family, "given": self.given}],
            "telecom": [{"system": "phone", "value": f"555-{digits[2:5]}-{digits[5:9]}", "use": "home"}],
            "gender": "female" if self.female else "male",
            "birthDate": self.birth.isoformat(),
            "address": [
                {
                    "extension": [
                        {
                            "url": "http://hl7.org/fhir/StructureDefinition/geolocation",
                            "extension": [
                                {
                                    "url": "latitude",
                                    "valueDecimal": round(latitude + self.random.random() / 50, 6),
                                },
                                {
                                    "url": "longitude",
                                    "valueDecimal": round(longitude + self.random.random() / 50, 6),
                                },
                            ],
                        }
                    ],
                    "line": [f"{self.random.randrange(1, 990)} {self.random.choice(t.STREETS)}"],
                    "city": city,
                    "state": "MA",
                    "postalCode": postcode,
                    "country": "US",
                }
            ],
            "maritalStatus": {**codes("v3-MaritalStatus", *status), "text": status[1]},
            "multipleBirthBoolean": False,
            "communication": [{"language": concept("urn:ietf:bcp:47", language)}],
        }

    def _allergies(self) -> None:
        if self.random.random() > 0.35:
            return
        for code, category, criticality, reaction in self.random.sample(
            t.ALLERGIES, self.random.choice((1, 1, 2))
        ):
            day = self.birth + timedelta(days=int(self.years * 365 * (0.1 + self.random.random() * 0.5)))
            when = _iso(self._at(day))
            self._add(allergy(self._uuid(), code, category, criticality, self.patient, when, reaction))

    def _care_plan(self, visit: Visit) -> None:
        if not self.conditions:
            return
        term, (day, reference) = next(reversed(self.conditions.items()))
        plan = ("734163000", "Care plan (record artifact)")
        activities = (("229065009", "Exercise therapy (regime/therapy)"), ("160670007", "Diabetic diet (finding)") if term == t.DIABETES else ("409002", "Food allergy diet (regime/therapy)"))  # fmt: skip
        self._add(
            {
                "resourceType": "CarePlan",
                "id": self._uuid(),
                "meta": meta("careplan"),
                "text": {
                    "status": "generated",
                    "div": f'<div xmlns="http://www.w3.org/1999/xhtml">Care Plan for {term[1]}.</div>',
                },
                "status": "active",
                "intent": "order",
                "category": [
                    {
                        "coding": [
                            {
                                "system": "http://hl7.org/fhir/us/core/CodeSystem/careplan-category",
                                "code": "assess-plan",
                            }
                        ]
                    },
                    concept(t.SNOMED, plan),
                ],
                "subject": self.patient,
                "period": {"start": day.isoformat()},
                "addresses": [{"reference": reference["reference"]}],
                "activity": [
                    {
                        "detail": {
                            "code": concept(t.SNOMED, activity),
                            "status": "in-progress",
                            "location": {"display": visit.clinic.place["display"]},
                        }
                    }
                    for activity in activities
                ],
            }
        )

    def _provenance(self, visit: Visit) -> None:
        targets = [{"reference": entry["fullUrl"]} for entry in self.entries]
        agent = {"who": visit.clinic.doctor, "onBehalfOf": visit.clinic.provider}
        participant = "http://hl7.org/fhir/us/core/CodeSystem/us-core-provenance-participant-type"
        transmitter = {"system": participant, "code": "transmitter", "display": "Transmitter"}
        self._add(
            {
                "resourceType": "Provenance",
                "id": self._uuid(),
                "meta": meta("provenance"),
                "target": targets,
                "recorded": _iso(visit.when)[:19] + ".156+00:00",
                "agent": [
                    {
                        "type": {
                            **codes("provenance-participant-type", "author", "Author"),
                            "text": "Author",
                        },
                        **agent,
                    },
                    {"type": {"coding": [transmitter], "text": "Transmitter"}, **agent},
                ],
            }
        )

    # -- small ones ---------------------------------------------------------------------------------------------

    def _since(self, term: t.Term, visit: Visit) -> int | None:
        """Days that the patient has had a condition at a visit; None before it is known."""
        known = self.conditions.get(term)
        return None if known is None else max((visit.when.date() - known[0]).days, 0)

    def _has(self, term: t.Term, visit: Visit) -> bool:
        return self._since(term, visit) is not None

    def _add(self, resource: Resource) -> None:
        kind = resource["resourceType"]
        self.entries.append(
            {
                "fullUrl": "urn:uuid:" + resource["id"],
                "resource": resource,
                "request": {"method": "PUT", "url": f"Patient/{self.uid}"}
                if kind == "Patient"  # so that it has the same id wherever the demo is loaded
                else {"method": "POST", "url": kind},
            }
        )


def _iso(moment: datetime) -> str:
    return moment.isoformat()


def _us_core(name: str, term: t.Term) -> dict[str, Any]:
    return {
        "url": t.US_CORE + name,
        "extension": [
            {
                "url": "ombCategory",
                "valueCoding": {
                    "system": "urn:oid:2.16.840.1.113883.6.238",
                    "code": term[0],
                    "display": term[1],
                },
            },
            {"url": "text", "valueString": term[1]},
        ],
    }


def _identifier(code: str, display: str, system: str, value: str) -> Resource:
    return {"type": {**codes("v2-0203", code, display), "text": display}, "system": system, "value": value}
