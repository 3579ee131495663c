/** A ZIP archive (APPNOTE 6.3.10) that stores its files as they are: small, and any computer opens it. Pure. */

type Bytes = Uint8Array<ArrayBuffer>;

export interface Packed {
  /** ASCII. */
  readonly name: string;
  readonly data: Bytes;
}

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const VERSION = 20;
const DAY_FIRST = 0x21; // 1980-01-01: the archive tells no time
const SIZE_MAX = 0xffffffff;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  return rest >>> 0;
});

/** CRC-32 of ISO 3309. */
export function crc32(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = (TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** The archive. Throws RangeError above 4 GB. */
export function pack(files: readonly Packed[]): Bytes {
  const parts: Uint8Array[] = [];
  const central: Uint8Array[] = [];
  let at = 0;
  for (const { name, data } of files) {
    const title = new TextEncoder().encode(name);
    const said = [crc32(data), data.length, data.length] as const;
    const local = record(30, LOCAL, [[4, VERSION], [12, DAY_FIRST], [26, title.length]], [[14, said[0]], [18, said[1]], [22, said[2]]]);
    central.push(record(46, CENTRAL, [[4, VERSION], [6, VERSION], [14, DAY_FIRST], [28, title.length]], [[16, said[0]], [20, said[1]], [24, said[2]], [42, at]]), title);
    parts.push(local, title, data);
    at += local.length + title.length + data.length;
    if (at > SIZE_MAX) throw new RangeError("an archive holds 4 GB");
  }
  const size = central.reduce((sum, part) => sum + part.length, 0);
  const end = record(22, END, [[8, files.length], [10, files.length]], [[12, size], [16, at]]);
  return join([...parts, ...central, end]);
}

function record(size: number, mark: number, shorts: readonly (readonly [number, number])[], longs: readonly (readonly [number, number])[]): Bytes {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, mark, true);
  for (const [at, value] of shorts) view.setUint16(at, value, true);
  for (const [at, value] of longs) view.setUint32(at, value, true);
  return bytes;
}

function join(parts: readonly Uint8Array[]): Bytes {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
