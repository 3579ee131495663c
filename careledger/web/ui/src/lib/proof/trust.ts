/** Trust files: what a reader believes already, an embedded ledger's checkpoint or a network's header. */

import { type Bytes } from "./bytes.ts";
import { ANY, CHAIN, INPUT_MAX, NUMBER, object, oneOf, readCanonical } from "./forms.ts";
import { type EngineTrust, readEngineTrust } from "./engine.ts";
import { checkNote, KEYS, type KeyTable, makeKeyTable } from "./notes.ts";
import { need } from "./refused.ts";

const CHECKPOINT = object(
  {
    chain: CHAIN,
    format: oneOf("careledger/checkpoint/1"),
    keys: KEYS,
    mode: oneOf("embedded"),
    note: ANY,
  },
  {
    level: oneOf("anchored", "witnessed"), // the least that is accepted
    max_age: NUMBER, // seconds
    witnesses: object({ k: NUMBER, keys: KEYS }),
  },
);

/** A checkpoint that every operator key of the file has signed. */
export interface EmbeddedTrust {
  readonly mode: "embedded";
  readonly chain: string;
  readonly operators: KeyTable;
  /** Of the operator and of witnesses. */
  readonly signers: KeyTable;
  readonly size: number;
  readonly root: Bytes;
  readonly level: "anchored" | "witnessed" | null;
  readonly maxAgeS: number | null;
  /** How many witnesses are demanded for the level; null if none are named. */
  readonly witnessCount: number | null;
}
/** What a reader believes. */
export type Trust = EmbeddedTrust | EngineTrust;

/** The trust file: chain and keys, and a checkpoint that every one of its operator keys has signed; or a header. */
export async function readTrust(data: Uint8Array): Promise<Trust> {
  const value = readCanonical(data, "trust", INPUT_MAX);
  return field(value, "mode") === "network" ? readEngineTrust(value) : readEmbeddedTrust(value);
}

/** What the field of an object says that has not been checked yet. */
export function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;
}

async function readEmbeddedTrust(value: unknown): Promise<EmbeddedTrust> {
  const file = CHECKPOINT(value, "trust");
  const named = file.witnesses?.keys ?? [];
  const operators = makeKeyTable(file.keys);
  const others = makeKeyTable(named, true);
  const names = new Set([...others.values()].map((key) => key.name));
  const k = file.witnesses?.k ?? null;
  need(k === null || (1 <= k && k <= names.size), "trust-witnesses", "trust");
  need(file.level !== "witnessed" || names.size > 0, "trust-level", "trust");
  const signers = new Map([...operators, ...others]);
  const publics = new Set([...signers.values()].map((key) => key.publicKey.join()));
  need(publics.size === file.keys.length + named.length, "trust-keys", "trust");
  const checkpoint = await checkNote(file.note, file.chain, signers);
  need(
    [...operators.keys()].every((name) => checkpoint.signers.has(name)),
    "trust-unsigned",
    "trust",
  );
  return {
    mode: "embedded",
    chain: file.chain,
    operators,
    signers,
    size: checkpoint.size,
    root: checkpoint.root,
    level: file.level ?? null,
    maxAgeS: file.max_age ?? null,
    witnessCount: k,
  };
}
