import type { Communication, DiagnosticReport, Encounter, FhirResource, Observation } from "fhir/r4";
import { describe, expect, it } from "vitest";
import type { Node, Search } from "../../lib/node.ts";
import { findSource, isPatientStated } from "../../lib/words.ts";
import { composeEntry, type Occasion } from "./composing.ts";
import { checkFilled, completeChoices, CORRECTION, type Filled, FORMS } from "./forms.ts";
import { groupMoments, groupMonths } from "./moments.ts";
import { groupSeries, placeOf } from "./series.ts";
import { findCursor, listEntries, readFirst, readFurther } from "./sources.ts";
import { markMistaken } from "./statements.ts";
import { sayTest } from "./tests.ts";

const LOINC = "http://loinc.org";
const NOW = new Date("2026-11-23T12:00:00Z").getTime();
const OCCASION: Occasion = { patient: "maria", nowMs: NOW, uuid: "7f0c5fd1-9c46-4e39-8a57-3f51c0b1a001", wrong: "Condition/c1/_history/2" };

function glucose(id: string, date: string, value: number, more: Partial<Observation> = {}): Observation {
  return { resourceType: "Observation", id, status: "final", code: { coding: [{ system: LOINC, code: "2345-7" }] }, subject: { reference: "Patient/maria" }, effectiveDateTime: date, valueQuantity: { value, code: "mg/dL", unit: "mg/dL" }, ...more };
}

/** A node that has these entries, and gives them in pages of two by date. */
function nodeOf(entries: readonly (FhirResource & { readonly id: string })[]): { readonly node: Node; readonly asked: Search[] } {
  const asked: Search[] = [];
  const dated = (one: FhirResource): string => (one as Observation).effectiveDateTime ?? (one as Encounter).period?.start ?? "";
  const node = {
    searches: (searches: readonly Search[]) => {
      asked.push(...searches);
      return Promise.resolve(searches.map(({ type, parameters }) => {
        const from = Number(parameters.find(([name]) => name === "_cursor")?.[1] ?? "0");
        const all = entries.filter((one) => one.resourceType === type).toSorted((one, other) => dated(other).localeCompare(dated(one)));
        const next = from + 2 < all.length ? `http://house.example/fhir/${type}?patient=maria&_cursor=${from + 2}` : "";
        return { resources: all.slice(from, from + 2), included: [], total: all.length, next };
      }));
    },
  } as unknown as Node;
  return { node, asked };
}

describe("the timeline", () => {
  const visit: Encounter & { id: string } = { resourceType: "Encounter", id: "v1", status: "finished", class: { code: "AMB" }, period: { start: "2020-05-01T09:00:00Z" } };
  const values = [2026, 2025, 2021, 2019, 2018].map((year) => glucose(`g${year}`, `${year}-03-01`, 90) as Observation & { id: string });

  it("shows nothing older than what every source has been read to, and everything in the end", async () => {
    const { node, asked } = nodeOf([visit, ...values]);
    const first = await readFirst(node, "maria", "all");
    expect(listEntries([first]).map((one) => one.id)).toEqual(["g2026", "g2025"]);
    const cursor = findCursor([first]);
    expect(cursor?.length).toBe(1);
    asked.length = 0;
    const portions = [first, await readFurther(node, "all", cursor ?? [])];
    expect(asked).toEqual([{ type: "Observation", parameters: [["patient", "maria"], ["_cursor", "2"]] }]);
    expect(listEntries(portions).map((one) => one.id)).toEqual(["g2026", "g2025", "g2021", "v1", "g2019"]);
    const all = [...portions, await readFurther(node, "all", findCursor(portions) ?? [])];
    expect(listEntries(all).map((one) => one.id)).toEqual(["g2026", "g2025", "g2021", "v1", "g2019", "g2018"]);
    expect(findCursor(all)).toBeUndefined();
  });

  it("asks for the patient's entries alone, in one request", async () => {
    const { node, asked } = nodeOf([]);
    await readFirst(node, "maria", "all");
    expect(asked.length).toBeGreaterThan(15);
    expect(asked.every((one) => one.parameters.some(([name, value]) => name === "patient" && value === "maria"))).toBe(true);
  });

  it("puts values under their report, those of one visit together, and the patient's own by themselves", () => {
    const report: DiagnosticReport = { resourceType: "DiagnosticReport", id: "r", status: "final", code: { text: "Panel" }, effectiveDateTime: "2026-03-01", result: [{ reference: "Observation/a" }] };
    const laboratory = { category: [{ coding: [{ system: "http://terminology.hl7.org/CodeSystem/observation-category", code: "laboratory" }] }] };
    const own = glucose("d", "2026-03-01", 95, { performer: [{ reference: "Patient/maria" }] });
    const moments = groupMoments([report, glucose("a", "2026-03-01", 90), glucose("b", "2026-03-01", 91, laboratory), glucose("c", "2026-03-01", 92, laboratory), own]);
    expect(moments.map((one) => [one.group, one.values.map((value) => value.id)])).toEqual([["report", ["a"]], ["laboratory", ["b", "c"]], ["single", []]]);
    expect(groupMonths(moments).map(([month]) => month)).toEqual(["2026-03"]);
  });
});

describe("results", () => {
  it("are judged by the laboratory, and by its range where it said nothing", () => {
    const range = { referenceRange: [{ low: { value: 70 }, high: { value: 99 } }] };
    const said = (code: string): Partial<Observation> => ({ interpretation: [{ coding: [{ code }] }] });
    expect([60, 70, 99, 100].map((value) => placeOf(glucose("g", "2026", value, range)))).toEqual(["below", "within", "within", "above"]);
    expect(placeOf(glucose("g", "2026", 80, { ...range, ...said("H") }))).toBe("above");
    expect(placeOf(glucose("g", "2026", 80))).toBe("unknown");
  });

  it("are not judged by a range that says nothing of them, and of less than something only what that tells", () => {
    const within = (low: number, high: number, unit: string): Partial<Observation> => ({ referenceRange: [{ low: { value: low, unit }, high: { value: high, unit } }] });
    const measured = (value: number, more: Partial<Observation>, comparator?: "<" | ">"): string => placeOf({ ...glucose("g", "2026", value, more), valueQuantity: { value, unit: "mmol/L", ...(comparator === undefined ? {} : { comparator }) } });
    expect([measured(5.5, within(70, 99, "mg/dL")), measured(5.5, within(9, 3, "mmol/L"))]).toEqual(["unknown", "unknown"]);
    expect([measured(3, within(3.9, 5.5, "mmol/L"), "<"), measured(5, within(3.9, 5.5, "mmol/L"), "<"), measured(6, within(3.9, 5.5, "mmol/L"), ">")]).toEqual(["below", "unknown", "above"]);
  });

  it("leave mistakes out, keep units apart, and begin with the newest", () => {
    const mistaken = glucose("x", "2026-09-01", 900, { status: "entered-in-error" });
    const other = glucose("m", "2026-01-01", 5, { valueQuantity: { value: 5, code: "mmol/L", unit: "mmol/L" } });
    const series = groupSeries([glucose("old", "2020-01-01", 80), mistaken, glucose("new", "2026-02-01", 90), other]);
    expect(series.map((one) => [one.newest.id, one.points.map((point) => point.value)])).toEqual([["new", [80, 90]], ["m", [5]]]);
  });

  it("are called by plain names, and as the record says where none is known", () => {
    expect(sayTest({ coding: [{ system: LOINC, code: "2345-7", display: "Glucose [Mass/volume] in Serum or Plasma" }] })).toBe("Blood sugar (glucose)");
    expect(sayTest({ coding: [{ system: "http://other.example", code: "2345-7", display: "Something else" }] })).toBe("Something else");
  });
});

const FILLED: Readonly<Record<string, Filled>> = {
  symptom: { what: "Dizzy", when: "2026-11-23T08:00" },
  measurement: { measure: "pressure", value: "128", second: "82,5", when: "2026-11-23T08:00" },
  medicine: { what: "Ibuprofen 400", dose: "one at night", since: "2026-11-01" },
  allergy: { what: "Peanuts", reaction: "Rash", severity: "mild", category: "food" },
  note: { text: "I live alone. ñ" },
  correction: { text: "It was my brother.", why: "other" },
};

describe("own entries", () => {
  it.each([...FORMS, CORRECTION])("$key: names the patient as its source and is marked as their word", (form) => {
    const filled = completeChoices(form, FILLED[form.key] ?? {});
    expect(checkFilled(form, filled, NOW)).toEqual({});
    const entry = composeEntry(form.key, filled, OCCASION);
    expect(entry.meta?.tag?.map((one) => one.code)).toEqual(["PATAST"]);
    expect(findSource(entry).isPatient && isPatientStated(entry)).toBe(true);
    expect(entry.id).toBeUndefined();
    expect(JSON.stringify(entry)).not.toContain('""');
    expect(JSON.stringify(markMistaken(entry))).toContain("entered-in-error");
  });

  it("a correction is a statement about a version: it is no new content of the entry", () => {
    const said = composeEntry("correction", FILLED["correction"] ?? {}, OCCASION) as Communication;
    expect([said.resourceType, said.about, said.payload]).toEqual(["Communication", [{ reference: "Condition/c1/_history/2" }], [{ contentString: "It was my brother." }]]);
  });

  it.each([
    ["symptom", { what: " ", when: "2026-11-23T08:00" }, ["what"]],
    ["symptom", { what: "x".repeat(201), when: "soon" }, ["what", "when"]],
    ["symptom", { what: "Dizzy", when: "2026-11-25T08:00" }, ["when"]],
    ["measurement", { measure: "temperature", unit: "Cel", value: "98.6", when: "2026-11-23T08:00" }, ["value"]],
    ["measurement", { measure: "weight", unit: "kg", value: "eighty", when: "2026-11-23T08:00" }, ["value"]],
    ["medicine", { what: "Ibuprofen", status: "stolen" }, ["status"]],
  ])("%s with %o is refused", (key, filled, wrong) => {
    const form = FORMS.find((one) => one.key === key);
    expect(form === undefined ? [] : Object.keys(checkFilled(form, filled as Filled, NOW))).toEqual(wrong);
  });

  it("a unit of another measure is never kept", () => {
    const form = FORMS.find((one) => one.key === "measurement");
    const filled = form === undefined ? {} : completeChoices(form, { measure: "temperature", unit: "kg", value: "37" });
    expect(filled["unit"]).toBe("Cel");
  });
});
