/** Chart and access-log exports: every entry of both logs, and that what was looked at was allowed (docs/spec/export.md). */

import { type Bytes, hex, isSame } from "./bytes.ts";
import { decide } from "./decisions.ts";
import { keyId } from "./directives.ts";
import { openExport, type Opened } from "./export_reading.ts";
import { checkHeads, type Heads } from "./heads.ts";
import { type AsOf, checkLedger, didOf, headRoot, type Level } from "./ledger.ts";
import { checkEarlier, checkFormer } from "./past.ts";
import { checkDates, checkPins } from "./pins.ts";
import { need } from "./refused.ts";
import { checkStanding } from "./standing.ts";
import { historyRoots, treeRoot } from "./trees.ts";
import { readTrust, type Trust } from "./trust.ts";

/** What an export shows, whichever it is. */
export interface ExportFacts {
  readonly kind: "chart" | "access-log";
  /** Its DID. */
  readonly organisation: string;
  readonly handle: string;
  /** Entries of the record log. */
  readonly entryCount: number;
  readonly accessCount: number;
  /** How many accesses each rule allowed. */
  readonly rules: Readonly<Record<string, number>>;
  /** What only a chart export shows. */
  readonly chart: ChartFacts | null;
  /** Keep them: `since` of a later check. */
  readonly heads: Heads;
  readonly level: Level;
  readonly asOf: AsOf;
}

/** What a chart export shows beyond its access log. */
export interface ChartFacts {
  /** Entries that were erased, each named by a key event. */
  readonly bareCount: number;
  /** Id of the key that was enrolled last: compare it with the patient's own. */
  readonly enrolledKey: string | null;
  readonly directiveCount: number;
  /** Of these, how many the ledger does not know as they were bound. */
  readonly withoutForce: number;
  /** Resources that came from another chart. */
  readonly movedIn: number;
}

/** What a reader may add: an export of before, or what was kept of one, the id of the patient's key, another clock. */
export interface ExportWishes {
  readonly earlier: Uint8Array | null;
  readonly since: Heads | null;
  readonly key: string | null;
  readonly nowMs: number;
}

/** What the export shows, if every step holds. */
export async function checkExport(
  data: Uint8Array,
  trustData: Uint8Array,
  wishes: ExportWishes,
): Promise<ExportFacts> {
  const trust = await readTrust(trustData);
  const opened = await openExport(data, trust.mode);
  const { file, chart, accesses } = opened;
  need(file.chain === trust.chain, "other-ledger");
  const { level, state, roots, now } = await checkSignedHistory(opened, trust, wishes.nowMs);
  const whole = { file, leaves: chart.leaves, accesses: accesses.leaves };
  checkPins(whole, trust, lastOf(roots));
  if (trust.mode === "embedded") {
    need(file.former === undefined, "former-embedded");
    checkDates(file, chart.times, accesses.entries);
  } else if (file.former !== undefined) {
    checkFormer(whole, file.former, state);
  }
  if ("entries" in file) {
    checkStanding(file, chart, state);
    checkDecisions(opened);
  }
  const enrolled = chart.keys.at(-1)?.key;
  const enrolledKey = enrolled === undefined ? null : keyId(enrolled);
  need(wishes.key === null || "entries" in file, "key-unseen");
  need(wishes.key === null || wishes.key === enrolledKey, "key-other");
  if (wishes.since !== null) checkHeads(now, chart.leaves, accesses.leaves, wishes.since);
  if (wishes.earlier !== null) checkEarlier(opened, roots, await openExport(wishes.earlier, "network"));
  return describe(opened, level, enrolledKey, now);
}

interface SignedHistory {
  readonly level: Level;
  readonly state: Bytes;
  readonly roots: ReadonlyMap<number, Bytes>;
  readonly now: Heads;
}

/** 7 and 8. Both logs, from all leaves, stand under a signed block, whose history continues the trusted one. */
async function checkSignedHistory(
  { file, chart, accesses, size }: Opened,
  trust: Trust,
  nowMs: number,
): Promise<SignedHistory> {
  const root = "head" in file ? file.head.root : treeRoot(chart.leaves);
  const heads = headRoot(file.handle, 0, size, root, file.heads.record);
  const accessRoot = treeRoot(accesses.leaves);
  const others = headRoot(file.handle, 1, accesses.leaves.length, accessRoot, file.heads.access);
  need(isSame(heads, others), "heads-apart");
  const signed = await checkLedger(trust, file, file.org, heads, nowMs);
  const roots = historyRoots(file.history.sizes, file.history.nodes);
  const last = lastOf(roots);
  const isSigned = last.size === signed.size && signed.root !== null && isSame(last.root, signed.root);
  need(isSigned, "history-parts");
  need(trust.size <= file.block.height + 1, "export-older");
  // On a network the light client has come from the trusted header to the one that holds this root.
  if (trust.mode === "embedded") {
    const trusted = roots.get(trust.size);
    need(trusted !== undefined, "export-since");
    need(isSame(trusted, trust.root), "rewritten");
  }
  const access = { size: accesses.leaves.length, root: hex(accessRoot) };
  const now = { record: { size, root: hex(root) }, access };
  return { level: signed.level, state: signed.state, roots, now };
}

function lastOf(roots: ReadonlyMap<number, Bytes>): { readonly size: number; readonly root: Bytes } {
  const [size, root] = [...roots].at(-1) ?? [0, new Uint8Array()];
  return { size, root };
}

function checkDecisions({ file, chart, accesses }: Opened): void {
  const custodian = didOf(file.org);
  for (const [number, access] of accesses.entries.entries()) {
    const why = decide(chart, access, custodian);
    need(why === "", "access-denied", `access entry ${number}`, why);
  }
}

function describe(
  { file, chart, accesses, size }: Opened,
  level: Level,
  enrolledKey: string | null,
  heads: Heads,
): ExportFacts {
  const rules = new Map<string, number>(); // what a rule is called is the file's word
  for (const { rule } of accesses.entries) {
    const name = rule.replace(/[^a-z-]/gu, "?") || "none";
    rules.set(name, (rules.get(name) ?? 0) + 1);
  }
  const mandates = [...chart.mandates.values()];
  const isChart = "entries" in file;
  return {
    kind: isChart ? "chart" : "access-log",
    organisation: didOf(file.org),
    handle: hex(file.handle),
    entryCount: size,
    accessCount: accesses.leaves.length,
    rules: Object.fromEntries(rules),
    chart: isChart
      ? {
          bareCount: chart.bareCount,
          enrolledKey,
          directiveCount: mandates.length,
          withoutForce: mandates.filter((mandate) => mandate.status === 0).length,
          movedIn: chart.movedIn,
        }
      : null,
    heads,
    level,
    asOf: { chain: file.chain, height: file.block.height, timeMs: file.block.time },
  };
}
