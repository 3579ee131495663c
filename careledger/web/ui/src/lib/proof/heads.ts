/** What a device keeps of a chart between visits: sizes and roots of its two logs, and nothing of what they hold. */

import { type Bytes, hex } from "./bytes.ts";
import { type Code, need } from "./refused.ts";
import { treeRoot } from "./trees.ts";

/** A log as it stood: how long it was, and its root in hex. */
export interface LogHead {
  readonly size: number;
  readonly root: string;
}

/** Both logs of a chart. */
export interface Heads {
  readonly record: LogHead;
  readonly access: LogHead;
}

/** Both logs begin as they stood then. The record log of an access-log export has no leaves: its size must not shrink. */
export function checkHeads(now: Heads, records: readonly Bytes[], accesses: readonly Bytes[], before: Heads): void {
  checkLog(now.record, records, before.record, "earlier-entry");
  checkLog(now.access, accesses, before.access, "earlier-access");
}

function checkLog(now: LogHead, leaves: readonly Bytes[], before: LogHead, code: Code): void {
  need(Number.isSafeInteger(before.size) && 0 <= before.size && before.size <= now.size, code);
  if (before.size === now.size) need(before.root === now.root, code);
  else if (leaves.length > 0) need(hex(treeRoot(leaves.slice(0, before.size))) === before.root, code);
}
