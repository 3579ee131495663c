/** Receipts: one version of a record was in a chart's log when a block of the ledger was made (docs/spec/receipt.md). */

import { type Bytes, concat, isSame, utf8 } from "./bytes.ts";
import {
  CHAIN,
  DIGEST,
  INPUT_MAX,
  LOG_PATH,
  MAP_PATH,
  NUMBER,
  object,
  oneOf,
  raw,
  readCanonical,
  text,
  TIME,
} from "./forms.ts";
import { enc, tagged } from "./hashing.ts";
import { ANCHOR, type AsOf, BLOCK, checkLedger, didOf, headRoot, type Level, readSigned } from "./ledger.ts";
import { need, Refused } from "./refused.ts";
import { logRoot } from "./trees.ts";
import { field, readTrust, type Trust } from "./trust.ts";

/** The kinds of leaves, and the number of each in its header. */
export const KINDS = {
  enrolment: 0,
  version: 1,
  deletion: 2,
  guardian: 3,
  directive: 4,
  key: 5,
  move: 6,
  close: 7,
  access: 32,
} as const;
export type Kind = keyof typeof KINDS;
export const KIND = oneOf(...(Object.keys(KINDS) as Kind[]));
/** A type or an id. */
export const WORD = text(/^[!-~]{0,64}$/);
export const AUTHOR = text(/^[^\0-\x1f\x7f-\x9f]*$/u);
const AUTHOR_MAX = 512;

const RECEIPT = object(
  {
    anchor: ANCHOR,
    block: BLOCK,
    chain: CHAIN,
    format: oneOf("careledger/receipt/1"),
    head: object({ root: DIGEST, size: NUMBER }),
    header: object({
      author: AUTHOR,
      body: DIGEST,
      handle: DIGEST,
      id: WORD,
      kind: KIND,
      org: DIGEST,
      time: TIME,
      type: WORD,
      version: NUMBER,
    }),
    heads: MAP_PATH,
    index: NUMBER,
    path: LOG_PATH,
    salt: DIGEST,
    signed: raw, // `readSigned` has its form
    state: MAP_PATH,
  },
  { batch: object({ newest: DIGEST, path: LOG_PATH, seq: NUMBER, time: TIME }) },
);

/** An opened header, but for what all of a chart share. */
export interface Opened {
  readonly kind: Kind;
  readonly type: string;
  readonly id: string;
  readonly version: number;
  readonly time: number;
  readonly author: string;
}

/** What a receipt shows. */
export interface ReceiptFacts extends Opened {
  /** Its DID. */
  readonly organisation: string;
  readonly index: number;
  readonly chartSize: number;
  /** Whether the record itself was given, and is the one that was recorded. */
  readonly isBodyChecked: boolean;
  readonly level: Level;
  readonly asOf: AsOf;
}

/** The leaf of an opened header: its commitment. */
export function commitment(org: Bytes, handle: Bytes, salt: Bytes, header: Opened, body: Bytes): Bytes {
  const { kind, type, id, version, time, author } = header;
  const place = concat(salt, org, handle, Uint8Array.of(KINDS[kind]));
  return tagged("cl1.commit", place, enc(type, id, version, time, author), body);
}

/** Returns only if the author is as short as the specification says. */
export function checkAuthor(author: string, where: string): void {
  need(utf8(author).length <= AUTHOR_MAX, "author-long", where);
}

/** What the receipt shows, if every step from the opened header to what the trusted signed holds. */
export async function checkReceipt(
  data: Uint8Array,
  trustData: Uint8Array,
  body: Uint8Array | null,
  nowMs: number,
): Promise<ReceiptFacts> {
  const trust = await readTrust(trustData);
  const value = readCanonical(data, "receipt", INPUT_MAX);
  if (field(value, "format") === "careledger/checkpoint/1") compare(await readTrust(data), trust);
  const file = RECEIPT(value, "receipt");
  const receipt = { ...file, signed: readSigned(file.signed, trust.mode, "receipt.signed") };
  const { header, head, anchor, batch } = receipt;
  need(receipt.chain === trust.chain, "other-ledger");
  checkAuthor(header.author, "");
  // 1. The body is the one that the header names.
  const isBodyRight = body === null || isSame(tagged("cl1.body", receipt.salt, body), header.body);
  need(isBodyRight, "body");
  // 2. The header, salted, is a leaf of the chart's log.
  const leaf = commitment(header.org, header.handle, receipt.salt, header, header.body);
  need(isSame(logRoot(leaf, receipt.index, head.size, receipt.path), head.root), "leaf-outside");
  // 3. The chart's head is in the organisation's map of heads.
  const log = header.kind === "access" ? 1 : 0;
  const heads = headRoot(header.handle, log, head.size, head.root, receipt.heads);
  // 4. The organisation anchored that map: as its newest, or as an earlier one in its log of batches.
  if (batch !== undefined) {
    need(batch.seq <= anchor.seq && batch.time <= anchor.time, "batch-late");
    const entry = concat(enc(batch.seq), heads, enc(batch.time));
    need(isSame(logRoot(entry, batch.seq, anchor.size, batch.path), anchor.log), "batch-outside");
  }
  // 5 to 8. The anchor is in the state after the block; the block is in the history that was signed.
  const { level } = await checkLedger(trust, receipt, header.org, batch?.newest ?? heads, nowMs);
  const { kind, type, id, version, time, author } = header;
  return {
    kind,
    type,
    id,
    version,
    time,
    author,
    organisation: didOf(header.org),
    index: receipt.index,
    chartSize: head.size,
    isBodyChecked: body !== null,
    level,
    asOf: { chain: receipt.chain, height: receipt.block.height, timeMs: receipt.block.time },
  };
}

/** Two checkpoints alone show a fork, or which is the older one; not that one continues the other. Always throws. */
function compare(other: Trust, trust: Trust): never {
  need(other.chain === trust.chain, "other-ledger");
  need(
    other.size >= trust.size,
    "older-checkpoint",
    "",
    `size ${other.size}, the trusted one's is ${trust.size}`,
  );
  const isFork =
    other.size === trust.size && (other.mode !== trust.mode || !isSame(rootOf(other), rootOf(trust)));
  need(!isFork, "fork");
  throw new Refused("only-checkpoint");
}

function rootOf(trust: Trust): Bytes {
  return trust.mode === "embedded" ? trust.root : trust.block.hash;
}
