import type { FhirResource, Patient } from "fhir/r4";
import type { Node } from "../../lib/node.ts";
import { writeName } from "../../lib/patients.ts";
import type { ReceiptFacts } from "../../lib/proof/index.ts";
import { dateOf, sayDate, sayTitle } from "../../lib/words.ts";
import { cosignedBy } from "./cosigned.ts";
import { type Checkpoint, ENTRIES_MAX, writeCode } from "./sheet-code.ts";
import { sealOf } from "./seal.ts";
import { verify } from "./verifier.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** One entry on the paper: what it says, its receipt, and its seal: the salted fingerprint that the ledger holds. */
export interface Line {
  readonly title: string;
  readonly kind: string;
  readonly date: string;
  readonly facts: ReceiptFacts;
  readonly seal: string;
  readonly receipt: Bytes;
}

/** The checkpoint that the receipts were verified under. */
export interface Ground extends Checkpoint {
  readonly trust: Bytes;
}

export interface Paper {
  /** Whose record it is, as the record says: name and day of birth. */
  readonly whose: string;
  readonly lines: readonly Line[];
  readonly ground: Ground;
  /** What the QR holds: seals and checkpoint behind the address of the proof page. Nothing of anybody. */
  readonly code: string;
}

/** A receipt that this browser itself could not confirm: it goes on no paper. */
export class Unconfirmed extends Error {}

/** Receipts of these entries, each verified here before it goes on paper. Throws Unconfirmed, Refusal, Unreachable. */
export async function compose(node: Node, patient: string, entries: readonly FhirResource[]): Promise<Paper> {
  const { name, birthDate } = await node.read<Patient>("Patient", patient);
  const trust = await node.file("/checkpoint");
  const ground = readGround(trust);
  const lines: Line[] = [];
  for (const entry of entries.slice(0, ENTRIES_MAX)) {
    const receipt = await node.file(`/receipts/${entry.resourceType}/${encodeURIComponent(entry.id ?? "")}${cosignedBy(trust)}`);
    const { verdict } = await verify<ReceiptFacts>({ kind: "receipt", files: { file: receipt, trust } });
    if (!verdict.ok) throw new Unconfirmed(verdict.sentence);
    lines.push({ title: sayTitle(entry), kind: entry.resourceType, date: sayDate(dateOf(entry)), facts: verdict, seal: await sealOf(receipt), receipt });
  }
  const whose = [writeName(name), sayDate(birthDate)].filter((part) => part !== "").join(", ");
  return { whose, lines, ground, code: writeCode(lines.map((line) => line.seal), ground, location.origin) };
}

/** What a trust file is of: the ledger, how far, and its root. */
export function readGround(trust: Bytes): Ground {
  const said = JSON.parse(new TextDecoder().decode(trust)) as { readonly chain: string; readonly note?: string; readonly hash?: string; readonly header?: { readonly height?: number } };
  const [, size = "0", root = ""] = (said.note ?? "").split("\n");
  if (said.note !== undefined) return { chain: said.chain, size: Number(size), root, trust };
  return { chain: said.chain, size: said.header?.height ?? 0, root: said.hash ?? "", trust };
}
