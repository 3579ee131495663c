/**
 * What is trusted moves on: from a checkpoint, or a header of a network, to a newer one that continues it.
 *
 * A network's headers lead over sets of validators that change. An embedded ledger's newer checkpoint comes with a path
 * that shows that its history begins with the trusted one, or in an export, whose history does.
 */

import { type Bytes, isSame, toBase64Url, utf8 } from "./bytes.ts";
import { type EngineTrust, readEngineTrust } from "./engine.ts";
import { openExport } from "./export_reading.ts";
import { checkExport } from "./exports.ts";
import { ANY, INPUT_MAX, LOG_PATH, NUMBER, object, raw, readCanonical, readLoose } from "./forms.ts";
import { type AsOf, type Level, readLevel, readSigned } from "./ledger.ts";
import { followHeaders, listHeaders } from "./networks.ts";
import { checkNote } from "./notes.ts";
import { need } from "./refused.ts";
import { checkConsistency } from "./trees.ts";
import { type EmbeddedTrust, field, readTrust } from "./trust.ts";

const CONTINUED = object({ from: NUMBER, path: LOG_PATH, to: NUMBER });

/** What is trusted now. */
export interface LightFacts {
  /** The new trust file: keep it in place of the old one. */
  readonly trust: Bytes;
  readonly level: Level;
  /** A checkpoint alone tells no time. */
  readonly asOf: Omit<AsOf, "timeMs"> & { readonly timeMs: number | null };
}

/** The trust file that this one leads to; it is never older, and keeps what the reader demands. */
export async function advance(trustData: Uint8Array, file: Uint8Array, nowMs: number): Promise<LightFacts> {
  const trust = await readTrust(trustData);
  const value = readLoose(file, "headers"); // nothing rests on its spelling: what counts is signed
  if (trust.mode === "network") return advanceHeader(trust, trustData, value, nowMs);
  return field(value, "continued") === undefined
    ? advanceByExport(trustData, file, nowMs)
    : advanceCheckpoint(trust, trustData, value);
}

/** By the headers of whatever is signed there; none is needed from the newest header to itself. */
async function advanceHeader(
  trust: EngineTrust,
  trustData: Uint8Array,
  value: unknown,
  nowMs: number,
): Promise<LightFacts> {
  if (field(value, "signed") === undefined) return stay(trust, trustData, value);
  const signed = readSigned(raw(field(value, "signed"), "headers.signed"), "network", "headers.signed");
  const { header, hash, validators } = await followHeaders(trust, listHeaders(signed), nowMs);
  checkLater(header.height, trust.size);
  const asOf = { chain: trust.chain, height: header.height, timeMs: header.time };
  return { trust: replace(trustData, { hash, header, validators }), level: "final", asOf };
}

/** The node's newest header is the trusted one: nothing leads anywhere. */
function stay(trust: EngineTrust, trustData: Uint8Array, value: unknown): LightFacts {
  const { chain, block } = readEngineTrust(field(value, "checkpoint"));
  need(chain === trust.chain, "other-ledger");
  checkLater(block.header.height, trust.size);
  need(isSame(block.hash, trust.block.hash), "fork-header");
  const asOf = { chain, height: trust.size, timeMs: block.header.time };
  return { trust: Uint8Array.from(trustData), level: "final", asOf };
}

/** By a newer checkpoint, which every operator key that the reader knows has signed, and the path from one to the other. */
async function advanceCheckpoint(
  trust: EmbeddedTrust,
  trustData: Uint8Array,
  value: unknown,
): Promise<LightFacts> {
  const continued = CONTINUED(field(value, "continued"), "headers.continued");
  const note = ANY(field(field(value, "checkpoint"), "note"), "headers.checkpoint.note");
  const { size, root, signers } = await checkNote(note, trust.chain, trust.signers);
  need(
    [...trust.operators.keys()].every((name) => signers.has(name)),
    "trust-unsigned",
  );
  checkLater(size, trust.size);
  need(continued.from === trust.size && continued.to === size, "consistency-sizes");
  checkConsistency(trust.size, trust.root, size, root, continued.path);
  const asOf = { chain: trust.chain, height: size - 1, timeMs: null };
  return { trust: replace(trustData, { note }), level: readLevel(trust, signers), asOf };
}

async function advanceByExport(trustData: Uint8Array, file: Uint8Array, nowMs: number): Promise<LightFacts> {
  const { level, asOf } = await checkExport(file, trustData, {
    earlier: null,
    since: null,
    key: null,
    nowMs,
  });
  const { signed } = (await openExport(file, "embedded")).file;
  const trust = replace(trustData, { note: signed.note });
  const { size, chain } = await readTrust(trust); // every key that the reader knows must have signed it
  return { trust, level, asOf: { chain, height: size - 1, timeMs: asOf.timeMs } };
}

function checkLater(now: number, trusted: number): void {
  need(now >= trusted, "older-checkpoint", "", `size ${now}, the trusted one's is ${trusted}`);
}

/** The trust file with other values of fields that it has; its own spelling stays canonical. */
function replace(trustData: Uint8Array, fields: Readonly<Record<string, unknown>>): Bytes {
  const old = raw(readCanonical(trustData, "trust", INPUT_MAX), "trust");
  const encode = (_: string, value: unknown): unknown =>
    value instanceof Uint8Array ? toBase64Url(value) : value;
  return utf8(JSON.stringify({ ...old, ...fields }, encode));
}
