/** What the access log of an export says (docs/spec/export.md, step 6; contents: docs/spec/vault.md). */

import { type Bytes, readText } from "./bytes.ts";
import { addHeights, type ExportFile, latestMs } from "./export_forms.ts";
import { tagged } from "./hashing.ts";
import { commitment } from "./receipts.ts";
import { need } from "./refused.ts";

/** One look at a chart, as the node recorded it. */
export interface Access {
  readonly isPermitted: boolean;
  /** Of the ledger, at which it was decided; a network's counts on from the former ledger's. */
  readonly height: number;
  readonly timeMs: number;
  readonly actor: string;
  readonly client: string;
  readonly organisation: string;
  readonly purpose: string;
  readonly rule: string;
  readonly kind: string;
  readonly what: string;
  readonly directives: readonly string[];
  /** Places in the record log of what left, ascending. */
  readonly leaves: readonly number[];
  readonly roles: readonly string[];
  readonly subject: string;
}

/** The access log: its leaves, computed, and what they say. */
export interface AccessLog {
  readonly leaves: readonly Bytes[];
  readonly entries: readonly Access[];
}

/** Every leaf of the access log; times never decrease, and nothing was decided after the block. */
export function readAccesses(file: ExportFile): AccessLog {
  const leaves: Bytes[] = [];
  const entries: Access[] = [];
  const { former } = file;
  let newestMs = 0;
  for (const [number, part] of file.access.entries()) {
    const where = `access entry ${number}`;
    const access = readContent(part.content, where);
    const digest = tagged("cl1.body", part.salt, part.content);
    const header = {
      kind: "access" as const,
      type: "",
      id: "",
      version: number,
      time: access.timeMs,
      author: "",
    };
    leaves.push(commitment(file.org, file.handle, part.salt, header, digest));
    need(newestMs <= access.timeMs && access.timeMs <= latestMs(file), "access-time", where);
    newestMs = access.timeMs;
    const isFormer = former !== undefined && number < former.last.access.size;
    need(access.height <= (isFormer ? former.size - 1 : file.block.height), "access-height", where);
    const height = isFormer ? access.height : addHeights(access.height, former?.size ?? 0);
    entries.push({ ...access, height });
  }
  return { leaves, entries };
}

/** Reads fields in order; throws at the end of the bytes. */
class Reader {
  private at = 0;
  private readonly bytes: Bytes;
  private readonly view: DataView;
  private readonly where: string;

  constructor(bytes: Bytes, where: string) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.where = where;
  }

  isAtEnd(): boolean {
    return this.at === this.bytes.length;
  }

  take(size: number): Bytes {
    need(this.at + size <= this.bytes.length, "access-short", this.where);
    this.at += size;
    return this.bytes.subarray(this.at - size, this.at);
  }

  u8(): number {
    return this.take(1)[0] ?? 0;
  }

  u32(): number {
    this.take(4);
    return this.view.getUint32(this.at - 4);
  }

  /** A number beyond 2^53 is none that any ledger has reached. */
  u64(): number {
    const value = this.u32() * 2 ** 32 + this.u32();
    need(Number.isSafeInteger(value), "number", this.where);
    return value;
  }

  text(): string {
    const text = readText(this.take(this.u32()));
    need(text !== null, "access-utf8", this.where);
    return text;
  }

  texts(): readonly string[] {
    const texts: string[] = [];
    for (let rest = this.u32(); rest > 0; rest -= 1) texts.push(this.text());
    return texts;
  }
}

/** An access entry's content, in its one encoding. */
function readContent(content: Bytes, where: string): Access {
  const reader = new Reader(content, where);
  reader.take(reader.u32()); // the request's id
  const permitted = reader.u8();
  const access = {
    isPermitted: permitted === 1,
    height: reader.u64(),
    timeMs: reader.u64(),
    actor: reader.text(),
    client: reader.text(),
    organisation: reader.text(),
    purpose: reader.text(),
    rule: reader.text(),
    kind: reader.text(),
    what: reader.text(),
    directives: reader.texts(),
  };
  const leaves: number[] = [];
  for (let rest = reader.u32(); rest > 0; rest -= 1) {
    const step = reader.u32();
    need(step > 0 || leaves.length === 0, "access-form", where);
    leaves.push((leaves.at(-1) ?? 0) + step);
  }
  let [roles, subject]: [readonly string[], string] = [[], ""];
  if (!reader.isAtEnd()) {
    [roles, subject] = [reader.texts(), reader.text()];
    need(roles.some((role) => role !== "") || subject !== "", "access-form", where);
  }
  need(reader.isAtEnd(), "access-long", where);
  need(permitted < 2, "access-form", where);
  return { ...access, leaves, roles, subject };
}
