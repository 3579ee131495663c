/**
 * The browser's own verifier: receipts, exports and a network's headers hold, or are refused, as `verifier/` says.
 *
 * Pure but for WebCrypto and the clock; shares nothing with the server. A twin of `careledger verify` and of
 * verifier/verify.py, which must agree on every input (exports larger than a browser takes excepted).
 */

import { readText } from "./bytes.ts";
import { checkExport, type ExportFacts } from "./exports.ts";
import { type Heads } from "./heads.ts";
import { advance, type LightFacts } from "./light.ts";
import { checkReceipt, type ReceiptFacts } from "./receipts.ts";
import { type Code, Refused } from "./refused.ts";

export type { ChartFacts, ExportFacts } from "./exports.ts";
export type { Heads } from "./heads.ts";
export type { AsOf, Level } from "./ledger.ts";
export type { LightFacts } from "./light.ts";
export type { ReceiptFacts } from "./receipts.ts";
export type { Code } from "./refused.ts";

/** What was checked does not hold: why, as a stable code and as a sentence. */
export interface Refusal {
  readonly ok: false;
  readonly code: Code;
  readonly sentence: string;
}
/** What was checked holds, and this is what it shows; or it is refused. */
export type Verdict<Facts> = ({ readonly ok: true } & Facts) | Refusal;

/** What a file says that it is. */
export type FileKind = "receipt" | "chart" | "access-log" | "checkpoint" | "unknown";
const FORMAT = /"format":"careledger\/(receipt|chart|access-log|checkpoint)\/1"/;

/** What a reader may add to a receipt: the record itself, byte for byte, and another clock. */
export interface ReceiptOptions {
  readonly body?: Uint8Array | undefined;
  readonly nowMs?: number | undefined;
}

/** What a reader may add to an export: the id of the patient's key, and another clock. */
export interface ExportOptions {
  /** What was kept of an earlier export: its `heads`. */
  readonly since?: Heads | undefined;
  readonly key?: string | undefined;
  readonly nowMs?: number | undefined;
}

/** What a receipt shows of one version, under this trust file. */
export function verifyReceipt(
  receipt: Uint8Array,
  trust: Uint8Array,
  options: ReceiptOptions = {},
): Promise<Verdict<ReceiptFacts>> {
  return judge(() => checkReceipt(receipt, trust, options.body ?? null, options.nowMs ?? Date.now()));
}

/** What a chart or access-log export shows, under this trust file; nothing is gone or changed since `earlier`. */
export function verifyExport(
  file: Uint8Array,
  trust: Uint8Array,
  earlier?: Uint8Array,
  options: ExportOptions = {},
): Promise<Verdict<ExportFacts>> {
  const { since = null, key = null, nowMs = Date.now() } = options;
  const wishes = { earlier: earlier ?? null, since, key, nowMs };
  return judge(() => checkExport(file, trust, wishes));
}

/**
 * The trust file to keep in place of this one. `file` is what `/api/ledger/trust` answers for the trusted height; or, of
 * a network, any receipt or export of now, whose signed headers lead to it; of an embedded ledger, an export that
 * continues it.
 */
export function advanceLight(
  trust: Uint8Array,
  file: Uint8Array,
  nowMs = Date.now(),
): Promise<Verdict<LightFacts>> {
  return judge(() => advance(trust, file, nowMs));
}

/** What a file says that it is; nothing of it is checked. */
export function readKind(file: Uint8Array): FileKind {
  const name = FORMAT.exec(readText(file) ?? "")?.[1];
  return name === "receipt" || name === "chart" || name === "access-log" || name === "checkpoint"
    ? name
    : "unknown";
}

/** Only what a check refuses is a refusal; all else is a defect, and thrown. */
async function judge<Facts extends object>(check: () => Promise<Facts>): Promise<Verdict<Facts>> {
  try {
    return { ok: true, ...(await check()) };
  } catch (error) {
    if (error instanceof Refused) return { ok: false, code: error.code, sentence: error.message };
    throw error;
  }
}
