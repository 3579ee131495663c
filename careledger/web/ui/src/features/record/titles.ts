import type { FhirResource } from "fhir/r4";
import { codeOf, isPatientStated, LOINC, say, sayTitle } from "../../lib/words.ts";
import { sayTest } from "./tests.ts";

const CORRECTION = { en: "Your correction", es: "Su corrección" };
const NOTE = { en: "Your note", es: "Su nota" };
const PATIENT_NOTE = "51855-5";

/** What an entry is called for the patient: tests by their plain names, their own statements as theirs. `names` has the medicines that it refers to. */
export function titleOf(entry: FhirResource, names?: ReadonlyMap<string, string>): string {
  if (entry.resourceType === "Observation") return sayTest(entry.code);
  if (entry.resourceType === "Communication" && (entry.about ?? []).length > 0 && isPatientStated(entry)) return say(CORRECTION);
  if (entry.resourceType === "DocumentReference" && codeOf(entry.type, LOINC) === PATIENT_NOTE && isPatientStated(entry)) return say(NOTE);
  return sayTitle(entry, names);
}
