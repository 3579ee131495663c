/** What a network's validators signed (CometBFT v0.40: light/verifier.go, and stricter): headers, and what is under them. */

import { type Bytes, hex, isSame } from "./bytes.ts";
import {
  type Block,
  checkCommit,
  COMMIT,
  type EngineTrust,
  HEADER,
  type Header,
  instantNs,
  NANOS,
  SIGNED_HEADER,
  timeField,
  VALIDATORS,
  type Validators,
  weigh,
} from "./engine.ts";
import { ANY, DIGEST, list, LOG_PATH, MAP_PATH, object, type Of } from "./forms.ts";
import { enc, tagged } from "./hashing.ts";
import { need } from "./refused.ts";
import { logRoot, mapRoot } from "./trees.ts";

const TRUST_PERIOD_NS = 14n * 86_400n * 1_000_000_000n;
const DRIFT_NS = 10n * 1_000_000_000n;

/** The signed part of a receipt or export, of whatever ledger. */
export const SIGNED = object(
  {},
  {
    bridges: list(SIGNED_HEADER, 1, 64),
    commit: COMMIT,
    header: HEADER,
    note: ANY,
    past: object({ root: DIGEST, state: MAP_PATH }),
    path: LOG_PATH,
    time: object({ nanos: NANOS, path: LOG_PATH }),
    validators: VALIDATORS,
  },
);
export type Signed = Of<typeof SIGNED>;
type SignedHeader = Of<typeof SIGNED_HEADER>;

/** The history of a ledger: root over the first `size` blocks. A root that is null is not shown. */
export interface History {
  readonly size: number;
  readonly root: Bytes | null;
}

/** From a trusted block to another: the same, the next, a later or an earlier one. */
export function checkStep(trusted: Block, block: Block, nowNs: bigint): void {
  const [old, header] = [trusted.header, block.header];
  if (old.height === header.height) {
    need(isSame(trusted.hash, block.hash), "fork-header");
    return;
  }
  const isLater = header.height > old.height;
  need(instantNs(header) > instantNs(old) === isLater, "time-back");
  need(nowNs < instantNs(old) + TRUST_PERIOD_NS, "trust-expired");
  need(instantNs(header) < nowNs + DRIFT_NS, "future");
  const total = weigh(trusted.validators);
  const signed = weigh(trusted.validators, block.signers);
  if (header.height === old.height + 1) {
    need(isSame(header.validators_hash, old.next_validators_hash), "next-validators");
  } else if (isLater) {
    need(3n * signed > total, "third");
  } else {
    need(3n * signed > 2n * total, "two-thirds-past");
  }
}

/**
 * The last of these headers, to which the trusted one leads over the others. Heights ascend, every header holds by
 * itself; those before the trusted one lead nowhere. Validators that are not named are those of a header met before.
 */
export async function followHeaders(
  trust: EngineTrust,
  parts: readonly SignedHeader[],
  nowMs: number,
): Promise<Block> {
  const known = new Map([[hex(trust.block.header.validators_hash), trust.block.validators]]);
  let at = trust.block;
  const nowNs = BigInt(Math.round(nowMs)) * 1_000_000n;
  let before = -1;
  for (const [number, part] of parts.entries()) {
    const { header, commit } = part;
    need(before < header.height, "headers-order");
    before = header.height;
    const validators: Validators | undefined = part.validators ?? known.get(hex(header.validators_hash));
    need(validators !== undefined, "validators-unnamed");
    known.set(hex(header.validators_hash), validators);
    const block = await checkCommit(header, commit, validators, trust.chain);
    if (number === parts.length - 1 || header.height >= trust.size) {
      checkStep(at, block, nowNs);
      at = block;
    }
  }
  return at;
}

/** The headers of a signed part: bridges, then the one on which the proof rests. */
export function listHeaders(signed: Signed): readonly SignedHeader[] {
  const { bridges = [], commit, header, validators } = signed;
  const isNetwork = signed.note === undefined && commit !== undefined && header !== undefined;
  need(isNetwork, "not-network");
  return [...bridges, validators === undefined ? { commit, header } : { commit, header, validators }];
}

/** The history that the signed header's state holds; `block`, which left this state, is under that header. */
export async function checkFinal(
  trust: EngineTrust,
  signed: Signed,
  block: { readonly height: number; readonly time: number },
  state: Bytes,
  nowMs: number,
): Promise<History> {
  const { header } = await followHeaders(trust, listHeaders(signed), nowMs);
  const size = header.height - 1;
  const root = signed.past?.root ?? null;
  if (signed.past !== undefined) {
    const key = tagged("cl1.key", enc("sys", "history", new Uint8Array()));
    const under = mapRoot(key, Uint8Array.from([...enc(size), ...signed.past.root]), signed.past.state);
    need(isSame(under, header.app_hash), "history-outside");
  }
  if (block.height === size) checkNewest(signed, header, block, state);
  else checkOlder(signed, size, root, block, state);
  const isTrusted = block.height === trust.size - 1;
  need(!isTrusted || isSame(state, trust.block.header.app_hash), "fork-state");
  return { size, root };
}

type Place = { readonly height: number; readonly time: number };

/** The newest block's state is the header's, and its time stands in the header that this one names as the last. */
function checkNewest(signed: Signed, header: Header, block: Place, state: Bytes): void {
  need(signed.time !== undefined && signed.path === undefined, "newest-shown");
  need(isSame(state, header.app_hash), "newest-state");
  const leaf = timeField({ time: block.time, nanos: signed.time.nanos });
  const named = header.last?.hash ?? new Uint8Array();
  need(isSame(logRoot(leaf, 3, 14, signed.time.path), named), "newest-time");
}

/** An older block stands in the history that the header's state holds. */
function checkOlder(signed: Signed, size: number, root: Bytes | null, block: Place, state: Bytes): void {
  const isShown = signed.time === undefined && signed.path !== undefined && root !== null;
  need(isShown, "older-shown");
  const entry = Uint8Array.from([...enc(block.height, block.time), ...state]);
  need(isSame(logRoot(entry, block.height, size, signed.path), root), "block-outside");
}
