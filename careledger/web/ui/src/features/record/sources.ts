import type { Encounter, FhirResource } from "fhir/r4";
import type { Node, Page, Parameters, Search } from "../../lib/node.ts";
import { dateOf, parseDate, PATIENT_STATED } from "../../lib/words.ts";

/** What a patient may choose to see of the timeline. */
export type Kind = "all" | "visits" | "problems" | "medicines" | "results" | "allergies" | "vaccines" | "procedures" | "documents" | "plans" | "own" | "rest";
export const KINDS: readonly Kind[] = ["all", "visits", "problems", "medicines", "results", "allergies", "vaccines", "procedures", "documents", "plans", "own", "rest"];

/** One search of the timeline: newest first by `sort`, or by when it was stored where the type has no date to search by. */
interface Source {
  readonly type: string;
  readonly sort: string;
  /** What is shown in the list; the whole entry is read when it is opened. */
  readonly elements?: string;
}

const STORED = "_lastUpdated";
const SOURCES: Readonly<Record<Exclude<Kind, "all" | "own">, readonly Source[]>> = {
  visits: [{ type: "Encounter", sort: "date", elements: "status,class,type,period,serviceProvider,participant,location,reasonCode" }],
  problems: [{ type: "Condition", sort: "onset-date" }],
  medicines: [
    { type: "MedicationRequest", sort: "authoredon" },
    { type: "MedicationStatement", sort: "effective" },
    { type: "MedicationAdministration", sort: "effective-time" },
    { type: "MedicationDispense", sort: "whenhandedover" },
  ],
  results: [
    { type: "Observation", sort: "date" },
    { type: "DiagnosticReport", sort: "date", elements: "status,category,code,effective,issued,performer,result,conclusion,encounter" },
    { type: "ImagingStudy", sort: "started", elements: "status,started,description,modality,encounter,numberOfInstances,procedureCode" },
  ],
  allergies: [{ type: "AllergyIntolerance", sort: "date" }],
  vaccines: [{ type: "Immunization", sort: "date" }],
  procedures: [{ type: "Procedure", sort: "date" }],
  documents: [
    { type: "DocumentReference", sort: "date", elements: "status,docStatus,type,category,date,author,custodian,description,context" },
    { type: "Composition", sort: "date", elements: "status,type,category,date,author,custodian,title,encounter" },
  ],
  plans: [
    { type: "CarePlan", sort: "date" },
    { type: "Goal", sort: "start-date" },
    { type: "ServiceRequest", sort: "authored" },
    { type: "Appointment", sort: "date" },
    { type: "Communication", sort: "sent" },
    { type: "QuestionnaireResponse", sort: "authored", elements: "status,authored,author,source,questionnaire,encounter" },
  ],
  rest: [
    { type: "Claim", sort: "created", elements: "status,type,created,provider,facility,total" },
    { type: "ExplanationOfBenefit", sort: "created", elements: "status,type,created,provider,facility,insurer,payment" },
    { type: "Coverage", sort: STORED },
    { type: "CareTeam", sort: "date" },
    { type: "Device", sort: STORED },
    { type: "SupplyDelivery", sort: STORED },
    { type: "FamilyMemberHistory", sort: "date" },
    { type: "RiskAssessment", sort: "date" },
    { type: "ClinicalImpression", sort: "date" },
    { type: "EpisodeOfCare", sort: "date" },
    { type: "Flag", sort: "date" },
    { type: "Specimen", sort: "collected" },
    { type: "Consent", sort: "date" },
    { type: "Provenance", sort: "recorded", elements: "recorded,agent,activity,occurred" },
  ],
};

/** Bills, origins and other paper stand by themselves: among all the rest they would bury what happened. */
const STORY: readonly Kind[] = ["visits", "problems", "medicines", "results", "allergies", "vaccines", "procedures", "documents", "plans"];
const OWN: readonly string[] = ["Observation", "AllergyIntolerance", "MedicationStatement", "Communication", "DocumentReference"];

const COUNTS: Readonly<Record<string, number>> = { Observation: 60, Provenance: 5 };
const COUNT_STORY = 8;
const COUNT_ALONE = 30;

function listSources(kind: Kind): readonly Source[] {
  if (kind === "all") return STORY.flatMap((one) => listSources(one));
  if (kind === "own") return STORY.flatMap((one) => listSources(one)).filter((one) => OWN.includes(one.type));
  return SOURCES[kind];
}

/** Types whose visit is fetched along, so that the list can say where it was. Among everything the visits come anyway. */
const WITH_VISIT: readonly string[] = ["Observation", "Condition", "Procedure", "DiagnosticReport", "MedicationRequest"];

/** The first search of a source. */
function searchFor(source: Source, kind: Kind, patient: string): Search {
  const isStory = kind === "all";
  const parameters: [string, string][] = [
    ["patient", patient],
    ["_sort", `-${source.sort}`],
    ["_count", String(COUNTS[source.type] ?? (isStory ? COUNT_STORY : COUNT_ALONE))],
  ];
  if (source.elements !== undefined) parameters.push(["_elements", source.elements]);
  if (kind === "own") parameters.push(["_tag", `${PATIENT_STATED.system}|${PATIENT_STATED.code}`]);
  else if (!isStory && WITH_VISIT.includes(source.type)) parameters.push(["_include", `${source.type}:encounter`]);
  if (source.type === "MedicationRequest") parameters.push(["_include", "MedicationRequest:medication"]);
  return { type: source.type, parameters };
}

/** The next page of a search, as a search: so that several go in one request. */
function searchNext(next: string): Search {
  const url = new URL(next, "http://localhost");
  const parameters: Parameters = [...url.searchParams];
  return { type: url.pathname.split("/").pop() ?? "", parameters };
}

/** How far one source has been read. */
interface Progress {
  readonly source: number;
  readonly next: string;
  /** Everything younger has been read, in ms; -Infinity where the source does not tell. */
  readonly reachedMs: number;
}

/** What one request brought: entries, the visits and others that came along, and how far each source is. */
export interface Portion {
  readonly resources: readonly FhirResource[];
  readonly included: readonly FhirResource[];
  readonly progress: readonly Progress[];
}

/** Which sources to read on, and where. */
export type Cursor = readonly Progress[];

function portionOf(pages: readonly Page<FhirResource>[], asked: readonly number[], sources: readonly Source[]): Portion {
  const progress = pages.map((page, at): Progress => {
    const source = asked[at] ?? 0;
    const isDated = sources[source]?.sort !== STORED;
    const times = page.resources.map(timeOf).filter((time) => time > -Infinity);
    return { source, next: page.next, reachedMs: page.next === "" || !isDated ? -Infinity : Math.min(...times) };
  });
  return { resources: pages.flatMap((page) => page.resources), included: pages.flatMap((page) => page.included), progress };
}

/** The moment of an entry for ordering; -Infinity without a date: such entries stand last. */
export function timeOf(resource: FhirResource): number {
  return parseDate(dateOf(resource))?.getTime() ?? -Infinity;
}

/** The newest part of the timeline, in one request. Throws Refusal, Unreachable. */
export async function readFirst(node: Node, patient: string, kind: Kind): Promise<Portion> {
  const sources = listSources(kind);
  const pages = await node.searches(sources.map((source) => searchFor(source, kind, patient)));
  return portionOf(pages, sources.map((_source, at) => at), sources);
}

/** A further part, in one request. Throws Refusal, Unreachable. */
export async function readFurther(node: Node, kind: Kind, cursor: Cursor): Promise<Portion> {
  const pages = await node.searches(cursor.map((one) => searchNext(one.next)));
  return portionOf(pages, cursor.map((one) => one.source), listSources(kind));
}

function standing(portions: readonly Portion[]): readonly Progress[] {
  const last = new Map(portions.flatMap((portion) => portion.progress).map((one) => [one.source, one]));
  return [...last.values()].filter((one) => one.next !== "");
}

const DAY_MS = 86_400_000;
const STRIDE_MS = 120 * DAY_MS;

/**
 * Where to read on: the sources that hold the timeline up, and those that would within a few months. Undefined at the end.
 */
export function findCursor(portions: readonly Portion[]): Cursor | undefined {
  const open = standing(portions);
  if (open.length === 0) return undefined;
  const limit = Math.max(...open.map((one) => one.reachedMs));
  return limit === -Infinity ? open : open.filter((one) => one.reachedMs >= limit - STRIDE_MS);
}

/**
 * The entries that may be shown, newest first: older ones than what every source has been read to wait, or something
 * would appear above them later. Each entry once, in the version that came last.
 */
export function listEntries(portions: readonly Portion[]): readonly FhirResource[] {
  const limit = Math.max(-Infinity, ...standing(portions).map((one) => one.reachedMs));
  const each = new Map(portions.flatMap((portion) => portion.resources).map((one) => [`${one.resourceType}/${one.id}`, one]));
  return [...each.values()].filter((one) => limit === -Infinity || timeOf(one) >= limit).sort((one, other) => timeOf(other) - timeOf(one) || storedMs(other) - storedMs(one));
}

function storedMs(resource: FhirResource): number {
  return parseDate(resource.meta?.lastUpdated)?.getTime() ?? 0;
}

/** Visits by their reference, from whatever came. */
export function mapVisits(portions: readonly Portion[]): ReadonlyMap<string, Encounter> {
  const all = portions.flatMap((portion) => [...portion.resources, ...portion.included]);
  return new Map(all.flatMap((one) => (one.resourceType === "Encounter" ? [[`Encounter/${one.id}`, one] as const] : [])));
}

/** The visit that an entry belongs to, as a reference; "" if it names none. */
export function visitOf(resource: FhirResource): string {
  const fields = resource as { readonly encounter?: { readonly reference?: string }; readonly context?: { readonly reference?: string; readonly encounter?: readonly { readonly reference?: string }[] } };
  return fields.encounter?.reference ?? fields.context?.reference ?? fields.context?.encounter?.[0]?.reference ?? "";
}
