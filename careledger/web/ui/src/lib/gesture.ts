import { asRaw, countedBytes, joinBytes, type Bytes } from "./encoding.ts";
import type { Secrets } from "./directives.ts";

/**
 * One gesture of a passkey: it signs `challenge`, and gives PRF of two inputs. Nothing of it is kept, and of the PRF's
 * outputs nothing leaves the page.
 */

/** What the gesture gave. `signature` is the assertion as the protocol encodes it. */
export interface Gesture {
  readonly signature: Bytes;
  /** Absent if the device has no PRF, or was not asked. */
  readonly secrets: Secrets | undefined;
}

/** The device did not do it: the person said no, or there is no such passkey here. */
export class NoGesture extends Error {}

const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

interface PrfValues {
  readonly first: ArrayBuffer;
  readonly second?: ArrayBuffer;
}

/** Asks for a gesture by this passkey. Throws NoGesture. */
export async function ask(credential: Bytes, challenge: Bytes, inputs?: readonly [Bytes, Bytes]): Promise<Gesture> {
  const prf = inputs === undefined ? {} : { prf: { eval: { first: inputs[0], second: inputs[1] } } };
  const publicKey: PublicKeyCredentialRequestOptions = {
    challenge,
    allowCredentials: [{ type: "public-key", id: credential }],
    userVerification: "required",
    timeout: 120_000,
    extensions: prf as AuthenticationExtensionsClientInputs,
  };
  const got = await navigator.credentials.get({ publicKey }).catch(() => null);
  if (!(got instanceof PublicKeyCredential)) throw new NoGesture();
  const response = got.response as AuthenticatorAssertionResponse;
  const results = (got.getClientExtensionResults() as { prf?: { results?: PrfValues } }).prf?.results;
  const signature = encodeAssertion(
    new Uint8Array(response.authenticatorData),
    new Uint8Array(response.clientDataJSON),
    new Uint8Array(response.signature),
  );
  return { signature, secrets: readSecrets(results) };
}

function readSecrets(results: PrfValues | undefined): Secrets | undefined {
  if (results?.second === undefined) return undefined;
  return { seed: new Uint8Array(results.first), code: new Uint8Array(results.second) };
}

/** enc(authenticatorData, clientDataJSON, signature); an ES256 signature comes as DER and goes as r | s, s the lower one. */
export function encodeAssertion(authenticatorData: Bytes, clientData: Bytes, signature: Bytes): Bytes {
  const raw = signature.length <= DER_MAX ? readDer(signature) : signature;
  return joinBytes(countedBytes(authenticatorData), countedBytes(clientData), countedBytes(raw));
}

const DER_MAX = 72;
const SEQUENCE = 0x30;
const INTEGER = 0x02;

/** r | s of a P-256 signature in DER. Throws NoGesture for anything else. */
export function readDer(der: Bytes): Bytes {
  const [r, after] = readInteger(der, 2);
  const [s, end] = readInteger(der, after);
  if (der[0] !== SEQUENCE || der[1] !== der.length - 2 || end !== der.length) throw new NoGesture();
  return joinBytes(scalar(r), scalar(s > P256_ORDER / 2n ? P256_ORDER - s : s));
}

function readInteger(der: Bytes, at: number): readonly [bigint, number] {
  const size = der[at + 1] ?? 0;
  const end = at + 2 + size;
  if (der[at] !== INTEGER || size === 0 || end > der.length) throw new NoGesture();
  const value = der.subarray(at + 2, end).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  if (value <= 0n || value >= P256_ORDER) throw new NoGesture();
  return [value, end];
}

function scalar(value: bigint): Bytes {
  return asRaw(Uint8Array.from(value.toString(16).padStart(64, "0").match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)));
}
