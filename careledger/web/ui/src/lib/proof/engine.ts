/**
 * The engine's encoding (CometBFT v0.40: types/block.go, canonical.go, validator.go), and trust files of networks.
 *
 * Protocol Buffers, fields in order, zeros left out. Times are counted in nanoseconds, weights in whole numbers without
 * end: both pass what a number holds exactly.
 */

import { type Bytes, concat, hex, isSame, utf8 } from "./bytes.ts";
import { bytes, CHAIN, DIGEST, list, NUMBER, object, oneOf, type Of, TIME, whole } from "./forms.ts";
import { need } from "./refused.ts";
import { checkSignature } from "./signatures.ts";
import { treeRoot } from "./trees.ts";

/** Nanoseconds beyond a time in milliseconds. */
export const NANOS = whole(0, 999_999);
const U32 = whole(0, 2 ** 32 - 1);
export const VALIDATORS = list(
  object({ alg: oneOf("ed25519", "ml-dsa-65"), power: whole(1, 2 ** 53 - 1), public: bytes(32, 1952) }),
  1,
  1000,
);
export const HEADER = object(
  {
    app_hash: DIGEST,
    consensus_hash: DIGEST,
    data_hash: DIGEST,
    evidence_hash: DIGEST,
    height: NUMBER,
    last_commit_hash: DIGEST,
    last_results_hash: DIGEST,
    nanos: NANOS,
    next_validators_hash: DIGEST,
    proposer: bytes(20, 20),
    time: TIME,
    validators_hash: DIGEST,
    version: object({ app: NUMBER, block: NUMBER }),
  },
  { last: object({ hash: DIGEST, parts: DIGEST, total: U32 }) },
);
const VOTE = object({ index: whole(0, 999), nanos: NANOS, signature: bytes(64, 3309), time: TIME });
export const COMMIT = object({
  parts: DIGEST,
  round: whole(0, 2 ** 31 - 1),
  signatures: list(VOTE, 0, 1000),
  total: U32,
});
/** A signed header; its validators are left out if an earlier one of the file has them. */
export const SIGNED_HEADER = object({ commit: COMMIT, header: HEADER }, { validators: VALIDATORS });
const NETWORK = object(
  {
    chain: CHAIN,
    format: oneOf("careledger/checkpoint/1"),
    hash: DIGEST,
    header: HEADER,
    mode: oneOf("network"),
    validators: VALIDATORS,
  },
  { level: oneOf("final"), max_age: NUMBER },
);

export type Header = Of<typeof HEADER>;
export type Validators = Of<typeof VALIDATORS>;
export type Commit = Of<typeof COMMIT>;

/** A header of the engine with its own validators, of which over two thirds signed it, or which is believed. */
export interface Block {
  readonly header: Header;
  readonly hash: Bytes;
  readonly validators: Validators;
  /** Public keys, in hexadecimal digits, of those who signed. */
  readonly signers: ReadonlySet<string>;
}

/** A header that is believed, and its validators. */
export interface EngineTrust {
  readonly mode: "network";
  readonly chain: string;
  readonly block: Block;
  /** Of the history that ends with the state in the header. */
  readonly size: number;
  readonly maxAgeS: number | null;
}

/** The trust file of a network, from its JSON: the header has its hash, and the validators are the header's. */
export function readEngineTrust(value: unknown): EngineTrust {
  const { chain, hash, header, max_age: maxAgeS = null, validators } = NETWORK(value, "trust");
  checkSet(validators, header);
  need(isSame(hashHeader(header, chain), hash), "trust-hash", "trust");
  const block = { header, hash, validators, signers: new Set<string>() };
  return { mode: "network", chain, block, size: header.height, maxAgeS };
}

/** Returns only if the set is the header's, and its keys differ and have their sizes. */
function checkSet(validators: Validators, header: Header): void {
  const isSized = validators.every((one) => one.public.length === (one.alg === "ed25519" ? 32 : 1952));
  need(isSized, "key-size");
  const publics = new Set(validators.map((one) => hex(one.public)));
  need(publics.size === validators.length, "validator-twice");
  const members = validators.map((one) => {
    const key = message(1, message(one.alg === "ed25519" ? 1 : 4, one.public));
    return concat(key, proto(0, one.power));
  });
  need(isSame(treeRoot(members), header.validators_hash), "validators-other");
}

/** The block, if over two thirds of its own set's weight signed it and every signature holds. */
export async function checkCommit(
  header: Header,
  commit: Commit,
  validators: Validators,
  chain: string,
): Promise<Block> {
  checkSet(validators, header);
  need(header.height > 0, "no-block");
  const hash = hashHeader(header, chain);
  const voted = concat(
    proto(2),
    fixed64(2, header.height),
    commit.round > 0 ? fixed64(3, commit.round) : new Uint8Array(),
    message(4, blockId(hash, commit.total, commit.parts)),
  );
  const signers = new Set<string>();
  let before = -1;
  for (const vote of commit.signatures) {
    const validator = validators[vote.index];
    need(before < vote.index && validator !== undefined, "votes-order");
    before = vote.index;
    const said = concat(voted, message(5, timeField(vote)), message(6, utf8(chain)));
    await checkSignature(validator.public, vote.signature, concat(varint(BigInt(said.length)), said));
    signers.add(hex(validator.public));
  }
  const block = { header, hash, validators, signers };
  need(3n * weigh(validators, signers) > 2n * weigh(validators), "two-thirds");
  return block;
}

/** The weight of all, or of those of them that have signed, under whatever set. */
export function weigh(validators: Validators, signers?: ReadonlySet<string>): bigint {
  return validators
    .filter((one) => signers === undefined || signers.has(hex(one.public)))
    .reduce((sum, one) => sum + BigInt(one.power), 0n);
}

/** Nanoseconds since 1970. */
export function instantNs(part: { readonly time: number; readonly nanos: number }): bigint {
  return BigInt(part.time) * 1_000_000n + BigInt(part.nanos);
}

/** A time as the engine writes it: seconds, nanoseconds. */
export function timeField(part: { readonly time: number; readonly nanos: number }): Bytes {
  const instant = instantNs(part);
  return proto(instant / 1_000_000_000n, instant % 1_000_000_000n);
}

/** Root over the 14 fields of a header. */
export function hashHeader(header: Header, chain: string): Bytes {
  const nothing = new Uint8Array();
  const last = header.last ?? { hash: nothing, total: 0, parts: nothing };
  return treeRoot([
    proto(header.version.block, header.version.app),
    proto(utf8(chain)),
    proto(header.height),
    timeField(header),
    blockId(last.hash, last.total, last.parts),
    proto(header.last_commit_hash),
    proto(header.data_hash),
    proto(header.validators_hash),
    proto(header.next_validators_hash),
    proto(header.consensus_hash),
    proto(header.app_hash),
    proto(header.last_results_hash),
    proto(header.evidence_hash),
    proto(header.proposer),
  ]);
}

function blockId(hash: Bytes, total: number, parts: Bytes): Bytes {
  return concat(proto(hash), message(2, proto(total, parts)));
}

/** Seven bits a byte, lowest first. */
function varint(value: bigint): Bytes {
  const out: number[] = [];
  let rest = value;
  for (; rest > 127n; rest >>= 7n) out.push(Number(rest & 127n) | 128);
  return Uint8Array.from([...out, Number(rest)]);
}

/** A field that is written even if it is empty. */
function message(number: number, value: Bytes): Bytes {
  return concat(Uint8Array.of((number << 3) | 2), varint(BigInt(value.length)), value);
}

/** Eight bytes, lowest first. */
function fixed64(number: number, value: number): Bytes {
  const out = new Uint8Array(9);
  out[0] = (number << 3) | 1;
  new DataView(out.buffer).setBigUint64(1, BigInt(value), true);
  return out;
}

/** Fields 1, 2, …: numbers and bytes. Zeros are left out, as the canonical encoding wants. */
function proto(...values: readonly (number | bigint | Bytes)[]): Bytes {
  const parts = values.map((value, at) => {
    if (value instanceof Uint8Array) return value.length > 0 ? message(at + 1, value) : value;
    const whole = BigInt(value);
    return whole === 0n ? new Uint8Array() : concat(Uint8Array.of((at + 1) << 3), varint(whole));
  });
  return concat(...parts);
}
