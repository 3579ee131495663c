import type { Annotation, Dosage, MedicationRequest, Reference } from "fhir/r4";
import { sayDosage } from "../../lib/dosage.ts";
import { joinWords } from "../../lib/words.ts";

/** Who changes something, when, and why in words. */
export interface Hand {
  /** "Practitioner/…" */
  readonly who: Reference;
  readonly now: Date;
  readonly why: string;
}

/** A dose as the form has it: numbers as typed. */
export interface Dose {
  readonly amount: string;
  readonly unit: string;
  readonly times: string;
  readonly isAsNeeded: boolean;
  readonly words: string;
}

export const EMPTY_DOSE: Dose = { amount: "", unit: "", times: "", isAsNeeded: false, words: "" };
export const DAYS = 90;
const DAY_MS = 86_400_000;
const REASONS = "http://terminology.hl7.org/CodeSystem/medicationrequest-status-reason";

/** The reasons for a stop that FHIR names; words for them are the form's. */
export const STOP_CODES = ["sintol", "altchoice", "clarif", "drughigh", "sddi", "preg", "surg", "salg"] as const;
export type StopCode = (typeof STOP_CODES)[number];

function note({ who, now, why }: Hand): Annotation {
  return { authorReference: who, time: now.toISOString(), text: why };
}

function noted(request: MedicationRequest, hand: Hand): Pick<MedicationRequest, "note"> {
  return hand.why === "" ? {} : { note: [...(request.note ?? []), note(hand)] };
}

/** Without its narrative, which would go on telling what was before. */
function bare({ text: _text, ...request }: MedicationRequest): MedicationRequest {
  return request;
}

/** The prescription's next version: stopped, for that reason. */
export function stop(request: MedicationRequest, code: StopCode | "", hand: Hand): MedicationRequest {
  const statusReason = { ...(code === "" ? {} : { coding: [{ system: REASONS, code }] }), ...(hand.why === "" ? {} : { text: hand.why }) };
  return { ...bare(request), status: "stopped", statusReason, recorder: hand.who };
}

/** The next version: another dose from now on. What was said of the old dose goes, all of it: half of it would contradict the new one. */
export function changeDose(request: MedicationRequest, dose: Dose, hand: Hand): MedicationRequest {
  return { ...bare(request), dosageInstruction: [toDosage(dose)], ...noted(request, hand), recorder: hand.who };
}

/**
 * The prescription goes on for so many days. One that holds gets a next version; one that ended stays ended, and a new order
 * names it as the one before.
 */
export function renew(request: MedicationRequest, days: number, hand: Hand): MedicationRequest {
  const validityPeriod = { start: day(hand.now, 0), end: day(hand.now, days) };
  const going: Partial<MedicationRequest> = { authoredOn: hand.now.toISOString(), dispenseRequest: { ...request.dispenseRequest, validityPeriod }, requester: hand.who, recorder: hand.who };
  if (request.status === "active") return { ...bare(request), ...going, ...noted(request, hand) };
  const { id, meta: _meta, statusReason: _reason, identifier: _identifier, encounter: _encounter, note: _note, ...kept } = bare(request);
  const before: Reference = { reference: `MedicationRequest/${id ?? ""}` };
  return { ...kept, ...going, status: "active", priorPrescription: before, ...(hand.why === "" ? {} : { note: [note(hand)] }) };
}

/** A new prescription of a medicine named in words. */
export function begin(patient: string, name: string, dose: Dose, days: number, hand: Hand): MedicationRequest {
  return {
    resourceType: "MedicationRequest",
    status: "active",
    intent: "order",
    medicationCodeableConcept: { text: name },
    subject: { reference: `Patient/${patient}` },
    authoredOn: hand.now.toISOString(),
    requester: hand.who,
    recorder: hand.who,
    dosageInstruction: [toDosage(dose)],
    dispenseRequest: { validityPeriod: { start: day(hand.now, 0), end: day(hand.now, days) } },
    ...(hand.why === "" ? {} : { reasonCode: [{ text: hand.why }] }),
  };
}

function day(now: Date, days: number): string {
  return new Date(now.getTime() + days * DAY_MS).toISOString().slice(0, 10);
}

/** Whether the form's dose can be written: words, or an amount; numbers that are numbers. */
export function isDose(dose: Dose): boolean {
  const isNumber = (text: string): boolean => text === "" || (Number.isFinite(toNumber(text)) && toNumber(text) > 0 && toNumber(text) < 1e6);
  return isNumber(dose.amount) && isNumber(dose.times) && (dose.times === "" || Number.isInteger(toNumber(dose.times))) && (dose.words.trim() !== "" || dose.amount !== "");
}

/** Whether both say the same, however it was typed: a new version that changes nothing would be noise in the record for ever. */
export function isSameDose(one: Dose, other: Dose): boolean {
  return JSON.stringify(toDosage(one)) === JSON.stringify(toDosage(other));
}

/** A number as typed, with a comma or a point. */
function toNumber(text: string): number {
  return Number(text.trim().replace(",", "."));
}

/** FHIR's dosage. Without `text`, so that the numbers are told in the language of whoever reads; words go with them as they are. */
export function toDosage(dose: Dose): Dosage {
  const words = dose.words.trim();
  const doseQuantity = { value: toNumber(dose.amount), ...(dose.unit.trim() === "" ? {} : { unit: dose.unit.trim() }) };
  const repeat = { frequency: toNumber(dose.times), period: 1, periodUnit: "d" as const };
  return {
    ...(words === "" ? {} : dose.amount === "" ? { text: words } : { patientInstruction: words }),
    ...(dose.times === "" ? {} : { timing: { repeat } }),
    ...(dose.isAsNeeded ? { asNeededBoolean: true } : {}),
    ...(dose.amount === "" ? {} : { doseAndRate: [{ doseQuantity }] }),
  };
}

/**
 * The form's first values for a prescription. Its fields hold an amount so many times a day; what says more (days of the week,
 * steps, a maximum, a rate) comes as words, all of it, so that nothing of it is lost unseen by a change of the amount.
 */
export function fromDosage(dosages: readonly Dosage[] | undefined): Dose {
  const [dosage, ...others] = dosages ?? [];
  if (dosage === undefined) return EMPTY_DOSE;
  if (others.length > 0 || !isHeld(dosage)) return { ...EMPTY_DOSE, words: sayDosage(dosages) };
  const quantity = dosage.doseAndRate?.[0]?.doseQuantity;
  const frequency = dosage.timing?.repeat?.frequency;
  return {
    amount: quantity?.value === undefined ? "" : String(quantity.value),
    unit: quantity?.unit ?? quantity?.code ?? "",
    times: frequency === undefined ? "" : String(frequency),
    isAsNeeded: dosage.asNeededBoolean === true,
    words: joinWords([quantity?.value === undefined ? dosage.text : "", dosage.patientInstruction], " · "),
  };
}

const HELD: ReadonlySet<string> = new Set(["id", "sequence", "text", "timing", "doseAndRate", "asNeededBoolean", "patientInstruction"]);
const DAILY: ReadonlySet<string> = new Set(["frequency", "period", "periodUnit"]);

/** Whether the fields hold all that it says. Words beside numbers count as said by them only where these say how often. */
function isHeld(dosage: Dosage): boolean {
  const { timing, doseAndRate = [], text } = dosage;
  const { repeat } = timing ?? {};
  const isDaily = repeat?.frequency !== undefined && repeat.period === 1 && repeat.periodUnit === "d" && Object.keys(repeat).every((name) => DAILY.has(name));
  const isAmount = doseAndRate.length === 0 || (doseAndRate.length === 1 && doseAndRate.every(({ type: _type, doseQuantity, ...rest }) => doseQuantity?.value !== undefined && doseQuantity.comparator === undefined && Object.keys(rest).length === 0));
  return Object.keys(dosage).every((name) => HELD.has(name)) && isAmount && (isDaily || (timing === undefined && (text === undefined || doseAndRate.length === 0)));
}
