/** Signatures (protocol: Transactions): Ed25519 in its strict form, ML-DSA pure with an empty context (FIPS 204). */

import { type Bytes, concat, readLittle } from "./bytes.ts";
import { need, Refused } from "./refused.ts";

/** The field of Ed25519, the order of its base point, and the ordinate of a point of order 8. */
const P = 2n ** 255n - 19n;
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const Y8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022n;
const SMALL_ORDER: readonly bigint[] = [0n, 1n, P - 1n, Y8, P - Y8];

type MlDsaName = "ML-DSA-44" | "ML-DSA-65";
interface Scheme {
  readonly name: "Ed25519" | MlDsaName;
  readonly signatureSize: number;
}
/** By the size of the public key. */
const SCHEMES: ReadonlyMap<number, Scheme> = new Map([
  [32, { name: "Ed25519", signatureSize: 64 }],
  [1312, { name: "ML-DSA-44", signatureSize: 2420 }],
  [1952, { name: "ML-DSA-65", signatureSize: 3309 }],
]);

/** Returns only if the signature is by this key over this message; the key's size says which sort it is. */
export async function checkSignature(publicKey: Bytes, signature: Bytes, message: Bytes): Promise<void> {
  need(crypto.subtle !== undefined, "signature-unsupported"); // an insecure origin has none
  const scheme = SCHEMES.get(publicKey.length);
  need(scheme !== undefined, "key-size");
  need(signature.length === scheme.signatureSize, "signature-size");
  if (scheme.name === "Ed25519") {
    checkPoints(publicKey, signature);
    need(await verifyEd25519(publicKey, signature, message), "signature");
  } else {
    need(await verifyMlDsa(scheme.name, publicKey, signature, message), "signature");
  }
}

/** Before any library sees them: libraries alone accept the identity as a key, for any message. */
function checkPoints(publicKey: Bytes, signature: Bytes): void {
  need(isSound(publicKey) && isSound(signature.subarray(0, 32)), "signature-point");
  need(readLittle(signature.subarray(32)) < L, "signature-scalar");
}

/** Canonical and of large order only. */
function isSound(point: Bytes): boolean {
  const y = readLittle(point) & (2n ** 255n - 1n);
  return y < P && !SMALL_ORDER.includes(y);
}

/** As the browser itself verifies. A point that is not on the curve is a signature that does not hold. */
async function verifyEd25519(publicKey: Bytes, signature: Bytes, message: Bytes): Promise<boolean> {
  try {
    const key = await crypto.subtle.importKey("raw", publicKey, "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", key, signature, message);
  } catch (error) {
    if (isUnsupported(error)) throw new Refused("signature-unsupported");
    return false;
  }
}

/** As the browser verifies ES256; the point x | y is on the curve, the signature r | s, as whoever calls has checked. */
export async function verifyP256(point: Bytes, signature: Bytes, message: Bytes): Promise<boolean> {
  const scheme = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const uncompressed = concat(Uint8Array.of(4), point);
  const key = await crypto.subtle.importKey("raw", uncompressed, scheme, false, ["verify"]);
  return crypto.subtle.verify(scheme, key, signature, message);
}

/** By the browser where it knows ML-DSA (thirty times faster), by the portable code elsewhere: the same answer. */
export async function verifyMlDsa(
  name: MlDsaName,
  publicKey: Bytes,
  signature: Bytes,
  message: Bytes,
): Promise<boolean> {
  const isNative = await hasNative(name);
  return isNative
    ? verifyNative(name, publicKey, signature, message)
    : verifyPortable(name, publicKey, signature, message);
}

const probes = new Map<MlDsaName, Promise<boolean>>();

/** Whether WebCrypto takes such keys; asked once, with a key of zeros, which is well formed. */
export function hasNative(name: MlDsaName): Promise<boolean> {
  const known = probes.get(name);
  if (known !== undefined) return known;
  const asked = importMlDsa(name, new Uint8Array(name === "ML-DSA-44" ? 1312 : 1952)).then(
    () => true,
    () => false,
  );
  probes.set(name, asked);
  return asked;
}

/** WebCrypto's answer. */
export async function verifyNative(
  name: MlDsaName,
  publicKey: Bytes,
  signature: Bytes,
  message: Bytes,
): Promise<boolean> {
  return crypto.subtle.verify({ name }, await importMlDsa(name, publicKey), signature, message);
}

/** The portable code's answer; it is fetched only where it is needed. */
export async function verifyPortable(
  name: MlDsaName,
  publicKey: Bytes,
  signature: Bytes,
  message: Bytes,
): Promise<boolean> {
  const { ml_dsa44, ml_dsa65 } = await import("@noble/post-quantum/ml-dsa.js").catch(() => {
    throw new Refused("signature-unsupported");
  });
  return (name === "ML-DSA-44" ? ml_dsa44 : ml_dsa65).verify(signature, message, publicKey);
}

function importMlDsa(name: MlDsaName, publicKey: Bytes): Promise<CryptoKey> {
  // `raw-public` is younger than TypeScript's list of formats.
  return crypto.subtle.importKey("raw-public" as "raw", publicKey, { name }, false, ["verify"]);
}

function isUnsupported(error: unknown): boolean {
  return error instanceof Error && error.name === "NotSupportedError";
}
