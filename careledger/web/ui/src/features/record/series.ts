import type { Observation, Quantity } from "fhir/r4";
import { codeOf, dateOf, LOINC, parseDate } from "../../lib/words.ts";
import { keyOfTest } from "./tests.ts";

/** One value of a test over time. `second` is the lower blood pressure, where there is one. */
export interface Point {
  readonly timeMs: number;
  readonly value: number;
  readonly second: number | undefined;
}

export interface Range {
  readonly low: number | undefined;
  readonly high: number | undefined;
}

/** Where a value lies beside the usual range. "unknown" where the record gives no range and nobody judged it. */
export type Place = "below" | "within" | "above" | "notable" | "unknown";

/** The values of one test in one unit, newest first. */
export interface Series {
  readonly key: string;
  readonly newest: Observation;
  readonly all: readonly Observation[];
  readonly points: readonly Point[];
}

const SYSTOLIC = "8480-6";
const DIASTOLIC = "8462-4";

/** The quantity of an observation that a drawing shows: its own, or the upper blood pressure. */
function mainQuantity(one: Observation): Quantity | undefined {
  return one.valueQuantity ?? partOf(one, SYSTOLIC);
}

function partOf(one: Observation, code: string): Quantity | undefined {
  return one.component?.find((part) => codeOf(part.code, LOINC) === code)?.valueQuantity;
}

/** Observations by their test and unit, each newest first; the tests in the order of their newest value. Mistakes are left out. */
export function groupSeries(observations: readonly Observation[]): readonly Series[] {
  const found = new Map<string, Observation[]>();
  for (const one of observations) {
    if (one.status === "entered-in-error" || one.status === "cancelled") continue;
    const key = `${keyOfTest(one.code)} ${mainQuantity(one)?.code ?? mainQuantity(one)?.unit ?? ""}`;
    const there = found.get(key);
    if (there === undefined) found.set(key, [one]);
    else there.push(one);
  }
  return [...found].flatMap(([key, all]) => {
    const sorted = all.toSorted((one, other) => timeMs(other) - timeMs(one));
    const newest = sorted[0];
    return newest === undefined ? [] : [{ key, newest, all: sorted, points: sorted.flatMap(toPoint).reverse() }];
  });
}

function timeMs(one: Observation): number {
  return parseDate(dateOf(one))?.getTime() ?? 0;
}

function toPoint(one: Observation): readonly Point[] {
  const value = mainQuantity(one)?.value;
  const time = timeMs(one);
  return value === undefined || time === 0 ? [] : [{ timeMs: time, value, second: partOf(one, DIASTOLIC)?.value }];
}

/** The range that the record gives for this value; undefined if it gives none, or one that says nothing of it: of another unit, or turned around. */
export function rangeOf(one: Observation): Range | undefined {
  const usual = one.referenceRange?.find((range) => range.type === undefined || codeOf(range.type, "http://terminology.hl7.org/CodeSystem/referencerange-meaning") === "normal") ?? one.referenceRange?.[0];
  const [low, high] = [usual?.low?.value, usual?.high?.value];
  if ((low === undefined && high === undefined) || (low ?? -Infinity) > (high ?? Infinity)) return undefined;
  const measured = mainQuantity(one);
  return isOther(measured, usual?.low) || isOther(measured, usual?.high) ? undefined : { low, high };
}

/** Whether two quantities say that they are of different units. */
function isOther(one: Quantity | undefined, other: Quantity | undefined): boolean {
  if (one?.code !== undefined && other?.code !== undefined) return one.code !== other.code;
  return one?.unit !== undefined && other?.unit !== undefined && one.unit !== other.unit;
}

const LOW = ["L", "LL", "LU"];
const HIGH = ["H", "HH", "HU"];

/** What the laboratory said of the value; where it said nothing, where the number lies in its range. */
export function placeOf(one: Observation): Place {
  const said = (one.interpretation ?? []).flatMap((concept) => (concept.coding ?? []).map((coding) => coding.code ?? ""));
  if (said.some((code) => LOW.includes(code))) return "below";
  if (said.some((code) => HIGH.includes(code))) return "above";
  if (said.some((code) => ["A", "AA", "POS"].includes(code))) return "notable";
  const found = one.valueQuantity === undefined ? undefined : compare(one.valueQuantity, rangeOf(one));
  if (found !== undefined) return found;
  return said.includes("N") || said.includes("NEG") ? "within" : "unknown";
}

/** Where a number lies in a range; undefined where the two do not tell, as of "less than" something within it. */
function compare({ value, comparator }: Quantity, range: Range | undefined): Place | undefined {
  if (value === undefined || range === undefined) return undefined;
  const [low, high] = [range.low ?? -Infinity, range.high ?? Infinity];
  if (comparator === undefined) return value < low ? "below" : value > high ? "above" : "within";
  if (comparator === "<") return value <= low ? "below" : undefined;
  return comparator === ">" && value >= high ? "above" : undefined;
}

/** Every code under which the values of a series were recorded, for a search of all of them. */
export function codesOf(series: Series): string {
  const codes = series.all.flatMap((one) => (one.code.coding ?? []).flatMap((coding) => (coding.code === undefined ? [] : [`${coding.system ?? ""}|${coding.code}`])));
  return [...new Set(codes)].join(",");
}
