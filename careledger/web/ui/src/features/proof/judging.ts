import type { Facts } from "../../lib/proof/answering.ts";
import type { FileKind, Verdict } from "../../lib/proof/index.ts";
import { sealOf } from "./seal.ts";
import { verify } from "./verifier.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** A file that was chosen. `height` is that of its block as it says itself: which of two copies is the earlier one. */
export interface Chosen {
  readonly name: string;
  /** `sealed`: a sealed copy, to be opened first. */
  readonly kind: FileKind | "sealed";
  readonly height: number;
  readonly data: Bytes;
}

/** What was found of one file. */
export interface Judged {
  readonly name: string;
  readonly kind: Chosen["kind"];
  readonly verdict: Verdict<Facts>;
  readonly tookMs: number;
  /** Of a receipt that holds: the seal of its entry. */
  readonly seal: string;
  /** Whether nothing had gone since an earlier copy was checked too. */
  readonly hasEarlier: boolean;
}

export const FILE_BYTES_MAX = 128_000_000;
const KINDS_OF_EXPORT: readonly FileKind[] = ["chart", "access-log"];

/** The file with what it says that it is. */
export async function readChosen(file: File): Promise<Chosen> {
  return await readData(file.name, file.size > FILE_BYTES_MAX ? new Uint8Array() : new Uint8Array(await file.arrayBuffer()));
}

/** The same of what is in memory already. */
export async function readData(name: string, data: Bytes): Promise<Chosen> {
  const [{ readKind }, { isCopy }] = await Promise.all([import("../../lib/proof/index.ts"), import("../../lib/copies.ts")]);
  if (isCopy(data)) return { name, kind: "sealed", height: 0, data };
  const kind = readKind(data);
  return { name, kind, height: kind === "unknown" ? 0 : readBlock(data), data };
}

function readBlock(data: Bytes): number {
  const found = /"block":\{"height":(\d{1,15})/.exec(new TextDecoder().decode(data));
  return Number(found?.[1] ?? 0);
}

/**
 * Verifies each proof among the files under `trust`: of two copies of one kind the older one is what the newer must
 * continue; a file that is no proof is the record of which a receipt tells, if there is one of each.
 */
export async function judge(files: readonly Chosen[], trust: Bytes): Promise<readonly Judged[]> {
  const bodies = files.filter((file) => file.kind === "unknown");
  const receipts = files.filter((file) => file.kind === "receipt");
  const judged: Judged[] = [];
  for (const file of receipts) {
    const body = receipts.length === 1 && bodies.length === 1 ? bodies[0]?.data : undefined;
    const found = await verify({ kind: "receipt", files: { file: file.data, trust, ...(body === undefined ? {} : { body }) } });
    judged.push({ name: file.name, kind: file.kind, ...found, seal: found.verdict.ok ? await sealOf(file.data) : "", hasEarlier: false });
  }
  for (const kind of KINDS_OF_EXPORT) {
    const [newest, earlier] = files.filter((file) => file.kind === kind).sort((a, b) => b.height - a.height);
    if (newest === undefined) continue;
    const found = await verify({ kind: "export", files: { file: newest.data, trust, ...(earlier === undefined ? {} : { earlier: earlier.data }) } });
    judged.push({ name: newest.name, kind, ...found, seal: "", hasEarlier: earlier !== undefined });
  }
  return judged;
}
