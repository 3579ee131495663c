/** What the record log of a chart export says, if its leaves obey the rules (docs/spec/export.md, steps 1 to 5). */

import { type Bytes, utf8 } from "./bytes.ts";
import { type Enrolled, readController, readDirective } from "./directives.ts";
import {
  BARE,
  type ChartFile,
  DAY_MS,
  type DirectiveText,
  EMERGENCY,
  ENTRY,
  type Entry,
  HOUR_MS,
  instant,
  KEY_EVENT,
  latestMs,
} from "./export_forms.ts";
import { parse } from "./forms.ts";
import { tagged } from "./hashing.ts";
import { checkAuthor, commitment } from "./receipts.ts";
import { need, Refused } from "./refused.ts";

/** Types of what is no resource, by kind. */
const TYPES: Readonly<Record<string, string>> = {
  guardian: "Controller",
  directive: "Directive",
  key: "KeyEvent",
};
/** What stays what it is, and cannot be erased. */
export const LASTING: readonly string[] = [...Object.values(TYPES), "EmergencyAccess"];

/** A directive that the enrolled key has bound to this chart, and what the ledger says of it. */
export interface Mandate {
  readonly text: DirectiveText;
  /** Of its own key. */
  readonly keyHash: Bytes;
  readonly time: number;
  /** 0 unknown to the ledger, 1 in force, 2 withdrawn. */
  status: 0 | 1 | 2;
  height: number;
}

/** An emergency access: who may look, and until when. */
export interface Emergency {
  readonly practitioner: string;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** The record log as it was read. Entry n has leaf n, type n ("" if bare) and time n (0 if bare). */
export interface Chart {
  readonly entries: (Entry | null)[];
  readonly leaves: Bytes[];
  readonly types: string[];
  readonly times: number[];
  /** Enrolled keys, in order. */
  readonly keys: Enrolled[];
  /** By id. */
  readonly mandates: Map<string, Mandate>;
  readonly emergencies: Emergency[];
  /** Places of a resource's versions, by `placeKey`. */
  readonly places: Map<string, number[]>;
  bareCount: number;
  movedIn: number;
}

/** What reading carries from one entry to the next. */
interface Reading {
  readonly file: ChartFile;
  readonly chart: Chart;
  /** Newest version by resource, negative once it has moved away. */
  readonly versions: Map<string, number>;
  readonly bare: Set<number>;
  readonly named: Set<number>;
  newestMs: number;
  skipped: number;
}

/** A resource of a chart, as its entries are looked up. */
export function placeKey(type: string, id: string): string {
  return `${type} ${id}`; // neither holds a space
}

/** A chart without a record log. */
export function makeChart(): Chart {
  return {
    entries: [],
    leaves: [],
    types: [],
    times: [],
    keys: [],
    mandates: new Map(),
    emergencies: [],
    places: new Map(),
    bareCount: 0,
    movedIn: 0,
  };
}

/** The record log of the export; every leaf is computed, and the bare ones are those that key events name. */
export async function readEntries(file: ChartFile): Promise<Chart> {
  const chart = makeChart();
  const reading: Reading = {
    file,
    chart,
    versions: new Map(),
    bare: new Set(),
    named: new Set(),
    newestMs: 0,
    skipped: 0,
  };
  for (const [number, part] of file.entries.entries()) {
    const where = `entry ${number}`;
    if (Object.hasOwn(part, "leaf")) {
      need(number > 0, "enrolment-bare", where);
      chart.leaves.push(BARE(part, where).leaf);
      chart.entries.push(null);
      chart.types.push("");
      chart.times.push(0);
      reading.bare.add(number);
    } else {
      await readEntry(reading, ENTRY(part, where), number, where);
    }
  }
  chart.bareCount = reading.bare.size;
  const isWhole =
    reading.named.size === reading.bare.size &&
    [...reading.named].every((number) => reading.bare.has(number));
  need(isWhole, "withheld");
  return chart;
}

async function readEntry(reading: Reading, entry: Entry, number: number, where: string): Promise<void> {
  const { file, chart } = reading;
  const { kind, type, id, version, time, author } = entry;
  checkAuthor(author, where);
  // 1 and 2. Kinds and times.
  need((kind === "enrolment") === (number === 0) && kind !== "access", "entry-kind", where);
  const isEmpty = type === "" && id === "" && version === 0 && author === "";
  need(number > 0 || isEmpty, "enrolment-says", where);
  need(reading.newestMs <= time && time <= latestMs(file), "entry-time", where);
  reading.newestMs = time;
  const body = utf8(entry.body);
  const digest = tagged("cl1.body", entry.salt, body);
  chart.leaves.push(commitment(file.org, file.handle, entry.salt, entry, digest));
  chart.entries.push(entry);
  chart.types.push(type);
  chart.times.push(time);
  if (kind === "enrolment" || kind === "close") {
    need(body.length === 0, "body-too-many", where);
    return;
  }
  const isTyped = (TYPES[kind] ?? "") === (Object.values(TYPES).includes(type) ? type : "");
  need(isTyped, "entry-type", where);
  need((kind === "deletion" || kind === "move") === (body.length === 0), "body-missing", where);
  countVersion(reading, entry, number, where);
  await takeBody(reading, entry, body, number, where);
}

/** 3. As many versions as entries are bare may be missing between two, and any number before the first here. */
function countVersion(reading: Reading, entry: Entry, number: number, where: string): void {
  const key = placeKey(entry.type, entry.id);
  const before = reading.versions.get(key);
  const step = entry.version - Math.abs(before ?? 0);
  if (before !== undefined && before > 0) reading.skipped += step - 1;
  need(step > 0 && reading.skipped <= reading.bare.size, "entry-version", where);
  if (before === undefined && step > 1) reading.chart.movedIn += 1;
  reading.versions.set(key, entry.kind === "move" ? -entry.version : entry.version);
  const places = reading.chart.places.get(key);
  if (places === undefined) reading.chart.places.set(key, [number]);
  else places.push(number);
}

/** 4. A resource says what its header says; what bears on consent or erasure enters the chart. */
async function takeBody(
  reading: Reading,
  entry: Entry,
  body: Bytes,
  number: number,
  where: string,
): Promise<void> {
  const { file, chart } = reading;
  if (entry.kind === "version" && entry.type !== "EmergencyAccess") {
    checkResource(entry, where);
  } else if (entry.kind === "version") {
    const leaf = parse(body, EMERGENCY, where);
    const fromMs = Math.max(leaf.from_ms, entry.time);
    const untilMs = Math.min(leaf.until_ms, entry.time + DAY_MS);
    chart.emergencies.push({ practitioner: leaf.practitioner, fromMs, untilMs });
  } else if (entry.kind === "key") {
    for (const leaf of parse(body, KEY_EVENT, where).leaves) {
      need(leaf < number, "erased-later", where);
      reading.named.add(leaf);
    }
  } else if (entry.kind === "guardian") {
    chart.keys.push(await readController(chart.keys.at(-1) ?? null, file, entry.id, body, where));
  } else if (entry.kind === "directive" && entry.version === 1) {
    need(/^[0-9a-f]{64}$/.test(entry.id), "directive-id", where);
    chart.mandates.set(entry.id, await readBound(file, chart, entry, body, where));
  }
}

/** 9, 10. A directive; one that the enrolled key did not bind to this chart is forged, and the file refused. */
async function readBound(
  file: ChartFile,
  chart: Chart,
  entry: Entry,
  body: Bytes,
  where: string,
): Promise<Mandate> {
  try {
    const bound = await readDirective(file, entry.id, chart.keys.at(-1)?.key ?? null, body);
    return { ...bound, time: entry.time, status: 0, height: 0 };
  } catch (error) {
    if (error instanceof Refused) throw new Refused("directive-forged", where, error.message);
    throw error;
  }
}

function checkResource(entry: Entry, where: string): void {
  const start =
    `{"resourceType":"${entry.type}","id":"${entry.id}",` +
    `"meta":{"versionId":"${entry.version}","lastUpdated":"`;
  need(entry.body.startsWith(start), "entry-resource", where);
  const said = entry.body.slice(start.length, start.length + 24);
  need(instant(entry.time - HOUR_MS) <= said && said <= instant(entry.time), "entry-redated", where);
}
