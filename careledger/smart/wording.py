"""What a program may do, in words that a patient understands: English and Spanish, in one literal table.

The consent screen shows these lines and nothing else, and what is allowed is these lines: so they are made here, and not
in a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from careledger.access.scopes import CREATE, DELETE, READ, SEARCH, UPDATE, Scope
from careledger.primitives.errors import Invalid

Language = Literal["en", "es"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "es")

RECORDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "*": ("everything in the record", "todo el historial"),
        "AllergyIntolerance": ("allergies", "alergias"),
        "Appointment": ("appointments", "citas"),
        "CarePlan": ("care plans", "planes de cuidado"),
        "CareTeam": ("care teams", "equipos de cuidado"),
        "Claim": ("bills to insurers", "facturas al seguro"),
        "Communication": ("messages", "mensajes"),
        "Condition": ("diagnoses and problems", "diagnósticos y problemas"),
        "Consent": ("consents", "consentimientos"),
        "Coverage": ("insurance", "seguro médico"),
        "Device": ("devices and implants", "dispositivos e implantes"),
        "DiagnosticReport": ("reports of tests", "informes de pruebas"),
        "DocumentReference": ("notes and documents", "notas y documentos"),
        "Encounter": ("visits", "visitas"),
        "ExplanationOfBenefit": ("what the insurer paid", "lo que pagó el seguro"),
        "FamilyMemberHistory": ("illnesses in the family", "enfermedades en la familia"),
        "Goal": ("goals", "objetivos"),
        "Immunization": ("vaccinations", "vacunas"),
        "Location": ("places of care", "lugares de atención"),
        "Medication": ("medicines", "medicamentos"),
        "MedicationRequest": ("prescriptions", "recetas"),
        "MedicationStatement": ("medicines taken", "medicamentos que se toman"),
        "Observation": ("measurements and test results", "mediciones y resultados"),
        "Organization": ("organisations", "organizaciones"),
        "Patient": ("name, date of birth, address", "nombre, fecha de nacimiento, dirección"),
        "Practitioner": ("names of doctors and nurses", "nombres de médicos y enfermeras"),
        "PractitionerRole": ("where doctors and nurses work", "dónde trabajan médicos y enfermeras"),
        "Procedure": ("operations and treatments", "operaciones y tratamientos"),
        "Provenance": ("who wrote what", "quién escribió qué"),
        "QuestionnaireResponse": ("answers to questionnaires", "respuestas a cuestionarios"),
        "RelatedPerson": ("relatives and contacts", "familiares y contactos"),
        "ServiceRequest": ("orders and referrals", "órdenes y derivaciones"),
        "Specimen": ("samples", "muestras"),
    }
)
"""Resource type -> its name in English and Spanish. A type without a row is named as FHIR does."""

KINDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "laboratory": ("laboratory results", "resultados de laboratorio"),
        "vital-signs": ("vital signs", "signos vitales"),
        "social-history": ("way of life (smoking, work)", "hábitos de vida (tabaco, trabajo)"),
        "survey": ("questionnaires", "cuestionarios"),
        "encounter-diagnosis": ("diagnoses of visits", "diagnósticos de visitas"),
        "problem-list-item": ("list of problems", "lista de problemas"),
        "health-concern": ("health concerns", "preocupaciones de salud"),
        "clinical-note": ("clinical notes", "notas clínicas"),
        "sdoh": ("living conditions", "condiciones de vida"),
    }
)
"""Codes of categories that narrow a scope."""

ABOUT: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "openid": ("Know that it is you", "Saber que es usted"),
        "profile": ("Know your name", "Saber su nombre"),
        "fhirUser": (
            "Know which entry of the record stands for you",
            "Saber qué entrada del historial le corresponde",
        ),
        "launch": (
            "Know what was open when you started the app",
            "Saber qué estaba abierto al iniciar la app",
        ),
        "launch/patient": (
            "Know which patient's record is open",
            "Saber de qué paciente es el historial abierto",
        ),
        "launch/encounter": ("Know which visit is open", "Saber qué visita está abierta"),
        "online_access": (
            "Go on while you are signed in here",
            "Seguir mientras su sesión esté abierta aquí",
        ),
        "offline_access": (
            "Go on when you are not there, until the day below",
            "Seguir cuando usted no esté, hasta el día indicado abajo",
        ),
    }
)
"""Scopes without resources."""

VERBS: Final[tuple[tuple[int, str, str], ...]] = (
    (READ | SEARCH, "See", "Ver"),
    (CREATE, "Add", "Añadir"),
    (UPDATE, "Change", "Cambiar"),
    (DELETE, "Delete", "Borrar"),
)
WHOSE: Final[Mapping[tuple[str, str], tuple[str, str]]] = MappingProxyType(
    {
        ("patient", "patient"): ("your {}", "sus datos: {}"),
        ("user", "patient"): ("your {}", "sus datos: {}"),
        ("patient", "clinician"): ("this patient's {}", "datos de este paciente: {}"),
        ("user", "clinician"): (
            "{} of every patient whom you may see",
            "datos de todos los pacientes que usted puede ver: {}",
        ),
    }
)
"""(level of the scope, kind of account) -> whose records these are."""


HEADINGS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "patient": (
            "{person}: do you allow {client} ({host}) to use your record, for your own use?",
            "{person}: ¿permite que {client} ({host}) use su historial, para su uso propio?",
        ),
        "staff": (
            "{person}: do you allow {client} ({host}) to act for you{about}, to treat patients?",
            "{person}: ¿permite que {client} ({host}) actúe en su nombre{about}, para tratar pacientes?",
        ),
    }
)
"""Who asks whom, about whom, for what."""
DURATIONS: Final[tuple[tuple[str, str], ...]] = (
    ("Until you sign out, at most 12 hours", "Hasta que cierre la sesión, como mucho 12 horas"),
    ("For 1 day", "Durante 1 día"),
    ("For {days} days", "Durante {days} días"),
)
"""How long: no days, one, more."""


def pick(pair: tuple[str, str], language: Language) -> str:
    """The text in the language."""
    return pair[LANGUAGES.index(language)]


def describe_session(word: str, language: Language) -> str:
    """One of the scopes without resources. Raises Invalid for a word that nobody would understand."""
    if word not in ABOUT:
        raise Invalid("there are no words for this scope", code="scope-unworded")
    return pick(ABOUT[word], language)


def describe_scope(scope: Scope, kind: str, language: Language) -> str:
    """One line: what is done, to what, whose. It names every right of the scope and every part of its narrowing."""
    verbs = [pick((english, spanish), language) for bits, english, spanish in VERBS if scope.bits & bits]
    joined = ", ".join((verbs[0], *(verb.lower() for verb in verbs[1:]))) if verbs else "–"
    records = pick(RECORDS.get(scope.type, (scope.type, scope.type)), language)
    narrowed = [
        _describe_part(str(part), language) for part in str(scope).partition("?")[2].split("&") if part
    ]
    if narrowed:
        only = "only" if language == "en" else "solo"
        records = f"{records} ({only} {', '.join(narrowed)})"
    whose = pick(WHOSE.get((scope.level, kind), ("{}", "{}")), language)
    return f"{joined} {whose.format(records)}"


def _describe_part(part: str, language: Language) -> str:
    """`category=…|laboratory` in words; what has none is shown as it is asked."""
    codes = [one.replace("%7C", "|").rpartition("|")[2] for one in part.partition("=")[2].split(",")]
    if not all(code in KINDS for code in codes):
        return part
    either = " or " if language == "en" else " o "
    return either.join(pick(KINDS[code], language) for code in codes)
