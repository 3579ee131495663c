import { tagged } from "./proof/hashing.ts";
import { asRaw, countedBytes, joinBytes, u32, u8, type Bytes } from "./encoding.ts";

/**
 * Sealed copies of a chart (docs/spec/copy.md): opened here, and their key wrapped, so that neither PRF nor kit leaves the
 * browser. What was altered, or is not in its one form, is refused whole. Pure but for WebCrypto; a twin of
 * careledger/access/copies.py, held to the same vectors.
 */

/** This is no sealed copy, not whole, altered, or not opened by this secret. */
export class CopyRefused extends Error {
  readonly code: "altered" | "no-copy" | "not-yours";

  constructor(code: "altered" | "no-copy" | "not-yours") {
    super(code);
    this.code = code;
  }
}

/** What the secret of a wrap comes from. */
export const PASSKEY = 1;
export const KIT = 2;
export const KEY_FILE = 3;

/** The copy key under a secret of hers. */
export interface Wrap {
  readonly kind: number;
  /** Of a passkey; empty for other kinds. */
  readonly credential: Bytes;
  readonly salt: Bytes;
  readonly key: Bytes;
}

/** What stands before the chunks. */
export interface Header {
  readonly id: Bytes;
  readonly wraps: readonly Wrap[];
  /** As it stands in the file, which every chunk is bound to. */
  readonly encoded: Bytes;
}

const FORMAT = new TextEncoder().encode("careledger/copy/1");
const SUITE = 1;
const DIGEST = 32;
const TAG = 16;
const NONCE = 12;
const CREDENTIAL_MAX = 1023;
const WRAPS_MAX = 8;
const HEADER_MAX = 16_384;
const CHUNK = 65_536;
const CHUNKS_MAX = 65_536;
const encoder = new TextEncoder();

/** Whether a file begins as sealed copies do. */
export function isCopy(data: Uint8Array): boolean {
  return data.length > 8 + FORMAT.length && FORMAT.every((byte, at) => data[8 + at] === byte) && readSize(data, 4) === FORMAT.length;
}

/** The header of a copy. Throws CopyRefused. */
export function readHeader(data: Uint8Array): Header {
  const size = readSize(data, 0);
  if (size > HEADER_MAX || 4 + size > data.length) throw new CopyRefused("no-copy");
  const encoded = asRaw(data.subarray(4, 4 + size));
  const reader = new Reader(encoded);
  const format = reader.counted(FORMAT.length);
  if (!isSame(format, FORMAT) || reader.take(1)[0] !== SUITE) throw new CopyRefused("no-copy");
  const id = reader.take(DIGEST);
  const count = reader.number();
  if (count === 0 || count > WRAPS_MAX) throw new CopyRefused("no-copy");
  const wraps = Array.from({ length: count }, () => readWrap(reader));
  const parts = wraps.map(encodeWrap);
  const isAscending = parts.every((part, at) => at === 0 || compare(parts[at - 1] ?? part, part) < 0);
  if (!reader.isDone || !isAscending) throw new CopyRefused("no-copy");
  return { id, wraps, encoded };
}

function readWrap(reader: Reader): Wrap {
  const kind = reader.take(1)[0] ?? 0;
  const credential = reader.counted(CREDENTIAL_MAX);
  const isPasskey = kind === PASSKEY;
  if (kind < PASSKEY || kind > KEY_FILE || isPasskey !== credential.length > 0) throw new CopyRefused("no-copy");
  return { kind, credential, salt: reader.take(DIGEST), key: reader.take(DIGEST + TAG) };
}

/** What PRF is evaluated on for a wrap. */
export function prfInput(salt: Uint8Array): Bytes {
  return tagged("cl1.copy.prf", salt);
}

/** The copy key under a secret of 32 bytes; `salt` is 32 random bytes, used once. */
export async function wrapKey(copyKey: Bytes, kind: number, secret: Bytes, salt: Bytes, credential: Bytes = new Uint8Array()): Promise<Wrap> {
  const { key, bound } = await wrapping(kind, secret, salt, credential);
  const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv: new Uint8Array(NONCE), additionalData: bound }, key, copyKey);
  return { kind, credential, salt, key: new Uint8Array(sealed) };
}

/** The copy key by a secret of this kind. Throws CopyRefused. */
export async function unwrapKey(header: Header, kind: number, secret: Bytes): Promise<Bytes> {
  for (const wrap of header.wraps.filter((one) => one.kind === kind)) {
    const { key, bound } = await wrapping(kind, secret, wrap.salt, wrap.credential);
    const opened = await decrypt(key, new Uint8Array(NONCE), wrap.key, bound);
    if (opened !== undefined) return opened;
  }
  throw new CopyRefused("not-yours");
}

/** Wraps as they are handed in: a set, ascending. */
export function encodeWraps(wraps: readonly Wrap[]): Bytes {
  return joinBytes(u32(wraps.length), ...wraps.map(encodeWrap).sort(compare));
}

/** Chart export and access-log export of the copy, whole. Throws CopyRefused: then nothing of it may be used. */
export async function openCopy(data: Uint8Array, copyKey: Bytes): Promise<readonly [Bytes, Bytes]> {
  const header = readHeader(data);
  const bound = tagged("cl1.copy.header", header.encoded);
  const key = await derive(copyKey, header.id, joinBytes(encoder.encode("cl1.copy.file"), bound));
  const chunks: Bytes[] = [];
  for (let at = 4 + header.encoded.length; at < data.length; at += CHUNK + TAG) {
    const isLast = at + CHUNK + TAG >= data.length;
    const sealed = asRaw(data.subarray(at, at + CHUNK + TAG));
    const opened = sealed.length > TAG && chunks.length < CHUNKS_MAX ? await decrypt(key, nonce(chunks.length, isLast), sealed, bound) : undefined;
    if (opened === undefined) throw new CopyRefused("altered");
    chunks.push(opened);
  }
  return split(joinBytes(...chunks));
}

function split(content: Bytes): readonly [Bytes, Bytes] {
  const reader = new Reader(content, "altered");
  const parts = [0, 1].map(() => {
    if (reader.number() !== 0) throw new CopyRefused("altered"); // over 4 GiB
    return reader.take(reader.number());
  });
  if (!reader.isDone) throw new CopyRefused("altered");
  return [parts[0] ?? content, parts[1] ?? content];
}

/** The number in 11 bytes, then whether it is the last. */
function nonce(number: number, isLast: boolean): Bytes {
  return joinBytes(new Uint8Array(NONCE - 5), u32(number), u8(isLast ? 1 : 0));
}

async function wrapping(kind: number, secret: Bytes, salt: Bytes, credential: Bytes): Promise<{ readonly key: CryptoKey; readonly bound: Bytes }> {
  const info = joinBytes(encoder.encode("cl1.copy.wrap"), u8(kind));
  return { key: await derive(secret, salt, info), bound: joinBytes(info, salt, credential) };
}

async function derive(secret: Bytes, salt: Bytes, info: Bytes): Promise<CryptoKey> {
  const from = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveKey"]);
  const how = { name: "HKDF", hash: "SHA-256", salt, info };
  return crypto.subtle.deriveKey(how, from, { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
}

async function decrypt(key: CryptoKey, iv: Bytes, sealed: Bytes, bound: Bytes): Promise<Bytes | undefined> {
  try {
    return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv, additionalData: bound }, key, sealed));
  } catch {
    return undefined; // WebCrypto says no more than that it did not open
  }
}

function encodeWrap(wrap: Wrap): Bytes {
  return joinBytes(u8(wrap.kind), countedBytes(wrap.credential), wrap.salt, wrap.key);
}

function compare(a: Uint8Array, b: Uint8Array): number {
  const at = a.findIndex((byte, index) => byte !== b[index]);
  return at < 0 ? a.length - b.length : (a[at] ?? 0) - (b[at] ?? -1);
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && compare(a, b) === 0;
}

function readSize(data: Uint8Array, at: number): number {
  if (at + 4 > data.length) throw new CopyRefused("no-copy");
  return new DataView(data.buffer, data.byteOffset, data.byteLength).getUint32(at);
}

/** Reads bytes from the front. Throws CopyRefused where there are too few. */
class Reader {
  readonly #data: Bytes;
  readonly #code: "altered" | "no-copy";
  #at = 0;

  constructor(data: Bytes, code: "altered" | "no-copy" = "no-copy") {
    this.#data = data;
    this.#code = code;
  }

  get isDone(): boolean {
    return this.#at === this.#data.length;
  }

  take(size: number): Bytes {
    if (this.#at + size > this.#data.length) throw new CopyRefused(this.#code);
    this.#at += size;
    return this.#data.slice(this.#at - size, this.#at);
  }

  number(): number {
    return readSize(this.take(4), 0);
  }

  counted(most: number): Bytes {
    const size = this.number();
    if (size > most) throw new CopyRefused(this.#code);
    return this.take(size);
  }
}
