/** From an organisation's map of heads to what a ledger's operator or validators signed. */

import { type Bytes, concat, hex, isSame } from "./bytes.ts";
import { DIGEST, NUMBER, object, type Of, type Raw, TIME } from "./forms.ts";
import { enc, tagged } from "./hashing.ts";
import { checkFinal, SIGNED, type Signed } from "./networks.ts";
import { checkNote } from "./notes.ts";
import { need } from "./refused.ts";
import { logRoot, mapRoot } from "./trees.ts";
import { type EmbeddedTrust, type Trust } from "./trust.ts";

export const ANCHOR = object({ log: DIGEST, seq: NUMBER, size: NUMBER, time: TIME });
export const BLOCK = object({ height: NUMBER, time: TIME });

/** How sure a proof is: the operator alone, k of n witnesses with it, or two thirds of a network's weight. */
export type Level = "anchored" | "witnessed" | "final";

/** When and where: the block under which a proof stands. */
export interface AsOf {
  readonly chain: string;
  readonly height: number;
  /** Embedded, the operator's word; on a network, its validators'. */
  readonly timeMs: number;
}

/** What an anchor and its block are shown by, in receipts, exports and pins. */
export interface Anchored {
  readonly anchor: Of<typeof ANCHOR>;
  readonly block: Of<typeof BLOCK>;
  readonly state: Bytes;
}

/** A block that is signed: how surely, under which history, and the state that it left. */
export interface SignedBlock {
  readonly level: Level;
  readonly size: number;
  /** Of the history; null on a network whose file does not show it. */
  readonly root: Bytes | null;
  readonly state: Bytes;
}

/** The signed part in its form; `mode` says what may be in it. */
export function readSigned(signed: Raw, mode: Trust["mode"], where: string): Signed {
  const isPlain = Object.keys(signed).every((name) => name === "note" || name === "path");
  need(isPlain || mode === "network", "not-embedded");
  return SIGNED(signed, where);
}

/** Root of the ledger's state in which the batch `newest` is the organisation's anchor. */
export function stateRoot(part: Anchored, org: Bytes, newest: Bytes): Bytes {
  const { anchor, block } = part;
  need(anchor.time <= block.time, "anchor-late");
  const key = tagged("cl1.key", enc("records", "anchors", org));
  const value = concat(enc(anchor.seq), newest, enc(anchor.time, anchor.size), anchor.log);
  return mapRoot(key, value, part.state);
}

/** The entry of a block in the history of its ledger. */
export function historyEntry(block: Of<typeof BLOCK>, state: Bytes): Bytes {
  return concat(enc(block.height, block.time), state);
}

/** Root of the map of heads that holds this head of the chart; log 0 holds records, 1 accesses. */
export function headRoot(handle: Bytes, log: 0 | 1, size: number, root: Bytes, path: Bytes): Bytes {
  return mapRoot(headKey(handle, log), concat(enc(size), root), path);
}

/** An organisation's name on the ledger. */
export function didOf(org: Bytes): string {
  return `did:careledger:${hex(org)}`;
}

/** The key of a chart's head in the map of heads. */
export function headKey(handle: Bytes, log: 0 | 1): Bytes {
  return tagged("cl1.head", Uint8Array.of(log), handle);
}

/** The batch `newest` is the organisation's anchor in the state after a signed block, no older than trust allows. */
export async function checkLedger(
  trust: Trust,
  part: Anchored & { readonly signed: Signed },
  org: Bytes,
  newest: Bytes,
  nowMs: number,
): Promise<SignedBlock> {
  const state = stateRoot(part, org, newest);
  const signed = await checkSigned(trust, part, state, nowMs);
  const ageS = (nowMs - part.block.time) / 1000;
  need(trust.maxAgeS === null || ageS <= trust.maxAgeS, "too-old");
  return { ...signed, state };
}

async function checkSigned(
  trust: Trust,
  part: Anchored & { readonly signed: Signed },
  state: Bytes,
  nowMs: number,
): Promise<Omit<SignedBlock, "state">> {
  if (trust.mode === "embedded") return checkOperator(trust, part.signed, part.block, state);
  const history = await checkFinal(trust, part.signed, part.block, state, nowMs);
  return { level: "final", ...history };
}

/** The block is in a history that the operator signed, and that agrees with the trusted one. */
async function checkOperator(
  trust: EmbeddedTrust,
  signed: Signed,
  block: Of<typeof BLOCK>,
  state: Bytes,
): Promise<Omit<SignedBlock, "state">> {
  need(signed.note !== undefined && signed.path !== undefined, "not-embedded");
  const { size, root, signers } = await checkNote(signed.note, trust.chain, trust.signers);
  need(
    [...trust.operators.keys()].some((name) => signers.has(name)),
    "no-operator",
  );
  const entry = historyEntry(block, state);
  need(isSame(logRoot(entry, block.height, size, signed.path), root), "block-outside");
  need(size !== trust.size || isSame(root, trust.root), "fork");
  return { level: readLevel(trust, signers), size, root };
}

/** How sure these signers make a checkpoint: no less than the reader demands. Keys of one name count once. */
export function readLevel(trust: EmbeddedTrust, signers: ReadonlySet<string>): Level {
  const witnesses = new Set([...signers].filter((name) => !trust.operators.has(name)).map(readName));
  const isWitnessed = trust.witnessCount !== null && witnesses.size >= trust.witnessCount;
  need(isWitnessed || trust.level !== "witnessed", "not-witnessed");
  return isWitnessed ? "witnessed" : "anchored";
}

/** The name of a signer, of which several keys count once. */
function readName(signer: string): string {
  return signer.slice(0, signer.indexOf(" "));
}
