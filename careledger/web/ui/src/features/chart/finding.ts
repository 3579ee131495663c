import type { Encounter, Patient } from "fhir/r4";
import type { Node, Parameters } from "../../lib/node.ts";
import { type PatientRow, toRow } from "../../lib/patients.ts";

/** Patients that were found, and how many there are in all. */
export interface Found {
  readonly rows: readonly PatientRow[];
  readonly total: number;
}

/** A patient whom this person has treated, and when last. */
export interface Mine extends PatientRow {
  readonly seen: string;
}

const LETTERS_MIN = 2;
/** Names of one sign. */
const WHOLE = /[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}]/u;

/** Whether it is worth a search: two letters, or one sign that is a name. */
export function isEnough(text: string): boolean {
  return text.length >= LETTERS_MIN || WHOLE.test(text);
}

const COUNT = 20;
const VISITS = 24;
const YEAR_FIRST = /^(\d{4})(?:[-./](\d{1,2})(?:[-./](\d{1,2}))?)?$/;
const YEAR_LAST = /^(\d{1,2})[-./](\d{1,2})[-./](\d{4})$/;

/**
 * The searches that what was typed may mean; what any of them finds is found. Words are names, dates are days of birth (a
 * day written 3/4/1980 is both), a word with digits may be a number of the patient or a name.
 */
export function understand(text: string): readonly Parameters[] {
  const words = text.trim().split(/[\s,]+/).filter((word) => word !== "").slice(0, 6);
  const sure: [string, string][] = [];
  const numbers: string[] = [];
  for (const word of words) {
    const born = readDate(word);
    if (born !== "") sure.push(["birthdate", born]);
    else if (/\d/.test(word)) numbers.push(word);
    else sure.push(["name", withApostrophes(word)]);
  }
  if (numbers.length === 0) return sure.length === 0 ? [] : [sure];
  return [
    [...sure, ...numbers.map((word): [string, string] => ["name", word])],
    [...sure, ...numbers.map((word): [string, string] => ["identifier", word])],
  ];
}

/** A name with an apostrophe is found however that was written. */
function withApostrophes(word: string): string {
  return /['’]/.test(word) ? `${word.replaceAll("’", "'")},${word.replaceAll("'", "’")}` : word;
}

function readDate(word: string): string {
  const first = YEAR_FIRST.exec(word);
  if (first !== null) return [first[1], ...[first[2], first[3]].filter((part) => part !== undefined).map(pad)].join("-");
  const last = YEAR_LAST.exec(word);
  if (last === null) return "";
  const [, one = "", two = "", year = ""] = last;
  const both = [[one, two], [two, one]].filter(([month]) => Number(month) <= 12).map(([month, day]) => `${year}-${pad(month)}-${pad(day)}`);
  return [...new Set(both)].join(",");
}

function pad(part: string | undefined): string {
  return (part ?? "").padStart(2, "0");
}

/** So many letters of a name are looked for inside names too: fewer stand in half of all. */
const INSIDE_MIN = 3;

/**
 * The patients that the text may mean, whom this person may see: those whose name begins with what was typed, and after them,
 * where there are few, those whose name holds it (a second surname), lest "nobody found" be said of somebody who is here.
 */
export async function searchPatients(node: Node, text: string, signal: AbortSignal): Promise<Found> {
  const asked = understand(text);
  const first = await find(node, asked, signal);
  const names = asked.flat().filter(([name]) => name === "name");
  if (first.total >= COUNT || names.length === 0 || names.some(([, word]) => word.length < INSIDE_MIN)) return first;
  const inside = await find(node, asked.map((parameters) => parameters.map(([name, word]): [string, string] => [name === "name" ? "name:contains" : name, word])), signal);
  const rows = new Map([...first.rows, ...inside.rows].map((row) => [row.id, row]));
  return { rows: [...rows.values()].slice(0, COUNT), total: Math.max(rows.size, inside.total) };
}

async function find(node: Node, asked: readonly Parameters[], signal: AbortSignal): Promise<Found> {
  const searches = asked.map((parameters) => node.search<Patient>("Patient", [...parameters, ["_count", String(COUNT)]], signal));
  const pages = await Promise.all(searches);
  const rows = new Map(pages.flatMap((page) => page.resources.map((one) => [one.id ?? "", toRow(one)])));
  return { rows: [...rows.values()], total: Math.max(rows.size, ...pages.map((page) => page.total ?? 0)) };
}

/** Those whom this practitioner treated last, by their visits. */
export async function listMine(node: Node, practitioner: string): Promise<readonly Mine[]> {
  if (practitioner === "") return [];
  const visits = await node.search<Encounter>("Encounter", [
    ["practitioner", practitioner], ["_sort", "-date"], ["_count", String(VISITS)], ["_elements", "subject,period"], ["_include", "Encounter:patient"],
  ]);
  const people = new Map(visits.included.flatMap((one) => (one.resourceType === "Patient" ? [[one.id ?? "", one] as const] : [])));
  const mine = new Map<string, Mine>();
  for (const visit of visits.resources) {
    const patient = people.get(visit.subject?.reference?.replace("Patient/", "") ?? "");
    if (patient?.id === undefined || mine.has(patient.id)) continue;
    mine.set(patient.id, { ...toRow(patient), seen: visit.period?.start ?? "" });
  }
  return [...mine.values()];
}
