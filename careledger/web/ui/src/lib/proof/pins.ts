/** Pins: how both logs of a chart stood at earlier blocks (docs/spec/witness.md, Pins; export.md, step 8). */

import { type Access } from "./accesses.ts";
import { type Bytes, concat, isSame } from "./bytes.ts";
import { type ExportFile, HOUR_MS, type Pin } from "./export_forms.ts";
import { enc } from "./hashing.ts";
import { headKey, historyEntry, stateRoot } from "./ledger.ts";
import { need } from "./refused.ts";
import { logRoot, mapRoot, prefixRoots } from "./trees.ts";
import { type Trust } from "./trust.ts";

type Head = Pin["records"];
/** What an earlier block of the history is compared with. */
export interface Whole {
  readonly file: ExportFile;
  readonly leaves: readonly Bytes[];
  readonly accesses: readonly Bytes[];
}
/** A ledger's history: root over the blocks 0 to size - 1. */
interface Past {
  readonly size: number;
  readonly root: Bytes;
}

/** Both logs begin as they stood at each pinned block; the last block of an older trusted checkpoint is one. */
export function checkPins(whole: Whole, trust: Trust, history: Past): void {
  const { file } = whole;
  const states = checkBegins(whole, file.pins ?? [], history);
  const at = trust.size - 1;
  const state = states.get(at);
  const isSigned =
    state === undefined || trust.mode === "embedded" || isSame(state, trust.block.header.app_hash);
  need(isSigned, "pin-state");
  need(trust.size > file.block.height || state !== undefined, "pin-missing");
}

/** States by height; both logs begin as each of these pins of the signed history says. */
export function checkBegins(whole: Whole, pins: readonly Pin[], history: Past): ReadonlyMap<number, Bytes> {
  const { file } = whole;
  const records = prefixRoots(
    whole.leaves,
    pins.map((pin) => pin.records.size),
  );
  const accesses = prefixRoots(
    whole.accesses,
    pins.map((pin) => pin.access.size),
  );
  // Of an access log, the record log's leaves are not there: its heads are compared among each other.
  if ("head" in file) records.set(file.head.size, file.head.root);
  const states = new Map<number, Bytes>();
  let before = -1;
  for (const pin of pins) {
    const { height } = pin.block;
    need(before < height, "pin-order");
    before = height;
    const { size, root } = pin.records;
    if ("head" in file && size < file.head.size && !records.has(size)) records.set(size, root);
    const first = checkHead(file.handle, 0, pin.records, records);
    const second = checkHead(file.handle, 1, pin.access, accesses);
    need(isSame(first, second), "pin-begins");
    const state = stateRoot(pin, file.org, first);
    states.set(height, state);
    const entry = historyEntry(pin.block, state);
    need(isSame(logRoot(entry, height, history.size, pin.path), history.root), "pin-outside");
  }
  return states;
}

/** Root of the map of heads in which this was the head of a log, with which the log begins. */
function checkHead(handle: Bytes, log: 0 | 1, head: Head, known: ReadonlyMap<number, Bytes>): Bytes {
  const root = known.get(head.size);
  need(root !== undefined && isSame(root, head.root), "pin-begins");
  need(head.size === 0 || head.other === undefined, "pin-other");
  const value = head.size > 0 ? concat(enc(head.size), head.root) : null;
  return mapRoot(headKey(handle, log), value, head.heads, head.other);
}

/**
 * What entered a log after a pinned block is not dated, nor decided, more than an hour before that block. (On a network
 * it may wait for its block, for as long as none is made.) A time that is 0, of a bare entry, is as of the next one.
 */
export function checkDates(file: ExportFile, times: readonly number[], entries: readonly Access[]): void {
  const pins = file.pins ?? [];
  const last = file.block.time;
  const records = fillTimes([...times, last]);
  const accesses = fillTimes([...entries.map((entry) => entry.timeMs), last]);
  const isOrdered = pins.every((pin, at) => at === 0 || (pins[at - 1]?.block.time ?? 0) <= pin.block.time);
  need(isOrdered, "pin-times");
  for (const pin of pins) {
    const since = pin.block.time - HOUR_MS;
    const isLate =
      isEnteredLate(records, pin.records.size, since) && isEnteredLate(accesses, pin.access.size, since);
    need(isLate, "dated-back");
  }
  for (const [number, entry] of entries.entries()) {
    const settled = findLast(pins, entry.timeMs - HOUR_MS);
    need(settled === null || entry.height >= settled.block.height, "access-stale", `access entry ${number}`);
  }
}

function isEnteredLate(times: readonly number[], size: number, since: number): boolean {
  return times.length === 1 || (times[size] ?? 0) >= since;
}

/** Times that are not known are as of the next that is. */
function fillTimes(times: number[]): readonly number[] {
  for (let at = times.length - 2; at >= 0; at -= 1) times[at] = times[at] || (times[at + 1] ?? 0);
  return times;
}

/** The last pin of a block that was made by this time; null if there is none. */
function findLast(pins: readonly Pin[], timeMs: number): Pin | null {
  let [low, high] = [0, pins.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((pins[middle]?.block.time ?? 0) <= timeMs) low = middle + 1;
    else high = middle;
  }
  return pins[low - 1] ?? null;
}
