import type { DiagnosticReport, FhirResource, Observation } from "fhir/r4";
import { codeOf, dateOf, isPatientStated } from "../../lib/words.ts";
import { visitOf } from "./sources.ts";

/** One line of the timeline: an entry by itself, or the values that were taken together. */
export interface Moment {
  readonly key: string;
  /** FHIR date, "" if unknown. */
  readonly date: string;
  /** The entry; of values the report that holds them, else the first. */
  readonly entry: FhirResource;
  /** The values of a report or of one round of measuring; empty for everything else. */
  readonly values: readonly Observation[];
  readonly group: "single" | "vital-signs" | "laboratory" | "report" | "answers";
}

const CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category";

/**
 * The timeline's lines, in the order of the entries. Values of one visit and day stand together; those of a report stand
 * under it. What the patient stated stands by itself.
 */
export function groupMoments(entries: readonly FhirResource[]): readonly Moment[] {
  const reports = new Map<string, DiagnosticReport>();
  for (const one of entries) {
    if (one.resourceType !== "DiagnosticReport") continue;
    for (const result of one.result ?? []) if (result.reference !== undefined) reports.set(result.reference, one);
  }
  const found = new Map<string, { readonly entry: FhirResource; readonly group: Moment["group"]; readonly values: Observation[] }>();
  for (const one of entries) {
    const { key, entry, group } = placeOf(one, reports);
    const there = found.get(key);
    const moment = there ?? { entry, group, values: [] };
    if (there === undefined) found.set(key, moment);
    if (one.resourceType === "Observation" && group !== "single") moment.values.push(one);
  }
  return [...found].map(([key, { entry, group, values }]) => ({ key, date: dateOf(entry), entry, group, values }));
}

function placeOf(one: FhirResource, reports: ReadonlyMap<string, DiagnosticReport>): { readonly key: string; readonly entry: FhirResource; readonly group: Moment["group"] } {
  const own = `${one.resourceType}/${one.id}`;
  if (one.resourceType === "DiagnosticReport") return { key: own, entry: one, group: "report" };
  if (one.resourceType !== "Observation" || isPatientStated(one)) return { key: own, entry: one, group: "single" };
  const report = reports.get(own);
  if (report !== undefined) return { key: `DiagnosticReport/${report.id}`, entry: report, group: "report" };
  const category = groupOf(one);
  const visit = visitOf(one);
  return { key: `${category} ${visit} ${dateOf(one).slice(0, 10)}`, entry: one, group: category };
}

function groupOf(one: Observation): "vital-signs" | "laboratory" | "answers" {
  const codes = (one.category ?? []).map((category) => codeOf(category, CATEGORY));
  if (codes.includes("vital-signs")) return "vital-signs";
  return codes.includes("laboratory") ? "laboratory" : "answers";
}

/** Lines under their months; what has no date comes under "". */
export function groupMonths(moments: readonly Moment[]): readonly (readonly [month: string, moments: readonly Moment[]])[] {
  const months = new Map<string, Moment[]>();
  for (const moment of moments) {
    const month = moment.date.slice(0, 7);
    const there = months.get(month);
    if (there === undefined) months.set(month, [moment]);
    else there.push(moment);
  }
  return [...months];
}
