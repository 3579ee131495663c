/**
 * What a patient's enrolled key signed: a key file's, or a passkey's (docs/spec/consent.md, Passkeys).
 *
 * An assertion counts only if the person was verified, at the origin that was enrolled, and its challenge is the message.
 * Nothing that a browser wrote is parsed: it must begin with these bytes.
 */

import { type Bytes, concat, isSame, readBig, readText, toBase64Url, utf8 } from "./bytes.ts";
import { sha256 } from "./hashing.ts";
import { need } from "./refused.ts";
import { checkSignature, verifyP256 } from "./signatures.ts";

/** P-256: its field, its constant b, and its order. */
const PRIME = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
const B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
/** Bytes of a raw key: ES256, ML-DSA-44, ML-DSA-65. */
const RAW_SIZES: readonly number[] = [64, 1312, 1952];
const ORIGIN = /^(?:https:\/\/[a-z0-9.-]+|http:\/\/localhost)(?::[1-9][0-9]{0,4})?$/;
/** Bytes of a key file's key, which no encoded passkey has. */
export const KEY_FILE_SIZE = 1952;
const PRESENT = 1;
const VERIFIED = 4;
const ATTESTED = 64;
const EXTENDED = 128;

/** A passkey as it was enrolled. */
interface Passkey {
  readonly publicKey: Bytes;
  readonly rpIdHash: Bytes;
  readonly origin: Bytes;
}

/** Returns only if the enrolled key signed the message: by ML-DSA-65, or by an assertion with this challenge. */
export async function checkEnrolled(key: Bytes, signature: Bytes, message: Bytes): Promise<void> {
  if (key.length === KEY_FILE_SIZE) return checkSignature(key, signature, message);
  const { publicKey, rpIdHash, origin } = readPasskey(key);
  const [said, client, raw] = readFields(signature, [37, 512], [1, 1024], [64, 3309]);
  const flags = said[32] ?? 0;
  need(isSame(said.subarray(0, 32), rpIdHash), "passkey-rp");
  need((flags & PRESENT) !== 0 && (flags & VERIFIED) !== 0, "passkey-person");
  const isAssertion = (flags & ATTESTED) === 0 && ((flags & EXTENDED) !== 0) === said.length > 37;
  need(isAssertion, "passkey-data");
  const start = concat(
    utf8(`{"type":"webauthn.get","challenge":"${toBase64Url(message)}","origin":"`),
    origin,
    utf8('","crossOrigin":false'),
  );
  const after = client[start.length];
  const isThis = isSame(client.subarray(0, start.length), start) && (after === 0x7d || after === 0x2c); // } or ,
  need(isThis, "passkey-text");
  const signed = concat(said, sha256(client));
  if (publicKey.length === 64) await checkEs256(publicKey, raw, signed);
  else await checkSignature(publicKey, raw, signed);
}

/** An encoded key that can sign. */
export function readPasskey(key: Bytes): Passkey {
  const [publicKey, rest] = readField(key, 64, 1952);
  need(rest.length >= 32, "passkey-cut");
  const [origin] = readFields(rest.subarray(32), [1, 267]);
  need(RAW_SIZES.includes(publicKey.length), "passkey-algorithm");
  if (publicKey.length === 64) checkPoint(publicKey);
  need(ORIGIN.test(readText(origin) ?? ""), "passkey-origin");
  return { publicKey, rpIdHash: rest.subarray(0, 32), origin };
}

function checkPoint(point: Bytes): void {
  const [x, y] = [readBig(point.subarray(0, 32)), readBig(point.subarray(32))];
  need(x < PRIME && y < PRIME && (y * y - x ** 3n + 3n * x - B) % PRIME === 0n, "passkey-point");
}

/** r | s, with the lower s: otherwise there were two signatures of everything. */
async function checkEs256(publicKey: Bytes, signature: Bytes, message: Bytes): Promise<void> {
  need(signature.length === 64, "signature-size");
  const [r, s] = [readBig(signature.subarray(0, 32)), readBig(signature.subarray(32))];
  need(0n < r && r < ORDER && 0n < s && s <= ORDER / 2n, "signature-scalar");
  need(await verifyP256(publicKey, signature, message), "signature");
}

/** Fields of these sizes, each behind its u32 length; nothing may be left. */
function readFields<const Limits extends readonly (readonly [least: number, most: number])[]>(
  data: Bytes,
  ...limits: Limits
): { readonly [At in keyof Limits]: Bytes } {
  let rest = data;
  const fields = limits.map(([least, most]) => {
    const [field, after] = readField(rest, least, most);
    rest = after;
    return field;
  });
  need(rest.length === 0, "passkey-long");
  return fields as { [At in keyof Limits]: Bytes }; // one for each limit
}

function readField(data: Bytes, least: number, most: number): readonly [field: Bytes, rest: Bytes] {
  need(data.length >= 4, "passkey-cut");
  const size = new DataView(data.buffer, data.byteOffset).getUint32(0);
  need(least <= size && size <= most, "passkey-field");
  need(data.length >= 4 + size, "passkey-cut");
  return [data.subarray(4, 4 + size), data.subarray(4 + size)];
}
