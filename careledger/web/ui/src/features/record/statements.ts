import type { Communication, FhirResource } from "fhir/r4";
import type { Node } from "../../lib/node.ts";
import { PATIENT_STATED } from "../../lib/words.ts";

const STATEMENTS_MOST = 100;

/** What the patient said about entries of the record, newest first. Throws Refusal, Unreachable. */
export async function readStatements(node: Node, patient: string): Promise<readonly Communication[]> {
  const tag = `${PATIENT_STATED.system}|${PATIENT_STATED.code}`;
  const found = await node.search<Communication>("Communication", [["patient", patient], ["_tag", tag], ["_sort", "-sent"], ["_count", String(STATEMENTS_MOST)]]);
  return found.resources.filter((one) => one.status !== "entered-in-error");
}

/** The same entry, marked as entered by mistake: it stays to be seen, and counts no more. Undefined where its type has no such mark. */
export function markMistaken(entry: FhirResource): FhirResource | undefined {
  switch (entry.resourceType) {
    case "Observation":
    case "MedicationStatement":
    case "Communication":
    case "DocumentReference":
      return { ...entry, status: "entered-in-error" };
    case "AllergyIntolerance": {
      // R4 ait-2: an allergy entered in error has no clinical status
      const { clinicalStatus: _none, ...rest } = entry;
      const system = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification";
      return { ...rest, verificationStatus: { coding: [{ system, code: "entered-in-error" }] } };
    }
    default:
      return undefined;
  }
}
