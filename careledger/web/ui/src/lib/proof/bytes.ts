/** Bytes, and the encodings that proofs are written in. All strict: one spelling for each value. */

/** Bytes that WebCrypto takes. */
export type Bytes = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();
// `ignoreBOM`: a byte order mark is text like any other, and so no JSON.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const URL_DIGITS = readDigits(`${CHARACTERS}-_`);
const PLAIN_DIGITS = readDigits(`${CHARACTERS}+/`);

/** All parts, joined. */
export function concat(...parts: readonly Uint8Array[]): Bytes {
  let size = 0;
  for (const part of parts) size += part.length;
  const joined = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** The text's UTF-8. */
export function utf8(text: string): Bytes {
  return encoder.encode(text);
}

/** The text of which these bytes are the UTF-8; null if there is none. */
export function readText(bytes: Uint8Array): string | null {
  try {
    return decoder.decode(bytes);
  } catch {
    return null;
  }
}

/** Lower-case hexadecimal digits. */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The bytes of an even number of hexadecimal digits; whoever calls has checked that they are. */
export function unhex(digits: string): Bytes {
  return Uint8Array.from({ length: digits.length / 2 }, (_, at) =>
    Number.parseInt(digits.slice(2 * at, 2 * at + 2), 16),
  );
}

/** Whether both are the same bytes. (Nothing here is secret: it need not take constant time.) */
export function isSame(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  for (let at = 0; at < one.length; at += 1) if (one[at] !== other[at]) return false;
  return true;
}

/** Four bytes, big-endian; of a whole number from 0 to 2^32 - 1. */
export function u32(value: number): Bytes {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, value);
  return out;
}

/** Eight bytes, big-endian; of a whole number from 0 to 2^53 - 1. */
export function u64(value: number): Bytes {
  const out = new Uint8Array(8);
  const view = new DataView(out.buffer);
  view.setUint32(0, Math.floor(value / 2 ** 32));
  view.setUint32(4, value % 2 ** 32);
  return out;
}

/** The number that these bytes, least first, write. */
export function readLittle(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/** The number that these bytes, greatest first, write. */
export function readBig(bytes: Uint8Array): bigint {
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/** The bytes of which this is base64url without padding, spare bits zero; null if of none. */
export function readBase64Url(text: string): Bytes | null {
  return readBase64Digits(text, text.length, URL_DIGITS);
}

/** The bytes of which this is base64 with padding, spare bits zero; null if of none. */
export function readBase64(text: string): Bytes | null {
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  return text.length % 4 === 0 ? readBase64Digits(text, text.length - padding, PLAIN_DIGITS) : null;
}

function readBase64Digits(text: string, count: number, digits: Uint8Array): Bytes | null {
  if (count % 4 === 1) return null;
  const out = new Uint8Array(Math.floor((count * 3) / 4));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (let place = 0; place < count; place += 1) {
    const digit = digits[text.charCodeAt(place)] ?? 255;
    if (digit > 63) return null;
    held = ((held << 6) | digit) & 0xfff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out[at] = held >> bits;
      at += 1;
    }
  }
  return (held & ((1 << bits) - 1)) === 0 ? out : null;
}

function readDigits(alphabet: string): Uint8Array {
  const digits = new Uint8Array(128).fill(255);
  for (let value = 0; value < 64; value += 1) digits[alphabet.charCodeAt(value)] = value;
  return digits;
}

/** Base64url without padding. */
export function toBase64Url(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 3) {
    const [first = 0, second = 0, third = 0] = bytes.subarray(at, at + 3);
    const held = (first << 16) | (second << 8) | third;
    const digits = [held >> 18, (held >> 12) & 63, (held >> 6) & 63, held & 63];
    text += digits
      .map((digit) => `${CHARACTERS}-_`.charAt(digit))
      .join("")
      .slice(0, bytes.length - at + 1);
  }
  return text;
}
