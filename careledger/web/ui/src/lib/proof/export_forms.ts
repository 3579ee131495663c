/** What chart and access-log exports hold, field by field (docs/spec/export.md). */

import {
  ANY,
  bytes,
  CHAIN,
  DIGEST,
  list,
  LOG_PATH,
  MAP_PATH,
  NUMBER,
  object,
  oneOf,
  type Of,
  raw,
  text,
  TIME,
  whole,
} from "./forms.ts";
import { ANCHOR, BLOCK } from "./ledger.ts";
import { type Signed } from "./networks.ts";
import { AUTHOR, KIND, WORD } from "./receipts.ts";
import { need } from "./refused.ts";

/** As many as the file has room for. */
const UNLIMITED = 2 ** 32;
const DAY = whole(0, 2 ** 32 - 1);
const KEY_65 = bytes(1952, 1952);
/** By an enrolled key: ML-DSA-65, or a passkey's assertion. */
const SIGNATURE_OR_NONE = bytes(0, 4857);
const OTHER = bytes(64, 64);

export const SAID = object({
  height: NUMBER,
  key: DIGEST,
  revocation: DIGEST,
  status: whole(1, 2),
  until: DAY,
});
const PINNED = object({ heads: MAP_PATH, root: DIGEST, size: NUMBER }, { other: OTHER });
export const PIN = object({
  access: PINNED,
  anchor: ANCHOR,
  block: BLOCK,
  path: LOG_PATH,
  records: PINNED,
  state: MAP_PATH,
});
const ABSENT = { path: MAP_PATH };
const WITHDRAWN = object(ABSENT, { height: NUMBER, other: OTHER });
const KEPT = object({ ...ABSENT, withdrawn: list(WITHDRAWN, 0, 2) }, { other: OTHER, said: SAID });
const FORMER = object({
  genesis: DIGEST,
  height: NUMBER,
  last: PIN,
  path: MAP_PATH,
  root: DIGEST,
  seq: NUMBER,
  size: NUMBER,
  state: DIGEST,
});
const SIZE = whole(1, 2 ** 53 - 1);
const BOTH = {
  access: list(object({ content: bytes(0, 1 << 20), salt: DIGEST }), 1, UNLIMITED),
  anchor: ANCHOR,
  block: BLOCK,
  chain: CHAIN,
  handle: DIGEST,
  heads: object({ access: MAP_PATH, record: MAP_PATH }),
  history: object({ nodes: bytes(32, 1100 * 2 * 53 * 32), sizes: list(SIZE, 1, 1100) }),
  org: DIGEST,
  signed: raw, // `readSigned` has its form
  state: MAP_PATH,
};
const OPTIONAL = { former: FORMER, pins: list(PIN, 1, 1100) };
export const ACCESS_LOG = object(
  { ...BOTH, format: oneOf("careledger/access-log/1"), head: object({ root: DIGEST, size: SIZE }) },
  OPTIONAL,
);
const STANDING = object(ABSENT, { kept: KEPT, other: OTHER, said: SAID });
export const CHART = object(
  {
    ...BOTH,
    directives: list(STANDING, 0, UNLIMITED),
    entries: list(raw, 1, UNLIMITED), // each an ENTRY, or a BARE one
    format: oneOf("careledger/chart/1"),
  },
  OPTIONAL,
);
export const ENTRY = object({
  author: AUTHOR,
  body: ANY,
  id: WORD,
  kind: KIND,
  salt: DIGEST,
  time: TIME,
  type: WORD,
  version: NUMBER,
});
/** An entry that was erased: its leaf alone. */
export const BARE = object({ leaf: DIGEST });

export const CONTROLLER = object(
  {
    continues: SIGNATURE_OR_NONE,
    format: oneOf("careledger/controller/1", "careledger/controller/2"),
    key: bytes(1, 2259),
  },
  { credential: bytes(16, 1023), proof: bytes(1, 4857), recovery: KEY_65 },
);
export const DIRECTIVE = object({
  binding: SIGNATURE_OR_NONE,
  consent: ANY,
  controller: ANY,
  key: KEY_65,
  salt: bytes(0, 64),
  text: bytes(1, 65_536),
});
const WORDS = list(ANY, 0, UNLIMITED);
const CODINGS = list(object({ code: ANY, system: ANY }), 0, UNLIMITED);
export const TEXT = object(
  {
    actions: list(oneOf("access", "proof"), 0, UNLIMITED),
    categories: CODINGS,
    effect: oneOf("deny", "permit"),
    format: oneOf("careledger/directive/1", "careledger/directive/2"),
    from_day: DAY,
    grantees: list(
      object({ kind: oneOf("client", "organisation", "practitioner", "role"), value: ANY }),
      0,
      UNLIMITED,
    ),
    handle: DIGEST,
    labels: CODINGS,
    nonce: ANY,
    organisation: DIGEST,
    purposes: WORDS,
    supersedes: ANY,
    types: WORDS,
    until_day: DAY,
  },
  { language: oneOf("en", "es"), shown: text(/^.+$/su) },
);
export const EMERGENCY = object({
  client: ANY,
  format: oneOf("careledger/emergency/1"),
  from_ms: TIME,
  practitioner: ANY,
  task: ANY,
  until_ms: TIME,
});
export const KEY_EVENT = object({
  epoch: SIZE,
  event: oneOf("erase"),
  format: oneOf("careledger/key-event/1"),
  leaves: list(NUMBER, 0, UNLIMITED),
  reason: ANY,
});

export type Said = Of<typeof SAID>;
export type Pin = Of<typeof PIN>;
export type Kept = Of<typeof KEPT>;
export type Former = Of<typeof FORMER>;
export type Entry = Of<typeof ENTRY>;
export type ControllerLeaf = Of<typeof CONTROLLER>;
export type DirectiveText = Of<typeof TEXT>;
export type ChartFile = Omit<Of<typeof CHART>, "signed"> & { readonly signed: Signed };
export type AccessLogFile = Omit<Of<typeof ACCESS_LOG>, "signed"> & { readonly signed: Signed };
/** An export in its form. */
export type ExportFile = ChartFile | AccessLogFile;

export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 86_400_000;

/** Until when an entry may be dated: a network's time is its validators', and clocks differ by ten seconds. */
export function latestMs(file: ExportFile): number {
  const { header } = file.signed;
  return header === undefined ? file.block.time : header.time + 10_000;
}

/** A time as FHIR writes it. */
export function instant(ms: number): string {
  return new Date(Math.max(ms, 0)).toISOString();
}

/** A network's heights count on from its organisation's former ledger; no ledger lasts until a sum is inexact. */
export function addHeights(one: number, other: number): number {
  need(Number.isSafeInteger(one + other), "number", "a height");
  return one + other;
}
