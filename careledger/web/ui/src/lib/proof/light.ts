/**
 * What is trusted moves on: from a checkpoint, or a header of a network, to a newer one that continues it.
 *
 * A network's headers lead over sets of validators that change; an embedded ledger's newer checkpoint is that of an
 * export, whose history begins with the trusted one.
 */

import { type Bytes, toBase64Url, utf8 } from "./bytes.ts";
import { COMMIT, type EngineTrust, HEADER, SIGNED_HEADER, VALIDATORS } from "./engine.ts";
import { openExport } from "./export_reading.ts";
import { checkExport } from "./exports.ts";
import { INPUT_MAX, list, object, parse, raw, readCanonical } from "./forms.ts";
import { type AsOf, type Level } from "./ledger.ts";
import { followHeaders, listHeaders } from "./networks.ts";
import { need } from "./refused.ts";
import { readTrust } from "./trust.ts";

/** Headers from one that is believed to a newer one: the signed part of a receipt without what shows a block. */
const HEADERS = object(
  { commit: COMMIT, header: HEADER },
  { bridges: list(SIGNED_HEADER, 1, 64), validators: VALIDATORS },
);

/** What is trusted now. */
export interface LightFacts {
  /** The new trust file: keep it in place of the old one. */
  readonly trust: Bytes;
  readonly level: Level;
  readonly asOf: AsOf;
}

/** The trust file that this one leads to; it is never older, and keeps what the reader demands. */
export async function advance(trustData: Uint8Array, file: Uint8Array, nowMs: number): Promise<LightFacts> {
  const trust = await readTrust(trustData);
  return trust.mode === "network"
    ? advanceHeader(trust, trustData, file, nowMs)
    : advanceCheckpoint(trustData, file, nowMs);
}

async function advanceHeader(
  trust: EngineTrust,
  trustData: Uint8Array,
  file: Uint8Array,
  nowMs: number,
): Promise<LightFacts> {
  const headers = listHeaders(parse(file, HEADERS, "headers"));
  const { header, hash, validators } = await followHeaders(trust, headers, nowMs);
  need(
    header.height >= trust.size,
    "older-checkpoint",
    "",
    `height ${header.height}, the trusted one's is ${trust.size}`,
  );
  const asOf = { chain: trust.chain, height: header.height, timeMs: header.time };
  return { trust: replace(trustData, { hash, header, validators }), level: "final", asOf };
}

async function advanceCheckpoint(
  trustData: Uint8Array,
  file: Uint8Array,
  nowMs: number,
): Promise<LightFacts> {
  const { level, asOf } = await checkExport(file, trustData, { earlier: null, since: null, key: null, nowMs });
  const { signed } = (await openExport(file, "embedded")).file;
  const trust = replace(trustData, { note: signed.note });
  const { size, chain } = await readTrust(trust); // every key that the reader knows must have signed it
  return { trust, level, asOf: { chain, height: size - 1, timeMs: asOf.timeMs } };
}

/** The trust file with other values of fields that it has; its own spelling stays canonical. */
function replace(trustData: Uint8Array, fields: Readonly<Record<string, unknown>>): Bytes {
  const old = raw(readCanonical(trustData, "trust", INPUT_MAX), "trust");
  const encode = (_: string, value: unknown): unknown =>
    value instanceof Uint8Array ? toBase64Url(value) : value;
  return utf8(JSON.stringify({ ...old, ...fields }, encode));
}
