import type { CodeableConcept, Observation, Quantity } from "fhir/r4";

export type Flag = "low" | "high" | "critical" | "abnormal" | "";

/** One thing that was measured, its newest value and those before, oldest last. */
export interface Series {
  readonly key: string;
  readonly newest: Observation;
  readonly all: readonly Observation[];
}

/** Measurements grouped by what was measured; the order is that of the newest values. Those entered in error are none. */
export function group(observations: readonly Observation[]): readonly Series[] {
  const found = new Map<string, Observation[]>();
  for (const one of observations) {
    if (one.status === "entered-in-error" || one.status === "cancelled") continue;
    const key = keyOf(one.code);
    const series = found.get(key);
    if (series === undefined) found.set(key, [one]);
    else series.push(one);
  }
  return [...found].flatMap(([key, all]) => (all[0] === undefined ? [] : [{ key, newest: all[0], all }]));
}

/** "system|code" of the concept's first coding, as a search wants it; "" for one without. */
export function tokenOf(concept: CodeableConcept): string {
  const coding = concept.coding?.find((one) => one.code !== undefined);
  return coding === undefined ? "" : `${coding.system ?? ""}|${coding.code ?? ""}`;
}

function keyOf(concept: CodeableConcept): string {
  return tokenOf(concept) || (concept.text ?? "");
}

const SYSTOLIC = "8480-6";

/** What a trend is drawn of: the value, or of several parts the systolic pressure, else the first. */
function quantityOf(one: Observation): Quantity | undefined {
  const parts = one.component ?? [];
  const part = parts.find((each) => each.code.coding?.some((coding) => coding.code === SYSTOLIC)) ?? parts[0];
  return one.valueQuantity ?? part?.valueQuantity;
}

/** The numbers of values that came newest first, oldest first; those of another unit than the newest number's are no part of its trend. */
export function numbersOf(values: readonly Observation[]): readonly number[] {
  const found = values.map(quantityOf).filter((one) => one?.value !== undefined);
  const unit = unitOf(found[0]);
  return found.flatMap((one) => (one?.value === undefined || unitOf(one) !== unit ? [] : [one.value])).reverse();
}

function unitOf(one: Quantity | undefined): string {
  return one?.code ?? one?.unit ?? "";
}

const CRITICAL = new Set(["LL", "HH", "AA", "<", ">"]);
const LOW = new Set(["L", "LU"]);
const HIGH = new Set(["H", "HU"]);

/** How a value stands to what is usual: as its laboratory said; if it said nothing, by the range that it gave. "" for unremarkable or unknown. */
export function flagOf(one: Observation): Flag {
  const said = one.interpretation?.[0]?.coding?.[0]?.code;
  if (said !== undefined) {
    if (CRITICAL.has(said)) return "critical";
    if (LOW.has(said)) return "low";
    if (HIGH.has(said)) return "high";
    return said === "A" ? "abnormal" : "";
  }
  const value = one.valueQuantity;
  const range = one.referenceRange?.[0];
  if (value?.value === undefined || range === undefined) return "";
  if (!value.comparator?.startsWith(">") && isSame(value, range.low) && value.value < (range.low?.value ?? value.value)) return "low";
  if (!value.comparator?.startsWith("<") && isSame(value, range.high) && value.value > (range.high?.value ?? value.value)) return "high";
  return "";
}

/** Of one unit, or said so little of it that nothing contradicts. */
function isSame(one: Quantity, other: Quantity | undefined): boolean {
  const [left, right] = [one.code ?? one.unit, other?.code ?? other?.unit];
  return other?.value !== undefined && (left === undefined || right === undefined || left === right);
}

/** Whether the newest number is above or below the one before it: 1, −1, or 0 for the same or nothing to compare with. */
export function trendOf(series: Series): -1 | 0 | 1 {
  const numbers = numbersOf(series.all);
  const [before, last] = [numbers.at(-2), numbers.at(-1)];
  return before === undefined || last === undefined ? 0 : (Math.sign(last - before) as -1 | 0 | 1);
}

/** The points of a small line drawing in a field of that size, oldest at the start. "" of less than two numbers. */
export function pointsOf(numbers: readonly number[], width: number, height: number): string {
  if (numbers.length < 2) return "";
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)];
  const span = most - least || 1;
  const place = (value: number, index: number): string =>
    `${((index / (numbers.length - 1)) * width).toFixed(1)},${(most === least ? height / 2 : height - ((value - least) / span) * height).toFixed(1)}`;
  return numbers.map(place).join(" ");
}
