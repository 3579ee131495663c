import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import type { CodeableConcept, FhirResource, Observation, ObservationReferenceRange, Period, Quantity, Reference } from "fhir/r4";
import { clip } from "../../lib/clip.ts";
import { sayDosage } from "../../lib/dosage.ts";
import { joinWords, sayConcept, sayConcepts, sayDate, sayMoment, sayNotes, sayObservation, sayPeriod, sayQuantity, sayRange, sayReference, sayStatus, sayValue, statusOf } from "../../lib/words.ts";
import { sayTest } from "./tests.ts";

/** One fact of an entry, in words: its name and what the record says. */
export interface Fact {
  readonly name: MessageDescriptor;
  readonly value: string;
}

type Fields = Readonly<Record<string, unknown>>;
type Teller = (fields: Fields) => string;

const concept = (name: string): Teller => (fields) => (Array.isArray(fields[name]) ? sayConcepts(fields[name] as CodeableConcept[]) : sayConcept(fields[name] as CodeableConcept | undefined));
const moment = (name: string): Teller => (fields) => sayMoment(text(fields[name]));
const day = (name: string): Teller => (fields) => sayDate(text(fields[name]));
const plain = (name: string): Teller => (fields) => text(fields[name]);
const span = (name: string): Teller => (fields) => sayPeriod(fields[name] as Period | undefined);
const refer = (name: string): Teller => (fields) => joinWords([fields[name]].flat().map((one) => sayReference(one as Reference | undefined)));
const amount = (name: string): Teller => (fields) => sayQuantity(fields[name] as Quantity | undefined);
const first = (...tellers: readonly Teller[]): Teller => (fields) => tellers.map((tell) => tell(fields)).find((said) => said !== "") ?? "";

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function list<T>(fields: Fields, name: string): readonly T[] {
  const value = fields[name];
  return Array.isArray(value) ? (value as T[]) : [];
}

interface Reaction { readonly manifestation?: readonly CodeableConcept[]; readonly severity?: string }

const SEVERITIES: Readonly<Record<string, MessageDescriptor>> = { mild: msg`mild`, moderate: msg`moderate`, severe: msg`severe`, low: msg`low`, high: msg`high` };

/** What is told of an entry, in this order; what the entry leaves out is left out. */
const TELLERS: readonly (readonly [MessageDescriptor, Teller])[] = [
  [msg`Value`, (fields) => (fields["resourceType"] === "Observation" ? sayObservation(fields as unknown as Observation) : "")],
  [msg`Normally`, (fields) => joinWords(list<ObservationReferenceRange>(fields, "referenceRange").map((range) => sayRange(range) || range.text))],
  [msg`Assessment`, concept("interpretation")],
  [msg`When`, first(moment("effectiveDateTime"), span("effectivePeriod"), moment("performedDateTime"), span("performedPeriod"), moment("occurrenceDateTime"), span("period"), moment("started"), moment("sent"), moment("date"))],
  [msg`Began`, first(day("onsetDateTime"), span("onsetPeriod"), plain("onsetString"), day("startDate"))],
  [msg`Ended`, first(day("abatementDateTime"), span("abatementPeriod"), plain("abatementString"))],
  [msg`Ordered`, moment("authoredOn")],
  [msg`Status`, (fields) => sayStatus(statusOf(fields as unknown as FhirResource))],
  [msg`Certainty`, (fields) => sayStatus((fields["verificationStatus"] as CodeableConcept | undefined)?.coding?.[0]?.code)],
  [msg`Severity`, concept("severity")],
  [msg`How to take it`, first((fields) => sayDosage(fields["dosageInstruction"] as never), (fields) => (Array.isArray(fields["dosage"]) ? sayDosage(fields["dosage"] as never) : ""))],
  [msg`Because of`, first(concept("reasonCode"), refer("reasonReference"))],
  [msg`Reaction`, (fields) => joinWords(list<Reaction>(fields, "reaction").map((one) => sayConcepts(one.manifestation)))],
  [msg`Where on the body`, concept("bodySite")],
  [msg`Conclusion`, plain("conclusion")],
  [msg`Batch number`, plain("lotNumber")],
  [msg`Dose`, first(amount("doseQuantity"), amount("quantity"))],
  [msg`Message`, (fields) => joinWords(list<{ contentString?: string }>(fields, "payload").map((one) => one.contentString), "\n")],
  [msg`About`, refer("about")],
  [msg`Place`, (fields) => joinWords(list<{ location?: Reference }>(fields, "location").map((one) => sayReference(one.location)))],
  [msg`Notes`, (fields) => joinWords(sayNotes(fields["note"] as never), "\n")],
  [msg`Recorded`, first(moment("recordedDate"), moment("dateAsserted"), moment("issued"), moment("recorded"), moment("created"))],
];

/** An entry in words. */
export function listFacts(entry: FhirResource): readonly Fact[] {
  const fields = entry as unknown as Fields;
  return TELLERS.map(([name, tell]) => ({ name, value: clip(tell(fields)) })).filter((one) => one.value !== "");
}

/** The worst reaction of an allergy; undefined if none is graded. */
export function worstOf(entry: FhirResource): MessageDescriptor | undefined {
  const fields = entry as unknown as Fields;
  const grades = list<Reaction>(fields, "reaction").map((one) => one.severity ?? "");
  const worst = ["severe", "moderate", "mild"].find((one) => grades.includes(one)) ?? text(fields["criticality"]);
  return SEVERITIES[worst];
}

/** The parts of a measurement, each with its name and value. */
export function listParts(entry: FhirResource): readonly (readonly [name: string, value: string])[] {
  if (entry.resourceType !== "Observation") return [];
  return (entry.component ?? []).map((part) => [sayTest(part.code), sayValue(part)] as const);
}

/** A document inside an entry: its own bytes, or where the node keeps them. */
export interface Attached {
  readonly type: string;
  readonly title: string;
  /** base64; "" if the node keeps it under `binary`. */
  readonly data: string;
  /** "Binary/ID", "" if the bytes are here or elsewhere. */
  readonly binary: string;
}

interface Attachment { readonly contentType?: string; readonly title?: string; readonly data?: string; readonly url?: string }

/** The documents inside an entry. Addresses of other houses are not followed. */
export function listAttached(entry: FhirResource): readonly Attached[] {
  const fields = entry as unknown as Fields;
  const all = [...list<{ attachment?: Attachment }>(fields, "content").map((one) => one.attachment), ...list<Attachment>(fields, "presentedForm")];
  return all.flatMap((one) => {
    const binary = /^(?:.*\/fhir\/)?(Binary\/[A-Za-z0-9\-.]{1,64})$/.exec(one?.url ?? "")?.[1] ?? "";
    return one?.data === undefined && binary === "" ? [] : [{ type: one?.contentType ?? "", title: one?.title ?? "", data: one?.data ?? "", binary }];
  });
}

/** Texts are shown as they are; everything else is for the person's own programs. */
export function readText(attached: Attached): string | undefined {
  if (!/^text\/(?:plain|markdown)\b/.test(attached.type) || attached.data === "") return undefined;
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(attached.data), (letter) => letter.charCodeAt(0))).trim();
  } catch {
    return undefined;
  }
}
