/** Protocol: `enc`, `H`. SHA-256 runs in the page: a wait for WebCrypto at each of thousands of nodes costs more. */

import { sha256 as digest } from "@noble/hashes/sha2.js";

import { type Bytes, concat, u32, u64, utf8 } from "./bytes.ts";

/** SHA-256 of all parts, joined. */
export function sha256(...parts: readonly Uint8Array[]): Bytes {
  return new Uint8Array(digest(parts.length === 1 && parts[0] !== undefined ? parts[0] : concat(...parts)));
}

/** A short name: u8 length | bytes. */
export function short(name: string): Bytes {
  const bytes = utf8(name);
  return concat(Uint8Array.of(bytes.length), bytes);
}

/** Protocol's `H`: SHA-256(u8 length | tag | all parts). */
export function tagged(tag: string, ...parts: readonly Uint8Array[]): Bytes {
  return sha256(short(tag), ...parts);
}

/** Protocol's `enc`: numbers as u64, text and keys behind their length (u32). Digests of fixed place are joined bare. */
export function enc(...fields: readonly (number | string | Uint8Array)[]): Bytes {
  return concat(
    ...fields.flatMap((field) => {
      if (typeof field === "number") return [u64(field)];
      const raw = typeof field === "string" ? utf8(field) : field;
      return [u32(raw.length), raw];
    }),
  );
}
