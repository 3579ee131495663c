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

export const LETTERS_MIN = 2;
const COUNT = 20;
const VISITS = 24;
const YEAR_FIRST = /^(\d{4})(?:[-./](\d{1,2})(?:[-./](\d{1,2}))?)?$/;
const YEAR_LAST = /^(\d{1,2})[-./](\d{1,2})[-./](\d{4})$/;

/**
 * The searches that what was typed may mean; what any of them finds is found. Words are names, dates are days of birth (a
 * day written 3/4/1980 is both), a word with digits may be a number of the patient or a name.
 */
export function understand(text: string): readonly Parameters[] {
  const words = text.trim().split(/\s+/).filter((word) => word !== "").slice(0, 6);
  const sure: [string, string][] = [];
  const numbers: string[] = [];
  for (const word of words) {
    const born = readDate(word);
    if (born !== "") sure.push(["birthdate", born]);
    else if (/\d/.test(word)) numbers.push(word);
    else sure.push(["name", word]);
  }
  if (numbers.length === 0) return sure.length === 0 ? [] : [sure];
  return [
    [...sure, ...numbers.map((word): [string, string] => ["name", word])],
    [...sure, ...numbers.map((word): [string, string] => ["identifier", word])],
  ];
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

/** The patients that the text may mean, whom this person may see. */
export async function searchPatients(node: Node, text: string, signal: AbortSignal): Promise<Found> {
  const searches = understand(text).map((parameters) => node.search<Patient>("Patient", [...parameters, ["_count", String(COUNT)]], signal));
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
