"""The tables of the demo hospital: names, places, codes, normal values, schedules. Data only, all our own choice.

Codes are public terminology: LOINC, SNOMED CT, RxNorm, CVX, HL7. People and addresses are invented.
"""

from __future__ import annotations

from typing import Final, NamedTuple

LOINC: Final = "http://loinc.org"
SNOMED: Final = "http://snomed.info/sct"
RXNORM: Final = "http://www.nlm.nih.gov/research/umls/rxnorm"
CVX: Final = "http://hl7.org/fhir/sid/cvx"
UCUM: Final = "http://unitsofmeasure.org"
NPI: Final = "http://hl7.org/fhir/sid/us-npi"
HL7: Final = "http://terminology.hl7.org/CodeSystem/"
US_CORE: Final = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
SYSTEM: Final = "https://demo.careledger.example/ids"

GIVEN_FEMALE: Final = (
    "Zoë", "Anaïs", "María", "Chloé", "Noémie", "Łucja", "Ingrid", "Aisha", "Mei", "Priya", "Ruth", "Esther",
    "Nora", "Beatriz", "Hannah", "Olivia", "Sofía", "Yuki", "Fatima", "Grace", "Leah", "Márta", "Inés", "Clara",
)  # fmt: skip
GIVEN_MALE: Final = (
    "José", "Björn", "Søren", "André", "Jürgen", "Tomáš", "Kwame", "Wei", "Ravi", "Omar", "Daniel", "Peter",
    "Nicolás", "Émile", "Samuel", "Luca", "Hiroshi", "David", "Mateo", "Oskar", "Ian", "Félix", "Rubén", "Arno",
)  # fmt: skip
FAMILY: Final = (
    "Müller", "García", "O'Brien", "Kowalczyk", "Dvořák", "Nguyễn", "Søndergaard", "Okafor", "Haddad", "Sørlie",
    "Peña", "Lindqvist", "Rossi", "Chaudhary", "Whitfield", "Ferreira", "Yamada", "Abramson", "Delacroix", "Núñez",
    "Hartmann", "Osei", "Brandt", "Castellanos", "Eriksen", "Marlowe", "Szabó", "Thorne", "Villeneuve", "Zhang",
)  # fmt: skip
STREETS: Final = (
    "Alder Lane", "Beacon Street", "Cooper Row", "Dock Square", "Elm Terrace", "Ferry Road", "Garnet Way",
    "Harbor View", "Ironbridge Road", "Juniper Court", "Kiln Street", "Larch Avenue", "Mill Pond Road",
)  # fmt: skip
CITIES: Final = (
    ("Rivermouth", "01901", 42.4512, -70.9721),
    ("Alder Creek", "01742", 42.4610, -71.3489),
    ("Northwick", "01845", 42.6987, -71.1350),
    ("Salt Harbor", "01966", 42.6556, -70.6203),
    ("Quarry Hill", "02169", 42.2529, -71.0023),
)
RACES: Final = (
    ("2106-3", "White"),
    ("2054-5", "Black or African American"),
    ("2028-9", "Asian"),
    ("2106-3", "White"),
)
ETHNICITIES: Final = (
    ("2186-5", "Not Hispanic or Latino"),
    ("2135-2", "Hispanic or Latino"),
    ("2186-5", "Not Hispanic or Latino"),
)
LANGUAGES: Final = (
    ("en-US", "English (United States)"),
    ("es", "Spanish"),
    ("en-US", "English (United States)"),
)
PAYERS: Final = (
    "Medicare",
    "Medicaid",
    "Commonwealth Mutual Health Plan",
    "Harbor Health Cooperative",
    "NO_INSURANCE",
)
DEPARTMENTS: Final = (
    ("RIVERMOUTH GENERAL HOSPITAL", "Hospital", "1 Harbor View"),
    ("RIVERMOUTH FAMILY PRACTICE PC", "Outpatient clinic", "24 Beacon Street"),
    ("SALT HARBOR COMMUNITY CLINIC", "Outpatient clinic", "310 Ferry Road"),
    ("NORTHWICK URGENT CARE", "Urgent care center", "8 Mill Pond Road"),
)
SPECIALTIES: Final = (
    ("208D00000X", "General Practice Physician"),
    ("208000000X", "Pediatrics Physician"),
    ("207R00000X", "Internal Medicine Physician"),
    ("207V00000X", "Obstetrics & Gynecology Physician"),
    ("207P00000X", "Emergency Medicine Physician"),
)


class Measure(NamedTuple):
    """A quantity: LOINC code and display, unit, decimals, normal range."""

    code: str
    display: str
    unit: str
    decimals: int
    low: float
    high: float


HEIGHT: Final = Measure("8302-2", "Body Height", "cm", 1, 0, 0)
WEIGHT: Final = Measure("29463-7", "Body Weight", "kg", 1, 0, 0)
BMI: Final = Measure("39156-5", "Body mass index (BMI) [Ratio]", "kg/m2", 2, 18.5, 24.9)
BMI_PERCENTILE: Final = Measure(
    "59576-9", "Body mass index (BMI) [Percentile] Per age and sex", "%", 3, 5, 85
)
HEAD: Final = Measure("9843-4", "Head Occipital-frontal circumference", "cm", 2, 0, 0)
PULSE: Final = Measure("8867-4", "Heart rate", "/min", 0, 60, 100)
BREATHS: Final = Measure("9279-1", "Respiratory rate", "/min", 0, 12, 20)
TEMPERATURE: Final = Measure("8310-5", "Body temperature", "Cel", 2, 36.1, 37.5)
OXYGEN: Final = Measure("2708-6", "Oxygen saturation in Arterial blood", "%", 2, 95, 100)
PAIN: Final = Measure(
    "72514-3", "Pain severity - 0-10 verbal numeric rating [Score] - Reported", "{score}", 0, 0, 3
)
PHQ2: Final = Measure(
    "55758-7", "Patient Health Questionnaire 2 item (PHQ-2) total score [Reported]", "{score}", 0, 0, 2
)
GAD7: Final = Measure(
    "70274-6", "Generalized anxiety disorder 7 item (GAD-7) total score [Reported.PHQ]", "{score}", 0, 0, 5
)
AUDIT_C: Final = Measure("75626-2", "Total score [AUDIT-C]", "{score}", 0, 0, 3)
HBA1C: Final = Measure("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%", 2, 4.0, 5.6)
GLUCOSE: Final = Measure("2339-0", "Glucose [Mass/volume] in Blood", "mg/dL", 2, 70, 99)
CREATININE: Final = Measure("38483-4", "Creatinine [Mass/volume] in Blood", "mg/dL", 2, 0.6, 1.3)
GFR: Final = Measure(
    "33914-3",
    "Glomerular filtration rate/1.73 sq M.predicted [Volume Rate/Area] in Serum or Plasma by Creatinine-based formula (MDRD)",
    "mL/min/{1.73_m2}", 2, 60, 120,
)  # fmt: skip
ALBUMINURIA: Final = Measure("14959-1", "Microalbumin/Creatinine [Mass Ratio] in Urine", "mg/g", 2, 0, 30)
FEV1: Final = Measure("19926-5", "FEV1/FVC", "%", 2, 70, 85)
CHOLESTEROL: Final = Measure("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma", "mg/dL", 2, 120, 200)
LDL: Final = Measure(
    "18262-6", "Cholesterol in LDL [Mass/volume] in Serum or Plasma by Direct assay", "mg/dL", 2, 50, 130
)
PSA: Final = Measure("2857-1", "Prostate specific Ag [Mass/volume] in Serum or Plasma", "ng/mL", 2, 0, 4)

METABOLIC: Final = (
    GLUCOSE,
    Measure("6299-2", "Urea nitrogen [Mass/volume] in Blood", "mg/dL", 2, 7, 20),
    CREATININE,
    Measure("49765-1", "Calcium [Mass/volume] in Blood", "mg/dL", 2, 8.5, 10.2),
    Measure("2947-0", "Sodium [Moles/volume] in Blood", "mmol/L", 2, 136, 144),
    Measure("6298-4", "Potassium [Moles/volume] in Blood", "mmol/L", 2, 3.7, 5.2),
    Measure("2069-3", "Chloride [Moles/volume] in Blood", "mmol/L", 2, 101, 111),
    Measure("20565-8", "Carbon dioxide, total [Moles/volume] in Blood", "mmol/L", 2, 20, 29),
)
COMPREHENSIVE: Final = (
    Measure("2345-7", "Glucose [Mass/volume] in Serum or Plasma", "mg/dL", 2, 70, 99),
    Measure("3094-0", "Urea nitrogen [Mass/volume] in Serum or Plasma", "mg/dL", 2, 7, 20),
    Measure("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "mg/dL", 2, 0.6, 1.3),
    Measure("17861-6", "Calcium [Mass/volume] in Serum or Plasma", "mg/dL", 2, 8.5, 10.2),
    Measure("2951-2", "Sodium [Moles/volume] in Serum or Plasma", "mmol/L", 2, 136, 144),
    Measure("2823-3", "Potassium [Moles/volume] in Serum or Plasma", "mmol/L", 2, 3.7, 5.2),
    Measure("2075-0", "Chloride [Moles/volume] in Serum or Plasma", "mmol/L", 2, 101, 111),
    Measure("2028-9", "Carbon dioxide, total [Moles/volume] in Serum or Plasma", "mmol/L", 2, 20, 29),
    Measure("2885-2", "Protein [Mass/volume] in Serum or Plasma", "g/dL", 2, 6.0, 8.3),
    Measure("1751-7", "Albumin [Mass/volume] in Serum or Plasma", "g/dL", 2, 3.5, 5.5),
    Measure("1975-2", "Bilirubin.total [Mass/volume] in Serum or Plasma", "mg/dL", 2, 0.1, 1.2),
    Measure(
        "6768-6", "Alkaline phosphatase [Enzymatic activity/volume] in Serum or Plasma", "U/L", 2, 44, 147
    ),
    Measure(
        "1742-6", "Alanine aminotransferase [Enzymatic activity/volume] in Serum or Plasma", "U/L", 2, 7, 40
    ),
    Measure(
        "1920-8", "Aspartate aminotransferase [Enzymatic activity/volume] in Serum or Plasma", "U/L", 2, 8, 40
    ),
)
LIPIDS: Final = (
    CHOLESTEROL,
    Measure("2571-8", "Triglyceride [Mass/volume] in Serum or Plasma", "mg/dL", 2, 50, 150),
    LDL,
    Measure("2085-9", "Cholesterol in HDL [Mass/volume] in Serum or Plasma", "mg/dL", 2, 40, 80),
)
BLOOD_COUNT: Final = (
    Measure("6690-2", "Leukocytes [#/volume] in Blood by Automated count", "10*3/uL", 2, 4.5, 11.0),
    Measure("789-8", "Erythrocytes [#/volume] in Blood by Automated count", "10*6/uL", 2, 4.0, 5.9),
    Measure("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", 2, 12.0, 17.5),
    Measure("4544-3", "Hematocrit [Volume Fraction] of Blood by Automated count", "%", 2, 36, 52),
    Measure("787-2", "MCV [Entitic volume] by Automated count", "fL", 2, 80, 96),
    Measure("785-6", "MCH [Entitic mass] by Automated count", "pg", 2, 27, 33),
    Measure("786-4", "MCHC [Mass/volume] by Automated count", "g/dL", 2, 32, 36),
    Measure("21000-5", "Erythrocyte distribution width [Entitic volume] by Automated count", "fL", 2, 39, 46),
    Measure("777-3", "Platelets [#/volume] in Blood by Automated count", "10*3/uL", 2, 150, 400),
    Measure(
        "32207-3",
        "Platelet distribution width [Entitic volume] in Blood by Automated count",
        "fL",
        2,
        150,
        520,
    ),
    Measure(
        "32623-1", "Platelet mean volume [Entitic volume] in Blood by Automated count", "fL", 2, 9.4, 12.3
    ),
)
PANELS: Final = {
    "metabolic": ("51990-0", "Basic metabolic panel - Blood", METABOLIC),
    "comprehensive": ("24323-8", "Comprehensive metabolic 2000 panel - Serum or Plasma", COMPREHENSIVE),
    "lipids": ("57698-3", "Lipid panel with direct LDL - Serum or Plasma", LIPIDS),
    "count": ("58410-2", "CBC panel - Blood by Automated count", BLOOD_COUNT),
}

Term = tuple[str, str]

HYPERTENSION: Final = ("59621000", "Essential hypertension (disorder)")
DIABETES: Final = ("44054006", "Diabetes mellitus type 2 (disorder)")
PREDIABETES: Final = ("15777000", "Prediabetes (finding)")
HYPERLIPIDEMIA: Final = ("55822004", "Hyperlipidemia (disorder)")
OBESITY: Final = ("162864005", "Body mass index 30+ - obesity (finding)")
ASTHMA: Final = ("195967001", "Asthma (disorder)")
COPD: Final = ("13645005", "Chronic obstructive lung disease (disorder)")
PREGNANCY: Final = ("72892002", "Normal pregnancy (finding)")
ARTHRITIS: Final = ("239873007", "Osteoarthritis of knee (disorder)")
DEPRESSION: Final = ("370143000", "Major depressive disorder (disorder)")
KIDNEY: Final = ("433144002", "Chronic kidney disease stage 3 (disorder)")
HEART: Final = ("414545008", "Ischemic heart disease (disorder)")
REVIEW_DUE: Final = ("314529007", "Medication review due (situation)")

CHRONIC_DRUGS: Final = {
    HYPERTENSION: ("314076", "lisinopril 10 MG Oral Tablet"),
    DIABETES: ("860975", "24 HR metFORMIN hydrochloride 500 MG Extended Release Oral Tablet"),
    HYPERLIPIDEMIA: ("314231", "Simvastatin 10 MG Oral Tablet"),
    ASTHMA: ("895994", "120 ACTUAT fluticasone propionate 0.044 MG/ACTUAT Metered Dose Inhaler"),
    COPD: (
        "896209",
        "60 ACTUAT Fluticasone propionate 0.25 MG/ACTUAT / salmeterol 0.05 MG/ACTUAT Dry Powder Inhaler",
    ),
    ARTHRITIS: ("310965", "Ibuprofen 200 MG Oral Tablet"),
    DEPRESSION: ("312941", "sertraline 50 MG Oral Tablet"),
    HEART: ("309362", "clopidogrel 75 MG Oral Tablet"),
    KIDNEY: ("313988", "Furosemide 40 MG Oral Tablet"),
}
ACUTE: Final = (
    (("444814009", "Viral sinusitis (disorder)"), ("313782", "Acetaminophen 325 MG Oral Tablet"), 14),
    (("195662009", "Acute viral pharyngitis (disorder)"), ("313782", "Acetaminophen 325 MG Oral Tablet"), 10),
    (("10509002", "Acute bronchitis (disorder)"), ("310965", "Ibuprofen 200 MG Oral Tablet"), 12),
    (("65363002", "Otitis media (disorder)"), ("308182", "Amoxicillin 250 MG Oral Capsule"), 9),
    (("44465007", "Sprain of ankle (disorder)"), ("849574", "Naproxen sodium 220 MG Oral Tablet"), 24),
)
ACUTE_ADULT: Final = (ACUTE[0], ACUTE[1], ACUTE[2], ACUTE[4])
ALLERGIES: Final = (
    (("91936005", "Allergy to penicillin (finding)"), "medication", "high", ("271807003", "Eruption of skin (disorder)")),
    (("91935009", "Allergy to peanut (finding)"), "food", "high", ("39579001", "Anaphylaxis (disorder)")),
    (("418689008", "Allergy to grass pollen (finding)"), "environment", "low", ("21626009", "Allergic rhinitis (disorder)")),
    (("232350006", "House dust mite allergy (finding)"), "environment", "low", ("49727002", "Cough (finding)")),
    (("300913006", "Shellfish allergy (finding)"), "food", "low", ("126485001", "Wheal (finding)")),
    (("1003755004", "Allergy to Hevea brasiliensis latex protein (finding)"), "environment", "low", ("418363000", "Itching of skin (finding)")),
)  # fmt: skip

WELL_CHILD: Final = ("410620009", "Well child visit (procedure)")
GENERAL_EXAM: Final = ("162673000", "General examination of patient (procedure)")
SYMPTOM_VISIT: Final = ("185345009", "Encounter for symptom (procedure)")
FOLLOW_UP: Final = ("390906007", "Follow-up encounter (procedure)")
PRENATAL: Final = ("424619006", "Prenatal visit (regime/therapy)")
ADMISSION: Final = ("183460006", "Obstetric emergency hospital admission (procedure)")
EMERGENCY: Final = ("50849002", "Emergency room admission (procedure)")
VISIT_COST: Final = {WELL_CHILD: 13674, GENERAL_EXAM: 13674, SYMPTOM_VISIT: 8555, FOLLOW_UP: 8555, PRENATAL: 14258, ADMISSION: 1294571, EMERGENCY: 14658}  # fmt: skip

RECONCILIATION: Final = ("430193006", "Medication reconciliation (procedure)")
SOCIAL_NEEDS: Final = ("710824005", "Assessment of health and social care needs (procedure)")
DEPRESSION_SCREEN: Final = ("171207006", "Depression screening (procedure)")
ALCOHOL_SCREEN: Final = (
    "763302001",
    "Assessment using Alcohol Use Disorders Identification Test - Consumption (procedure)",
)
SPIROMETRY: Final = ("23426006", "Measurement of respiratory function (procedure)")
COLONOSCOPY: Final = ("73761001", "Colonoscopy (procedure)")
XRAY_CHEST: Final = ("399208008", "Plain X-ray of chest (procedure)")
FETAL_HEART: Final = ("225158009", "Auscultation of the fetal heart (procedure)")
CHILDBIRTH: Final = ("66348005", "Childbirth (procedure)")

INFANT_MONTHS: Final = (0, 2, 4, 6, 9, 12, 15, 18, 24, 36)
VACCINES: Final = {
    "08": "Hep B, adolescent or pediatric",
    "119": "rotavirus, monovalent",
    "20": "DTaP",
    "49": "Hib (PRP-OMP)",
    "133": "Pneumococcal conjugate PCV 13",
    "10": "IPV",
    "140": "Influenza, seasonal, injectable, preservative free",
    "03": "MMR",
    "21": "varicella",
    "83": "Hep A, ped/adol, 2 dose",
    "62": "HPV, quadrivalent",
    "114": "meningococcal MCV4P",
    "115": "Tdap",
    "113": "Td (adult), 5 Lf tetanus toxoid, preservative free, adsorbed",
    "33": "pneumococcal polysaccharide vaccine, 23 valent",
    "121": "zoster vaccine, live",
}
SCHEDULE_MONTHS: Final = {
    0: ("08",),
    2: ("08", "119", "20", "49", "133", "10"),
    4: ("119", "20", "49", "133", "10"),
    6: ("08", "20", "133", "10", "140"),
    12: ("49", "133", "03", "21", "83"),
    15: ("20",),
    18: ("83", "140"),
    24: ("140",),
    36: ("140",),
    60: ("20", "10", "03", "21"),
    132: ("62", "114", "115"),
    192: ("114", "140"),
}
