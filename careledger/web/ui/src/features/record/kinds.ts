import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import type { Kind } from "./sources.ts";

/** What the kinds of entries are called. */
export const KIND_WORDS: Readonly<Record<Kind, MessageDescriptor>> = {
  all: msg`Everything`,
  visits: msg`Visits`,
  problems: msg`Problems`,
  medicines: msg`Medicines`,
  results: msg`Results`,
  allergies: msg`Allergies`,
  vaccines: msg`Vaccinations`,
  procedures: msg`Procedures`,
  documents: msg`Documents`,
  plans: msg`Plans and messages`,
  own: msg`Added by me`,
  rest: msg`Everything else`,
};

/** The drawing beside an entry of this type. */
export const DRAWINGS: Readonly<Record<string, string>> = {
  Encounter: "house",
  Condition: "heart",
  MedicationRequest: "pill",
  MedicationStatement: "pill",
  MedicationAdministration: "pill",
  MedicationDispense: "pill",
  Observation: "flask",
  DiagnosticReport: "flask",
  AllergyIntolerance: "warning",
  Immunization: "syringe",
  Communication: "pencil",
};
