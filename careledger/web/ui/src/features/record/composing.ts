import type { AllergyIntolerance, Communication, DocumentReference, FhirResource, Identifier, MedicationStatement, Observation, Quantity, Reference } from "fhir/r4";
import { LOINC, PATIENT_STATED } from "../../lib/words.ts";
import { type Filled, type FormKey, measureOf, readNumber, unitOf } from "./forms.ts";
import { PRESSURE } from "./measures.ts";

/** Who states it, when, and under which name, so that a second try adds nothing. */
export interface Occasion {
  readonly patient: string;
  readonly nowMs: number;
  readonly uuid: string;
  /** Of a correction: the entry and the version that it is about, "Condition/ID/_history/1". */
  readonly wrong: string;
}

/** What R4 has for a patient's own word. Each names the patient as its source and has the tag "patient asserted". */
export function composeEntry(form: FormKey, filled: Filled, occasion: Occasion): FhirResource {
  switch (form) {
    case "symptom":
      return composeSymptom(filled, occasion);
    case "measurement":
      return composeMeasurement(filled, occasion);
    case "medicine":
      return composeMedicine(filled, occasion);
    case "allergy":
      return composeAllergy(filled, occasion);
    case "note":
      return composeNote(filled, occasion);
    case "correction":
      return composeCorrection(filled, occasion);
  }
}

/** The name by which the node knows that it has this entry already. */
export function identify(occasion: Occasion): Identifier {
  return { system: "urn:ietf:rfc:3986", value: `urn:uuid:${occasion.uuid}` };
}

function begin(occasion: Occasion): { readonly meta: { tag: [typeof PATIENT_STATED] }; readonly identifier: [Identifier] } {
  return { meta: { tag: [PATIENT_STATED] }, identifier: [identify(occasion)] };
}

function refer(occasion: Occasion): Reference {
  return { reference: `Patient/${occasion.patient}` };
}

function text(filled: Filled, key: string): string {
  return (filled[key] ?? "").trim();
}

/** `""` leaves a field out: FHIR has no empty texts. */
function notes(filled: Filled, key: string): { note?: [{ text: string }] } {
  const said = text(filled, key);
  return said === "" ? {} : { note: [{ text: said }] };
}

function instant(ms: number): string {
  return new Date(ms).toISOString();
}

function momentOf(filled: Filled): string {
  return instant(new Date(text(filled, "when")).getTime());
}

function composeSymptom(filled: Filled, occasion: Occasion): Observation {
  const said = text(filled, "what");
  return {
    resourceType: "Observation", ...begin(occasion), status: "final",
    code: { coding: [{ system: LOINC, code: "75325-1", display: "Symptom" }], text: "Symptom" },
    subject: refer(occasion), performer: [refer(occasion)], effectiveDateTime: momentOf(filled), valueString: said, ...notes(filled, "note"),
  };
}

const CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category";
const SYSTOLIC = { code: "8480-6", display: "Systolic blood pressure" };
const DIASTOLIC = { code: "8462-4", display: "Diastolic blood pressure" };

function composeMeasurement(filled: Filled, occasion: Occasion): Observation {
  const measure = measureOf(filled);
  const { code, unit } = unitOf(filled);
  const quantity = (key: string): Quantity => ({ value: readNumber(text(filled, key)) ?? 0, unit, system: "http://unitsofmeasure.org", code });
  const part = (of: typeof SYSTOLIC, key: string) => ({ code: { coding: [{ system: LOINC, ...of }], text: of.display }, valueQuantity: quantity(key) });
  return {
    resourceType: "Observation", ...begin(occasion), status: "final",
    ...(measure.isVitalSign ? { category: [{ coding: [{ system: CATEGORY, code: "vital-signs", display: "Vital Signs" }] }] } : {}),
    code: { coding: [{ system: LOINC, code: measure.code, display: measure.display }], text: measure.display },
    subject: refer(occasion), performer: [refer(occasion)], effectiveDateTime: momentOf(filled),
    ...(measure.key === PRESSURE ? { component: [part(SYSTOLIC, "value"), part(DIASTOLIC, "second")] } : { valueQuantity: quantity("value") }),
    ...notes(filled, "note"),
  };
}

function composeMedicine(filled: Filled, occasion: Occasion): MedicationStatement {
  const [dose, reason, since] = [text(filled, "dose"), text(filled, "reason"), text(filled, "since")];
  return {
    resourceType: "MedicationStatement", ...begin(occasion), status: text(filled, "status") === "completed" ? "completed" : "active",
    medicationCodeableConcept: { text: text(filled, "what") },
    subject: refer(occasion), informationSource: refer(occasion), dateAsserted: instant(occasion.nowMs),
    ...(since === "" ? {} : { effectivePeriod: { start: since } }),
    ...(reason === "" ? {} : { reasonCode: [{ text: reason }] }),
    ...(dose === "" ? {} : { dosage: [{ text: dose }] }),
  };
}

type Category = NonNullable<AllergyIntolerance["category"]>[number];
const CATEGORIES: readonly Category[] = ["food", "medication", "environment"];

function composeAllergy(filled: Filled, occasion: Occasion): AllergyIntolerance {
  const [reaction, severity, since] = [text(filled, "reaction"), text(filled, "severity"), text(filled, "since")];
  const category = CATEGORIES.find((one) => one === text(filled, "category"));
  const grade = (["mild", "moderate", "severe"] as const).find((one) => one === severity);
  const told = reaction === "" && grade === undefined ? {} : { reaction: [{ manifestation: [{ text: reaction === "" ? "Not described" : reaction }], ...(grade === undefined ? {} : { severity: grade }) }] };
  const system = "http://terminology.hl7.org/CodeSystem/allergyintolerance-";
  return {
    resourceType: "AllergyIntolerance", ...begin(occasion),
    clinicalStatus: { coding: [{ system: `${system}clinical`, code: "active" }] },
    verificationStatus: { coding: [{ system: `${system}verification`, code: "unconfirmed" }] },
    ...(category === undefined ? {} : { category: [category] }),
    code: { text: text(filled, "what") },
    patient: refer(occasion), recorder: refer(occasion), asserter: refer(occasion), recordedDate: instant(occasion.nowMs),
    ...(since === "" ? {} : { onsetDateTime: since }),
    ...told,
  };
}

const DESCRIPTION_MOST = 120;

function composeNote(filled: Filled, occasion: Occasion): DocumentReference {
  const said = text(filled, "text");
  const line = said.split("\n")[0] ?? "";
  return {
    resourceType: "DocumentReference", ...begin(occasion), status: "current",
    type: { coding: [{ system: LOINC, code: "51855-5", display: "Patient Note" }], text: "Patient Note" },
    subject: refer(occasion), author: [refer(occasion)], date: instant(occasion.nowMs),
    description: line.length > DESCRIPTION_MOST ? `${line.slice(0, DESCRIPTION_MOST)}…` : line,
    content: [{ attachment: { contentType: "text/plain; charset=utf-8", data: encodeText(said) } }],
  };
}

function encodeText(said: string): string {
  return btoa(Array.from(new TextEncoder().encode(said), (byte) => String.fromCharCode(byte)).join(""));
}

/** What is wrong, as the record has it: in English, as codes' names are. */
const WRONGS: Readonly<Record<string, string>> = {
  detail: "A detail is wrong",
  never: "This never was so",
  over: "It is not so any more",
  other: "It is about somebody else",
  missing: "Something is missing",
};

/** R4's way to say something about another resource without touching it: a Communication whose `about` names the version. */
function composeCorrection(filled: Filled, occasion: Occasion): Communication {
  return {
    resourceType: "Communication", ...begin(occasion), status: "completed",
    category: [{ coding: [{ system: "http://terminology.hl7.org/CodeSystem/communication-category", code: "notification", display: "Notification" }], text: "Correction stated by the patient" }],
    reasonCode: [{ text: WRONGS[text(filled, "why")] ?? "" }],
    subject: refer(occasion), sender: refer(occasion), sent: instant(occasion.nowMs),
    about: [{ reference: occasion.wrong }],
    payload: [{ contentString: text(filled, "text") }],
  };
}
