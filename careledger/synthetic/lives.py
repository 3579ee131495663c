"""Who a demo patient is and what will happen to them: sex, age, conditions and the visits that follow from them.

Deterministic: a patient depends on (seed, number) alone; no clock, no global state. Times are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Final

from careledger.synthetic import terms as t
from careledger.synthetic.resources import Reference

REFERENCE_DATE: Final = date(2026, 1, 5)
"""The demo's "today": nothing is recorded after it."""
_ADULT_YEARS_BACK: Final = 4


@dataclass(frozen=True, slots=True)
class Clinic:
    """Where and by whom a visit is done: references that a transaction resolves by identifier."""

    place: Reference
    provider: Reference
    doctor: Reference


@dataclass(slots=True)
class Visit:
    """One planned visit: what it is for and what happens in it."""

    when: datetime
    kind: t.Term
    clinic: Clinic
    minutes: int = 15
    act: str = "AMB"
    reason: t.Term | None = None
    panels: tuple[str, ...] = ()
    vaccines: tuple[str, ...] = ()
    procedures: tuple[t.Term, ...] = ()
    diagnoses: list[tuple[t.Term, int | None]] = field(default_factory=list)  # (term, days until it abates)
    drugs: list[tuple[t.Term, t.Term]] = field(default_factory=list)  # (drug, for what)


class Life:
    """A patient's identity, nature and planned visits; what is written about them is `courses.Patient`'s part."""

    def __init__(self, seed: int, number: int, clinics: tuple[Clinic, ...]) -> None:
        self.random = Random(f"careledger/{seed}/patient/{number}")
        self.clinics = clinics
        self.female = self.random.random() < 0.52
        years = (
            self.random.choice((0.4, 2, 4, 9, 15, 24, 29, 34, 38, 45, 52, 58, 63, 68, 74, 81))
            + self.random.random() * 4
        )
        self.birth = REFERENCE_DATE - timedelta(days=int(years * 365.25))
        self.years = years
        self.payer = t.PAYERS[0] if years >= 65 else self.random.choice(t.PAYERS[1:])
        self.stature = self.random.gauss(0, 1)
        self.bulk = self.random.gauss(0, 1)
        self.conditions: dict[t.Term, tuple[date, Reference]] = {}
        self.orders: dict[t.Term, datetime] = {}  # when each drug is ordered for the last time
        self.uid = self._uuid()
        self.given = self.random.sample(t.GIVEN_FEMALE if self.female else t.GIVEN_MALE, 2)
        self.family = self.random.choice(t.FAMILY)
        self.subject = {
            "reference": "urn:uuid:" + self.uid,
            "display": f"{' '.join(self.given)} {self.family}",
        }
        self.patient = {"reference": "urn:uuid:" + self.uid}

    def plan(self) -> list[Visit]:
        """Every visit up to the reference date, unordered."""
        visits = self._childhood() if self.years < 21 else self._check_ups()
        visits += self._acute()
        onsets = self._onsets()
        for term, day in sorted(onsets.items(), key=lambda item: (item[1], item[0])):
            visits += self._chronic(term, day)
        if self.female and 22 <= self.years <= 44 and self.random.random() < 0.45:
            visits += self._pregnancy()
        return [visit for visit in visits if visit.when.date() <= REFERENCE_DATE]

    def _childhood(self) -> list[Visit]:
        clinic = self.clinics[1]
        months = [*t.INFANT_MONTHS, 60, 96, 132, 168, 192, 228]
        visits = []
        for month in sorted(set(months)):
            day = self.birth + timedelta(days=int(month * 30.44))
            panels = ("count",) if month in (12, 132) else ()
            vaccines = t.SCHEDULE_MONTHS.get(month, ())
            visits.append(Visit(self._at(day), t.WELL_CHILD, clinic, 15, panels=panels, vaccines=vaccines))
        return visits

    def _check_ups(self) -> list[Visit]:
        visits = []
        clinic = self.clinics[self.random.choice((0, 2))]
        for back in range(_ADULT_YEARS_BACK, -1, -1):
            day = REFERENCE_DATE - timedelta(days=back * 365 + self.random.randrange(20, 200))
            panels: tuple[str, ...] = (
                ("metabolic", "lipids") if back % 3 == 0 else ("metabolic",) if back % 3 == 1 else ("count",)
            )
            if back == 0:
                panels = ("comprehensive",)
            vaccines: tuple[str, ...] = ("140",) if back % 2 else ("113",) if back == 4 else ()
            if self.years >= 65 and back == 3:
                vaccines = ("33", "121")
            done = [t.RECONCILIATION, t.SOCIAL_NEEDS] if back % 2 else [t.DEPRESSION_SCREEN, t.ALCOHOL_SCREEN]
            if back == 3 and self.years >= 50:
                done.append(t.COLONOSCOPY)
            visits.append(
                Visit(
                    self._at(day),
                    t.GENERAL_EXAM,
                    clinic,
                    30,
                    panels=panels,
                    vaccines=vaccines,
                    procedures=tuple(done),
                )
            )
        return visits

    def _acute(self) -> list[Visit]:
        visits = []
        for _ in range(self.random.choice((1, 2, 2, 3))):
            term, drug, days = self.random.choice(t.ACUTE if self.years < 12 else t.ACUTE_ADULT)
            span = int(min(self.years, _ADULT_YEARS_BACK) * 365)
            day = REFERENCE_DATE - timedelta(days=self.random.randrange(10, max(span, 40)))
            visit = Visit(self._at(day), t.SYMPTOM_VISIT, self.clinics[3], 20, reason=term)
            visit.diagnoses.append((term, days))
            visit.drugs.append((drug, term))
            if term == t.ACUTE[2][0]:
                visit.procedures = (t.XRAY_CHEST,)
            visits.append(visit)
        return visits

    def _onsets(self) -> dict[t.Term, date]:
        """Which chronic conditions begin when: likelier with age, and one leading to another."""
        years, chance, onsets = self.years, self.random.random, {}
        obese = self.bulk > 0.9

        def begins(term: t.Term, after: date | None = None) -> date:
            earliest = REFERENCE_DATE - timedelta(days=int(min(_ADULT_YEARS_BACK, years / 2) * 365))
            start = max(earliest, after) if after else earliest
            span = max((REFERENCE_DATE - start).days - 150, 1)
            onsets[term] = start + timedelta(days=int(chance() * span))
            return onsets[term]

        if obese and years > 20:
            begins(t.OBESITY)
        if years > 35 and chance() < 0.25 + years / 200:
            begins(t.HYPERTENSION)
        if years > 40 and chance() < (0.5 if obese else 0.25):
            known = begins(t.DIABETES, begins(t.PREDIABETES))
            if chance() < 0.3:
                begins(t.KIDNEY, known)
        if years > 40 and chance() < 0.35:
            begins(t.HYPERLIPIDEMIA)
        if years > 60 and chance() < 0.2:
            begins(t.HEART)
        if years > 55 and chance() < 0.2:
            begins(t.COPD)
        elif years > 4 and chance() < 0.12:
            begins(t.ASTHMA)
        if years > 55 and chance() < 0.3:
            begins(t.ARTHRITIS)
        if years > 18 and chance() < 0.15:
            begins(t.DEPRESSION)
        return onsets

    def _chronic(self, term: t.Term, day: date) -> list[Visit]:
        """The visit that finds it, then follow-ups that grow rarer."""
        clinic = self.clinics[0]
        first = Visit(self._at(day), t.SYMPTOM_VISIT, clinic, 30, reason=term)
        first.diagnoses.append((term, None))
        drug = t.CHRONIC_DRUGS.get(term)
        if drug is not None:
            first.drugs.append((drug, term))
        if term in (t.COPD, t.ASTHMA):
            first.procedures = (t.SPIROMETRY,)
        visits = [first]
        for days in (90, 400):
            when = self._at(day + timedelta(days=days + self.random.randrange(20)))
            follow = Visit(when, t.FOLLOW_UP, clinic, 15, reason=term)
            if drug is not None:
                follow.drugs.append((drug, term))
            if term in (t.DIABETES, t.KIDNEY) and days != 90:
                follow.panels = ("metabolic",)
            visits.append(follow)
        return visits

    def _pregnancy(self) -> list[Visit]:
        start = REFERENCE_DATE - timedelta(days=self.random.randrange(300, 1500))
        visits = []
        for week in (8, 12, 20, 28, 36):
            visit = Visit(
                self._at(start + timedelta(weeks=week)), t.PRENATAL, self.clinics[2], 30, reason=t.PREGNANCY
            )
            visit.procedures = (t.FETAL_HEART,)
            if week == 8:
                visit.diagnoses.append((t.PREGNANCY, (39 - week) * 7))
                visit.panels = ("count",)
            visits.append(visit)
        birth = self._at(start + timedelta(weeks=39))
        visits.append(
            Visit(birth, t.ADMISSION, self.clinics[2], 1440, "IMP", t.PREGNANCY, procedures=(t.CHILDBIRTH,))
        )
        return visits

    def _at(self, day: date) -> datetime:
        """A moment in consulting hours of that day."""
        seconds = self.random.randrange(8 * 3600, 17 * 3600)
        return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=seconds)

    def _uuid(self) -> str:
        return new_uuid(self.random)


def new_uuid(random: Random) -> str:
    """A version 4 UUID from the given randomness."""
    bits = random.getrandbits(128) & ~(0xF << 76) | 0x4 << 76
    digits = f"{bits & ~(0x3 << 62) | 0x2 << 62:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
