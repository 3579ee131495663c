import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import { say } from "../../lib/words.ts";
import { type Measure, MEASURES, PRESSURE } from "./measures.ts";

/** What somebody filled in, by the field's key. */
export type Filled = Readonly<Record<string, string>>;

export interface Choice {
  readonly value: string;
  readonly name: MessageDescriptor | string;
}

/** One field of a form. Lengths in characters; numbers are checked against what is possible. */
export interface Field {
  readonly key: string;
  readonly name: MessageDescriptor;
  readonly hint?: MessageDescriptor;
  readonly kind: "line" | "text" | "number" | "day" | "moment" | "choice";
  readonly isRequired: boolean;
  readonly lengthMost?: number;
  readonly choices?: readonly Choice[];
  readonly low?: number;
  readonly high?: number;
}

export type FormKey = "symptom" | "measurement" | "medicine" | "allergy" | "note" | "correction";

export interface Form {
  readonly key: FormKey;
  readonly name: MessageDescriptor;
  readonly about: MessageDescriptor;
  readonly icon: string;
  readonly fields: (filled: Filled) => readonly Field[];
}

const LINE = 200;
const TEXT = 2_000;

const WHEN: Field = { key: "when", name: msg`When`, kind: "moment", isRequired: true };
const NOTE: Field = { key: "note", name: msg`Anything else`, kind: "text", isRequired: false, lengthMost: TEXT };

/** What is being measured; the first of the table until somebody chooses. */
export function measureOf(filled: Filled): Measure {
  const found = MEASURES.find((one) => one.key === filled["measure"]) ?? MEASURES[0];
  if (found === undefined) throw new Error("the table of measures is empty");
  return found;
}

/** The unit that was chosen, of this measure. */
export function unitOf(filled: Filled): Measure["units"][number] {
  const { units } = measureOf(filled);
  const found = units.find((one) => one.code === filled["unit"]) ?? units[0];
  if (found === undefined) throw new Error("a measure without a unit");
  return found;
}

function listMeasureFields(filled: Filled): readonly Field[] {
  const measure = measureOf(filled);
  const { low, high } = unitOf(filled);
  const choose: Field = { key: "measure", name: msg`What was measured`, kind: "choice", isRequired: true, choices: MEASURES.map((one) => ({ value: one.key, name: say(one.name) })) };
  const unit: Field = { key: "unit", name: msg`Unit`, kind: "choice", isRequired: true, choices: measure.units.map((one) => ({ value: one.code, name: one.unit })) };
  const values: readonly Field[] = measure.key === PRESSURE
    ? [
        { key: "value", name: msg`Upper value (systolic, mmHg)`, kind: "number", isRequired: true, low, high },
        { key: "second", name: msg`Lower value (diastolic, mmHg)`, kind: "number", isRequired: true, low, high },
      ]
    : [{ key: "value", name: msg`Value`, kind: "number", isRequired: true, low, high }];
  return [choose, ...values, ...(measure.units.length > 1 ? [unit] : []), WHEN, NOTE];
}

/** What a patient may add, each with its fields. */
export const FORMS: readonly Form[] = [
  {
    key: "symptom", name: msg`A symptom`, about: msg`How you feel: pain, dizziness, a rash…`, icon: "heart",
    fields: () => [{ key: "what", name: msg`What do you notice?`, kind: "line", isRequired: true, lengthMost: LINE }, WHEN, NOTE],
  },
  { key: "measurement", name: msg`A measurement at home`, about: msg`Blood pressure, weight, blood sugar…`, icon: "flask", fields: listMeasureFields },
  {
    key: "medicine", name: msg`A medicine without a prescription`, about: msg`What you take of your own accord, herbs and vitamins too.`, icon: "pill",
    fields: () => [
      { key: "what", name: msg`Which medicine?`, hint: msg`As it is written on the package, with its strength.`, kind: "line", isRequired: true, lengthMost: LINE },
      { key: "dose", name: msg`How much and how often?`, kind: "line", isRequired: false, lengthMost: LINE },
      { key: "reason", name: msg`What for?`, kind: "line", isRequired: false, lengthMost: LINE },
      { key: "since", name: msg`Since when?`, kind: "day", isRequired: false },
      { key: "status", name: msg`Do you still take it?`, kind: "choice", isRequired: true, choices: [{ value: "active", name: msg`Yes` }, { value: "completed", name: msg`No, not any more` }] },
    ],
  },
  {
    key: "allergy", name: msg`An allergy`, about: msg`Something that your body does not bear.`, icon: "warning",
    fields: () => [
      { key: "what", name: msg`What are you allergic to?`, kind: "line", isRequired: true, lengthMost: LINE },
      { key: "category", name: msg`What sort of thing is it?`, kind: "choice", isRequired: false, choices: [{ value: "", name: msg`I do not know` }, { value: "food", name: msg`Food` }, { value: "medication", name: msg`A medicine` }, { value: "environment", name: msg`Something around you (pollen, animals, dust)` }] },
      { key: "reaction", name: msg`What happens then?`, kind: "line", isRequired: false, lengthMost: LINE },
      { key: "severity", name: msg`How bad is it?`, kind: "choice", isRequired: false, choices: [{ value: "", name: msg`I do not know` }, { value: "mild", name: msg`Mild` }, { value: "moderate", name: msg`Moderate` }, { value: "severe", name: msg`Severe: I needed help` }] },
      { key: "since", name: msg`Since when?`, kind: "day", isRequired: false },
    ],
  },
  {
    key: "note", name: msg`A note`, about: msg`Anything that those who treat you should know.`, icon: "record",
    fields: () => [{ key: "text", name: msg`Your note`, kind: "text", isRequired: true, lengthMost: TEXT }],
  },
];

/** "This is wrong": about one entry. */
export const CORRECTION: Form = {
  key: "correction", name: msg`This is wrong`, about: msg`What you say stands beside the entry, for everybody who may read it. The entry itself stays as its author wrote it.`, icon: "pencil",
  fields: () => [
    { key: "why", name: msg`What is wrong?`, kind: "choice", isRequired: true, choices: [{ value: "detail", name: msg`A detail is wrong` }, { value: "never", name: msg`This never was so` }, { value: "over", name: msg`It is not so any more` }, { value: "other", name: msg`It is about somebody else` }, { value: "missing", name: msg`Something is missing` }] },
    { key: "text", name: msg`What is right?`, hint: msg`In your own words.`, kind: "text", isRequired: true, lengthMost: TEXT },
  ],
};

/** With a choice for every list that must have one: the first, where nothing of the list is chosen. */
export function completeChoices(form: Form, filled: Filled): Filled {
  const missing = form.fields(filled).flatMap((field) => {
    const isChosen = field.choices?.some((one) => one.value === filled[field.key]) === true;
    return field.kind === "choice" && field.isRequired && !isChosen ? [[field.key, field.choices?.[0]?.value ?? ""] as const] : [];
  });
  return { ...filled, ...Object.fromEntries(missing) };
}

/** A number as people type it, with a point or a comma; undefined for what is none. */
export function readNumber(text: string): number | undefined {
  const plain = text.trim().replace(",", ".");
  return /^-?\d{1,9}(?:\.\d{1,6})?$/.test(plain) ? Number(plain) : undefined;
}

const SOON_MS = 60_000;
const OLDEST = new Date("1900-01-01").getTime();

function checkField(field: Field, text: string, nowMs: number): MessageDescriptor | undefined {
  if (text.trim() === "") return field.isRequired ? msg`This is needed.` : undefined;
  if (field.lengthMost !== undefined && text.length > field.lengthMost) return msg`This is too long.`;
  if (field.kind === "choice" && field.choices?.some((one) => one.value === text) !== true) return msg`Choose one of the list.`;
  if (field.kind === "number") {
    const value = readNumber(text);
    if (value === undefined) return msg`This is not a number.`;
    if (value < (field.low ?? -Infinity) || value > (field.high ?? Infinity)) return msg`This number is not possible. Is the unit right?`;
  }
  if (field.kind === "day" || field.kind === "moment") {
    const time = new Date(text).getTime();
    if (Number.isNaN(time) || time < OLDEST) return msg`This is not a date.`;
    if (time > nowMs + SOON_MS) return msg`This is in the future.`;
  }
  return undefined;
}

/** What must be changed before it can be kept, by field; empty when all is well. */
export function checkFilled(form: Form, filled: Filled, nowMs: number): Readonly<Record<string, MessageDescriptor>> {
  const wrong = form.fields(filled).flatMap((field) => {
    const problem = checkField(field, filled[field.key] ?? "", nowMs);
    return problem === undefined ? [] : [[field.key, problem] as const];
  });
  return Object.fromEntries(wrong);
}
