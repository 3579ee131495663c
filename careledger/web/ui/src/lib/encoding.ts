/** The protocol's `enc`: big-endian numbers, counted bytes. Pure. */

export type Bytes = Uint8Array<ArrayBuffer>;

/** The same bytes, over a buffer of their own if they shared one. */
export function asRaw(bytes: Uint8Array): Bytes {
  return new Uint8Array(bytes);
}

export function joinBytes(...parts: readonly Uint8Array[]): Bytes {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** u32 length | bytes. */
export function countedBytes(bytes: Uint8Array): Bytes {
  return joinBytes(u32(bytes.length), bytes);
}

export function u8(value: number): Bytes {
  return Uint8Array.of(value);
}

export function u16(value: number): Bytes {
  return number(2, (view) => view.setUint16(0, value));
}

export function u32(value: number): Bytes {
  return number(4, (view) => view.setUint32(0, value));
}

/** Throws RangeError for what is no whole number from 0 to 2^53 - 1. */
export function u64(value: number): Bytes {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError("not a number of the protocol");
  return number(8, (view) => view.setBigUint64(0, BigInt(value)));
}

function number(size: number, write: (view: DataView) => void): Bytes {
  const bytes = new Uint8Array(size);
  write(new DataView(bytes.buffer));
  return bytes;
}
