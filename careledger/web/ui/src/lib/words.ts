import type { Age, Annotation, CodeableConcept, Coding, FhirResource, Observation, ObservationReferenceRange, Period, Quantity, Reference } from "fhir/r4";
import { clip } from "./clip.ts";
import { locale } from "./i18n.ts";
import { lookUp } from "./table.ts";
import { INTENTS, KINDS, PHRASES, STATUSES, UNITS, type Words } from "./words_tables.ts";

/**
 * FHIR R4's values in the words of whoever reads them, in the language now chosen. What comes out is text of the record or
 * of our tables: it is shown as text and nothing else. Nothing here throws: what is missing gives "".
 */

/** One of our words, with its places filled. */
export function say(words: Words, ...parts: readonly string[]): string {
  return words[locale()].replace(/\{(\d)\}/g, (_all, place: string) => parts[Number(place)] ?? "");
}

/** SNOMED says of what sort a term is; people need not know: "Gingivitis (disorder)". */
const SORT = / \((?:disorder|finding|procedure|situation|regime\/therapy|observable entity|substance|product|event|morphologic abnormality|environment|record artifact|physical object|person|organism|context-dependent category)\)$/;

/** A term without what only its catalogue needs. */
export function sayTerm(text: string | undefined): string {
  return clip((text ?? "").trim().replace(SORT, ""));
}

export function sayCoding(coding: Coding | undefined): string {
  return sayTerm(coding?.display ?? coding?.code);
}

/** What somebody wrote, else the code's name, else the code. */
export function sayConcept(concept: CodeableConcept | undefined): string {
  if (concept === undefined) return "";
  const named = concept.coding?.find((one) => one.display !== undefined);
  return sayTerm(concept.text ?? named?.display ?? concept.coding?.[0]?.code);
}

export function sayConcepts(concepts: readonly CodeableConcept[] | undefined): string {
  return joinWords((concepts ?? []).map(sayConcept));
}

/** The code of a system in a concept; "" if there is none. */
export function codeOf(concept: CodeableConcept | undefined, system: string): string {
  return concept?.coding?.find((one) => one.system === system)?.code ?? "";
}

export const LOINC = "http://loinc.org";

/** Words in a row, without the empty ones and doubles. */
export function joinWords(parts: readonly (string | undefined)[], between = ", "): string {
  return [...new Set(parts.filter((part): part is string => part !== undefined && part !== ""))].map(clip).join(between);
}

// Numbers

const MOST_DIGITS = 6;
const numberFormats = new Map<string, Intl.NumberFormat>();
const countFormats = new Map<string, Intl.NumberFormat>();
const timeFormats = new Map<string, Intl.DateTimeFormat>();

/** Making a formatter takes a hundred times as long as using it, and a chart has hundreds of dates: each is made once. */
function once<T>(made: Map<string, T>, key: string, make: () => T): T {
  const found = made.get(key) ?? make();
  made.set(key, found);
  return found;
}

/** A number as written in this language: at most six digits that mean something. */
export function sayNumber(value: number): string {
  return once(numberFormats, locale(), () => new Intl.NumberFormat(locale(), { maximumSignificantDigits: MOST_DIGITS })).format(value);
}

export function sayUnit(quantity: Quantity | Age | undefined): string {
  const known = lookUp(UNITS, quantity?.code) ?? lookUp(UNITS, quantity?.unit);
  return known === undefined ? clip(quantity?.unit ?? quantity?.code ?? "") : say(known);
}

/** The number alone: "120", "< 5". */
function sayBare({ comparator, value }: Quantity): string {
  return value === undefined ? "" : joinWords([comparator, sayNumber(value)], " ");
}

/** "120 mmHg", "< 5 mg/L". */
export function sayQuantity(quantity: Quantity | Age | undefined): string {
  if (quantity?.value === undefined) return "";
  const unit = sayUnit(quantity);
  const number = sayBare(quantity);
  return unit === "%" ? `${number} %` : joinWords([number, unit], " ");
}

// Times

const DAY: Intl.DateTimeFormatOptions = { day: "numeric", month: "short", year: "numeric" };

/**
 * A FHIR date or time, as exact as it is and no more: "2022", "April 2022", "2 Apr 2022". A day without a time is that day
 * everywhere; a moment is told in the zone of whoever reads.
 */
export function sayDate(text: string | undefined, options: Intl.DateTimeFormatOptions = DAY): string {
  const moment = parseDate(text);
  if (moment === undefined || text === undefined) return "";
  const utc = { timeZone: "UTC" };
  if (text.length === 4) return format(moment, { year: "numeric", ...utc });
  if (text.length === 7) return format(moment, { year: "numeric", month: "long", ...utc });
  return format(moment, text.length === 10 ? { ...options, ...utc } : options);
}

/** The same with the time of day, where it is recorded. */
export function sayMoment(text: string | undefined): string {
  return (text?.length ?? 0) > 10 ? sayDate(text, { ...DAY, hour: "numeric", minute: "2-digit" }) : sayDate(text);
}

/** "April 2022": for headings. */
export function sayMonth(text: string | undefined): string {
  return text?.length === 4 ? text : sayDate(text, { month: "long", year: "numeric" });
}

const dateFormats = new Map<string, Intl.DateTimeFormat>();

function format(moment: Date, options: Intl.DateTimeFormatOptions): string {
  return once(dateFormats, locale() + JSON.stringify(options), () => new Intl.DateTimeFormat(locale(), options)).format(moment);
}

/** The moment that a FHIR date names (its beginning, if it is less exact). Undefined for what is none. */
export function parseDate(text: string | undefined): Date | undefined {
  const moment = new Date(text ?? "");
  return Number.isNaN(moment.getTime()) ? undefined : moment;
}

/** "since 3 May 2021", "3 May 2021 to 9 May 2021", one day if it began and ended on the same. */
export function sayPeriod(period: Period | undefined): string {
  const [start, end] = [sayDate(period?.start), sayDate(period?.end)];
  if (start !== "" && end !== "") return start === end ? start : say(PHRASES.span, start, end);
  if (start !== "") return say(PHRASES.since, start);
  return end === "" ? "" : say(PHRASES.until, end);
}

/** Full years since somebody was born; undefined if that is not known to the day. */
export function countYears(born: string | undefined, until: Date = new Date()): number | undefined {
  if (born === undefined || born.length < 10) return undefined;
  const [year, month, day] = born.split("-").map(Number) as [number, number, number];
  const isBefore = until.getMonth() + 1 < month || (until.getMonth() + 1 === month && until.getDate() < day);
  return until.getFullYear() - year - (isBefore ? 1 : 0);
}

type Dated = Readonly<Record<string, unknown>>;

/** Where each type of resource says when it was: the first that is there counts. */
const DATES = ["effectiveDateTime", "effectiveInstant", "performedDateTime", "occurrenceDateTime", "onsetDateTime", "authoredOn", "sent", "started", "effectivePeriod", "performedPeriod", "occurrencePeriod", "onsetPeriod", "period", "date", "recordedDate", "recorded", "dateAsserted", "whenHandedOver", "whenPrepared", "assertedDate", "created", "authored", "issued", "startDate", "servicedDate", "dateTime"] as const;

/** When an entry happened, as a FHIR date; "" if it says nothing of it (when it was stored is no answer to that). */
export function dateOf(resource: FhirResource): string {
  const fields = resource as unknown as Dated;
  for (const name of DATES) {
    const value = fields[name];
    if (typeof value === "string") return value;
    const start = (value as Period | undefined)?.start ?? (value as Period | undefined)?.end;
    if (typeof start === "string") return start;
  }
  return "";
}

/** A moment (ms since 1970) in the reader's language and time zone: to the second in few signs, or with the day written out. */
export function sayTime(ms: number, manner: "exact" | "long" = "exact"): string {
  const style = manner === "exact" ? ({ dateStyle: "medium", timeStyle: "medium" } as const) : ({ dateStyle: "long", timeStyle: "short" } as const);
  return once(timeFormats, `${manner} ${locale()}`, () => new Intl.DateTimeFormat(locale(), style)).format(ms);
}

/** A whole number as people of this language write it. */
export function sayCount(count: number): string {
  return once(countFormats, locale(), () => new Intl.NumberFormat(locale())).format(count);
}

// Who and where

/** A reference's own words; `names` helps where it has none. */
export function sayReference(reference: Reference | undefined, names: ReadonlyMap<string, string> = new Map()): string {
  return clip(reference?.display ?? names.get(reference?.reference ?? "") ?? "");
}

/** Where an entry comes from, as it says itself. */
export interface Source {
  /** Whoever wrote or did it; "" if it does not say. */
  readonly who: string;
  /** The organisation or place; "" if it does not say. */
  readonly where: string;
  /** The patient said it, no clinician. */
  readonly isPatient: boolean;
}

const PEOPLE = ["informationSource", "asserter", "recorder", "requester", "author", "sender", "performer", "participant"] as const;
const PLACES = ["custodian", "serviceProvider", "managingOrganization", "provider", "location", "facility", "insurer"] as const;

/**
 * Where an entry comes from: its author, performer, custodian, in FHIR's many names for them. `names` has the names of
 * references without a display; what is recorded of the visit (`visit`) stands in for what the entry leaves out.
 */
export function findSource(resource: FhirResource, names: ReadonlyMap<string, string> = new Map(), visit?: FhirResource): Source {
  const fields = resource as unknown as Dated;
  const people = PEOPLE.flatMap((name) => referencesIn(fields[name]));
  const all = [...people, ...PLACES.flatMap((name) => referencesIn(fields[name]))];
  const isPlace = (one: Reference): boolean => /^(?:Organization|Location)\//.test(one.reference ?? "") || one.type === "Organization";
  const isPatient = people.some((one) => one.reference?.startsWith("Patient/") === true) && !people.some((one) => /^Practitioner/.test(one.reference ?? ""));
  const who = all.find((one) => /^(?:Practitioner|PractitionerRole|RelatedPerson|Device)\//.test(one.reference ?? "") && sayReference(one, names) !== "");
  const where = all.find((one) => isPlace(one) && sayReference(one, names) !== "");
  const own = { who: isPatient ? "" : sayReference(who, names), where: sayReference(where, names), isPatient };
  if (visit === undefined || isPatient) return own;
  const around = findSource(visit, names);
  return { who: own.who === "" && own.where === "" ? around.who : own.who, where: own.where === "" ? around.where : own.where, isPatient };
}

/** "Dr. Ingrid Peña · Salt Harbor Clinic"; "you" for what the patient said. "" if the entry does not say. */
export function saySource(resource: FhirResource, names?: ReadonlyMap<string, string>, visit?: FhirResource): string {
  const { who, where, isPatient } = findSource(resource, names, visit);
  return isPatient ? say(PHRASES.you) : joinWords([who, where], " · ");
}

/** References, wherever FHIR puts them: bare, in lists, under `actor`, `individual`, `member`, `location`. */
function referencesIn(value: unknown): readonly Reference[] {
  if (Array.isArray(value)) return value.flatMap(referencesIn);
  if (typeof value !== "object" || value === null) return [];
  const fields = value as Dated;
  if (typeof fields["reference"] === "string" || typeof fields["display"] === "string") return [value as Reference];
  return [fields["actor"], fields["individual"], fields["member"], fields["location"]].flatMap((one) => (one === undefined ? [] : referencesIn(one)));
}

/** R4's mark of what a patient stated: v3 ObservationValue PATAST, "patient asserted". */
export const PATIENT_STATED: Coding = { system: "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", code: "PATAST", display: "patient asserted" };

/** Whether an entry is the patient's own statement: by its mark, or by who is named as its source. */
export function isPatientStated(resource: FhirResource): boolean {
  const isMarked = resource.meta?.tag?.some((one) => one.code === PATIENT_STATED.code && one.system === PATIENT_STATED.system) ?? false;
  return isMarked || findSource(resource).isPatient;
}

// What

/** "Prescription", "Visit": what sort of entry it is. */
export function sayKind(type: string): string {
  const known = lookUp(KINDS, type);
  return known === undefined ? type : say(known);
}

/** A status in words; a code that we do not know is shown as it is. */
export function sayStatus(code: string | undefined): string {
  const known = lookUp(STATUSES, code);
  return known === undefined ? (code ?? "") : say(known);
}

/** The status of any resource: the clinical one where it has one, "entered by mistake" and "ruled out" before all. */
export function statusOf(resource: FhirResource): string {
  const fields = resource as unknown as Dated;
  const first = (name: string): string => (fields[name] as CodeableConcept | undefined)?.coding?.[0]?.code ?? "";
  const verified = first("verificationStatus");
  if (verified === "entered-in-error" || verified === "refuted") return verified;
  if (fields["docStatus"] === "entered-in-error") return "entered-in-error";
  const plain = typeof fields["status"] === "string" ? fields["status"] : typeof fields["lifecycleStatus"] === "string" ? fields["lifecycleStatus"] : "";
  return first("clinicalStatus") || plain;
}

const TITLES = ["code", "vaccineCode", "type", "description", "title", "category", "class", "reasonCode", "suppliedItem"] as const;

/** How sure a problem or an allergy is, where it is not: a suspicion must not read as a finding. "" for what is confirmed, or says nothing of it. */
export function sayDoubt(resource: FhirResource): string {
  const code = "verificationStatus" in resource ? resource.verificationStatus?.coding?.[0]?.code : undefined;
  return code === "unconfirmed" || code === "provisional" || code === "differential" ? sayStatus(code) : "";
}

/** Where an entry is a plan or a proposal and no order, that it is; where a result is not the last word, that too. "" for the rest. */
export function sayLimit(resource: FhirResource): string {
  if (resource.resourceType === "MedicationRequest" || resource.resourceType === "ServiceRequest") return say(lookUp(INTENTS, resource.intent) ?? NOTHING);
  if (resource.resourceType === "Observation" || resource.resourceType === "DiagnosticReport") return LAST_WORDS.has(resource.status) ? "" : sayStatus(resource.status);
  if (resource.resourceType !== "DocumentReference" || resource.docStatus === undefined) return "";
  return LAST_WORDS.has(resource.docStatus) ? "" : sayStatus(resource.docStatus);
}

const NOTHING: Words = { en: "", es: "" };
const LAST_WORDS: ReadonlySet<string> = new Set(["final", "amended", "corrected", "appended"]);

/** What an entry is about, in its own words; the kind of entry if it has none. An order not to give something says so first. */
export function sayTitle(resource: FhirResource, names?: ReadonlyMap<string, string>): string {
  return sayForbidden(resource, findTitle(resource, names));
}

/** The name of a medicine, after the words that it must not be given, where the order says that. */
export function sayForbidden(resource: FhirResource, name: string): string {
  const isForbidden = "doNotPerform" in resource && resource.doNotPerform === true;
  return isForbidden ? say(PHRASES.forbidden, name) : name;
}

function findTitle(resource: FhirResource, names?: ReadonlyMap<string, string>): string {
  const fields = resource as unknown as Dated;
  const medicine = sayMedicine(resource, names);
  if (medicine !== "") return medicine;
  for (const name of TITLES) {
    const said = sayAnything(fields[name]);
    if (said !== "") return said;
  }
  return sayKind(resource.resourceType);
}

/** The medicine of a prescription or of what was taken: as it says itself, or as the substance that it refers to or holds is called. */
export function sayMedicine(resource: FhirResource, names?: ReadonlyMap<string, string>): string {
  const fields = resource as unknown as Dated;
  const reference = fields["medicationReference"] as Reference | undefined;
  const held = (fields["contained"] as readonly FhirResource[] | undefined)?.find((one) => `#${one.id ?? ""}` === reference?.reference);
  const own = sayConcept(fields["medicationCodeableConcept"] as CodeableConcept | undefined) || sayReference(reference, names);
  return own !== "" || held?.resourceType !== "Medication" ? own : sayConcept(held.code);
}

/** The names of medicines that came along with what refers to them, by reference. */
export function nameMedicines(included: Iterable<FhirResource>): ReadonlyMap<string, string> {
  return new Map([...included].flatMap((one) => (one.resourceType === "Medication" ? [[`Medication/${one.id ?? ""}`, sayConcept(one.code)] as const] : [])));
}

function sayAnything(value: unknown): string {
  if (typeof value === "string") return clip(value.trim());
  if (Array.isArray(value)) return value.map(sayAnything).find((one) => one !== "") ?? "";
  if (typeof value !== "object" || value === null) return "";
  return "coding" in value || "text" in value ? sayConcept(value as CodeableConcept) : sayCoding(value as Coding);
}

const SYSTOLIC = "8480-6";
const DIASTOLIC = "8462-4";

type Valued = Pick<Observation, "valueQuantity" | "valueCodeableConcept" | "valueString" | "valueBoolean" | "valueInteger" | "valueDateTime" | "valuePeriod" | "valueTime" | "valueRange" | "valueRatio" | "dataAbsentReason">;

/** The value of an observation or of one of its parts, "" if it has none of its own. */
export function sayValue(of: Valued): string {
  if (of.valueQuantity !== undefined) return sayQuantity(of.valueQuantity);
  if (of.valueCodeableConcept !== undefined) return sayConcept(of.valueCodeableConcept);
  if (of.valueString !== undefined) return clip(of.valueString);
  if (of.valueBoolean !== undefined) return say(of.valueBoolean ? PHRASES.yes : PHRASES.no);
  if (of.valueInteger !== undefined) return sayNumber(of.valueInteger);
  if (of.valueDateTime !== undefined) return sayMoment(of.valueDateTime);
  if (of.valueTime !== undefined) return of.valueTime;
  if (of.valuePeriod !== undefined) return sayPeriod(of.valuePeriod);
  if (of.valueRange !== undefined) return sayRange(of.valueRange);
  if (of.valueRatio !== undefined) return `${sayQuantity(of.valueRatio.numerator)} / ${sayQuantity(of.valueRatio.denominator)}`;
  return of.dataAbsentReason === undefined ? "" : say(PHRASES.noValue);
}

/** The value of a whole observation, with its parts: blood pressure as "120/80 mmHg". */
export function sayObservation(observation: Observation): string {
  const own = sayValue(observation);
  const parts = observation.component ?? [];
  if (parts.length === 0) return own;
  const of = (code: string): Quantity | undefined => parts.find((part) => codeOf(part.code, LOINC) === code)?.valueQuantity;
  const [high, low] = [of(SYSTOLIC), of(DIASTOLIC)];
  const isPressure = high?.value !== undefined && low?.value !== undefined && own === "" && sayUnit(high) === sayUnit(low);
  if (isPressure) return `${sayBare(high)}/${sayBare(low)} ${sayUnit(high)}`;
  return joinWords([own, ...parts.map((part) => joinWords([sayConcept(part.code), sayValue(part)], ": "))], "; ");
}

type Bounds = Pick<ObservationReferenceRange, "low" | "high">;

/** "3.5 to 5.1 mmol/L", "up to 5 mg/L". */
export function sayRange({ low, high }: Bounds): string {
  const isMixed = low?.unit !== undefined && high?.unit !== undefined && low.unit !== high.unit;
  if (isMixed && low.value !== undefined && high.value !== undefined) return say(PHRASES.between, sayQuantity(low), sayQuantity(high));
  if (low?.value !== undefined && high?.value !== undefined) return joinWords([say(PHRASES.between, sayNumber(low.value), sayNumber(high.value)), sayUnit(high)], " ");
  if (low?.value !== undefined) return say(PHRASES.atLeast, sayQuantity(low));
  return high?.value === undefined ? "" : say(PHRASES.atMost, sayQuantity(high));
}

/** Notes of an entry, each as it was written. */
export function sayNotes(notes: readonly Annotation[] | undefined): readonly string[] {
  return (notes ?? []).map((one) => clip(one.text)).filter((text) => text !== "");
}
