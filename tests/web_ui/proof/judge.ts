/** Judges the cases of a folder: see browser.py. Usage: node judge.ts FOLDER; a verdict a line on standard output. */

import { readFileSync } from "node:fs";

import { unhex } from "../lib/proof/bytes.ts";
import { advanceLight, verifyExport, verifyReceipt } from "../lib/proof/index.ts";

interface Case {
  readonly kind: "receipt" | "export" | "light";
  readonly file: number;
  readonly trust: number;
  readonly body?: number;
  readonly earlier?: number;
  readonly key?: string;
  readonly now_ms?: number;
  /** What is put in place of these bytes of the file. */
  readonly splice?: readonly [start: number, end: number, hex: string];
  readonly trust_splice?: readonly [start: number, end: number, hex: string];
}

const folder = process.argv[2] ?? "";
const blobs = new Map<number, Buffer>();

function load(number: number, splice?: Case["splice"]): Buffer {
  const whole = blobs.get(number) ?? readFileSync(`${folder}/${number}`);
  blobs.set(number, whole);
  if (splice === undefined) return whole;
  const [start, end, put] = splice;
  return Buffer.concat([whole.subarray(0, start), unhex(put), whole.subarray(end)]);
}

function judge(one: Case): Promise<object> {
  const [file, trust] = [load(one.file, one.splice), load(one.trust, one.trust_splice)];
  const nowMs = one.now_ms;
  if (one.kind === "light") return advanceLight(trust, file, nowMs);
  if (one.kind === "receipt") {
    return verifyReceipt(file, trust, { body: one.body === undefined ? undefined : load(one.body), nowMs });
  }
  const earlier = one.earlier === undefined ? undefined : load(one.earlier);
  return verifyExport(file, trust, earlier, { key: one.key, nowMs });
}

for (const line of readFileSync(`${folder}/cases`, "utf8").split("\n").slice(0, -1)) {
  const started = process.cpuUsage();
  const verdict = await judge(JSON.parse(line));
  const spent = process.cpuUsage(started);
  const ms = (spent.user + spent.system) / 1000; // whatever else the machine does meanwhile
  const plain = (_: string, value: unknown): unknown =>
    value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value;
  console.log(JSON.stringify({ ...verdict, ms }, plain));
}
