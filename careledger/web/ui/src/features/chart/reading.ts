import type { AllergyIntolerance, Condition, DiagnosticReport, DocumentReference, Encounter, FhirResource, Immunization, MedicationRequest, Observation, Patient } from "fhir/r4";
import type { Node, Page, Search } from "../../lib/node.ts";

/** The parts of the chart that are lists, by name. */
export interface Parts {
  readonly problems: Page<Condition>;
  readonly medicines: Page<MedicationRequest>;
  readonly allergies: Page<AllergyIntolerance>;
  readonly vitals: Page<Observation>;
  readonly results: Page<Observation>;
  /** Whatever was measured or asked that is neither vital sign nor laboratory result, or says nothing of what it is. */
  readonly others: Page<Observation>;
  readonly reports: Page<DiagnosticReport>;
  readonly notes: Page<DocumentReference>;
  readonly visits: Page<Encounter>;
  readonly vaccines: Page<Immunization>;
}

/** A chart as its page shows it at first. `patient` is undefined where there is none for this person: absent and closed look alike. */
export interface Chart extends Parts {
  readonly patient: Patient | undefined;
}

export const CURRENT = "active,on-hold,draft,unknown";
const PAST_MEDICINES = "completed,stopped,cancelled,entered-in-error";
const PAST_PROBLEMS = "resolved,inactive,remission";
const VALUES = "code,value,component,effective,interpretation,referenceRange,status,dataAbsentReason";

type Wanted = Readonly<Record<keyof Parts, readonly [type: string, ...parameters: (readonly [string, string])[]]>>;

/**
 * What is fetched at once: what a chart of any size needs at first sight, and no more. Current problems are those not said to
 * be over, so one without a status stands among them.
 */
const FIRST: Wanted = {
  problems: ["Condition", ["clinical-status:not", PAST_PROBLEMS], ["_sort", "-onset-date"], ["_count", "24"], ["_elements", "code,clinicalStatus,verificationStatus,onset,recordedDate,severity"]],
  medicines: ["MedicationRequest", ["status", CURRENT], ["_sort", "-authoredon"], ["_count", "24"], ["_include", "MedicationRequest:medication"]],
  allergies: ["AllergyIntolerance", ["_count", "48"], ["_elements", "code,clinicalStatus,verificationStatus,criticality,reaction,onset,recordedDate"]],
  vitals: ["Observation", ["category", "vital-signs"], ["_sort", "-date"], ["_count", "32"], ["_elements", VALUES]],
  results: ["Observation", ["category", "laboratory"], ["_sort", "-date"], ["_count", "48"], ["_elements", VALUES]],
  others: ["Observation", ["category:not", "laboratory,vital-signs"], ["_sort", "-date"], ["_count", "12"], ["_elements", VALUES]],
  reports: ["DiagnosticReport", ["_sort", "-date"], ["_count", "6"], ["_elements", "code,effective,issued,status,conclusion"]],
  notes: ["DocumentReference", ["_sort", "-date"], ["_count", "5"], ["_elements", "type,date,author,status,docStatus,description"]],
  visits: ["Encounter", ["_sort", "-date"], ["_count", "6"], ["_elements", "type,period,class,reasonCode,serviceProvider,status"]],
  vaccines: ["Immunization", ["_sort", "-date"], ["_count", "8"], ["_elements", "vaccineCode,occurrence,status"]],
};

/** What a press on "earlier" fetches where it is another search than the first. */
const PAST = {
  problems: ["Condition", ["clinical-status", PAST_PROBLEMS], ["_sort", "-onset-date"], ["_count", "30"], ["_elements", "code,clinicalStatus,verificationStatus,onset,abatement"]],
  medicines: ["MedicationRequest", ["status", PAST_MEDICINES], ["_sort", "-authoredon"], ["_count", "30"], ["_include", "MedicationRequest:medication"]],
} as const satisfies Partial<Wanted>;

const NAMES = Object.keys(FIRST) as readonly (keyof Parts)[];

function about(patient: string, [type, ...parameters]: Wanted[keyof Parts]): Search {
  return { type, parameters: [["patient", patient], ...parameters] };
}

/** The chart, by one request. */
export async function readChart(node: Node, patient: string): Promise<Chart> {
  const [person, ...parts] = await node.searches([
    { type: "Patient", parameters: [["_id", patient]] },
    ...NAMES.map((name) => about(patient, FIRST[name])),
  ]);
  const found = Object.fromEntries(NAMES.map((name, index) => [name, parts[index]])) as unknown as Parts;
  return { ...found, patient: person?.resources.find((one): one is Patient => one.resourceType === "Patient") };
}

/** What is over: earlier problems, earlier medicines. */
export async function readPast<T extends FhirResource>(node: Node, patient: string, name: keyof typeof PAST): Promise<Page<T>> {
  const { type, parameters } = about(patient, PAST[name]);
  return await node.search<T>(type, parameters);
}

/** The last values of one measurement, newest first. */
export async function readSeries(node: Node, patient: string, code: string, count: number): Promise<Page<Observation>> {
  return await node.search<Observation>("Observation", [["patient", patient], ["code", code], ["_sort", "-date"], ["_count", String(count)], ["_elements", VALUES]]);
}

/** Two pages as one. */
export function join<T>(first: Page<T>, second: Page<T>): Page<T> {
  return { ...second, resources: [...first.resources, ...second.resources], included: [...first.included, ...second.included], total: first.total };
}
