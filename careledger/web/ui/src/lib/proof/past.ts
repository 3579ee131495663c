/** What an export shows of before: an earlier export of the chart, or the embedded ledger that it came from. */

import { type Bytes, concat, hex, isSame } from "./bytes.ts";
import { LASTING } from "./charts.ts";
import { type ExportFile, type Former, type Said } from "./export_forms.ts";
import { type Opened } from "./export_reading.ts";
import { enc, tagged } from "./hashing.ts";
import { checkBegins, type Whole } from "./pins.ts";
import { need } from "./refused.ts";
import { historyRoots, mapRoot, treeRoot } from "./trees.ts";

/** Former: the state holds which embedded ledger was adopted; the chart begins as it stood at that one's end. */
export function checkFormer(whole: Whole, former: Former, state: Bytes): void {
  const { genesis, size, root, seq, height, last } = former;
  const value = concat(genesis, enc(size), root, former.state, enc(seq, height));
  const key = tagged("cl1.key", enc("ledger", "adopted", whole.file.org));
  need(isSame(mapRoot(key, value, former.path), state), "former-missing");
  need(last.block.height === size - 1 && last.records.size > 0, "former-last");
  checkBegins(whole, [last], { size, root });
}

/** 12. Every leaf of an earlier export of the chart stands where it stood, and what was decided is not undone. */
export function checkEarlier(now: Opened, roots: ReadonlyMap<number, Bytes>, old: Opened): void {
  const [file, before] = [now.file, old.file];
  const isFormer =
    file.former !== undefined && before.chain === `cl-${hex(file.former.genesis).slice(0, 32)}`;
  const isOfChart =
    (isFormer || before.chain === file.chain) &&
    isSame(before.org, file.org) &&
    isSame(before.handle, file.handle);
  need(isOfChart, "earlier-chart");
  need(isPrefix(old.accesses.leaves, now.accesses.leaves), "earlier-access");
  const leaves = now.chart.leaves;
  if (leaves.length > 0) need(isPrefix(old.chart.leaves, leaves), "earlier-entry");
  if (leaves.length > 0 && "head" in before) {
    need(isSame(treeRoot(leaves.slice(0, old.size)), before.head.root), "earlier-log");
  }
  need(now.size >= old.size, "earlier-short");
  const [size, root] = [...historyRoots(before.history.sizes, before.history.nodes)].at(-1) ?? [0, null];
  const same = roots.get(size);
  need(isFormer || same === undefined || root === null || isSame(same, root), "earlier-history");
  if (leaves.length === 0 || old.chart.leaves.length === 0) return;
  for (const [number, was] of old.chart.types.entries()) {
    const isGone = now.chart.types[number] === "" && LASTING.includes(was);
    need(!isGone, "earlier-withheld", `entry ${number}`);
  }
  checkDecided(file, before, isFormer);
}

/** What the ledger said of a directive it says still, or the directive was revoked, or entered, since. */
function checkDecided(file: ExportFile, before: ExportFile, isFormer: boolean): void {
  if (!("directives" in file && "directives" in before)) return;
  const { height } = before.block;
  for (const [number, part] of file.directives.entries()) {
    const where = `directive ${number}`;
    const was = before.directives[number]?.said;
    const now = isFormer ? part.kept?.said : part.said;
    // On a network a grant may be there before its leaf.
    if (number >= before.directives.length && file.signed.note === undefined) continue;
    if (was === undefined) {
      need(now === undefined || now.height > height, "earlier-dated", where);
      continue;
    }
    const isKept = now !== undefined && (isSameSaid(now, was) || isEnded(now, was, height));
    need(isKept, "earlier-changed", where);
  }
}

/** Nothing but its end has come, after this height. */
function isEnded(now: Said, was: Said, height: number): boolean {
  const isLater = was.status < now.status && height < now.height;
  return isLater && was.status === 1 && isSameSaid({ ...now, status: 1, height: was.height }, was);
}

function isSameSaid(one: Said, other: Said): boolean {
  return (
    one.height === other.height &&
    one.status === other.status &&
    one.until === other.until &&
    isSame(one.key, other.key) &&
    isSame(one.revocation, other.revocation)
  );
}

function isPrefix(first: readonly Bytes[], all: readonly Bytes[]): boolean {
  return first.length <= all.length && first.every((leaf, at) => isSame(leaf, all[at] ?? leaf));
}
