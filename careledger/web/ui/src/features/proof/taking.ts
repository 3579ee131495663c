import type { Bundle, Node } from "../../lib/node.ts";
import { cosignedBy } from "./cosigned.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * What can be taken home, and under which name: names say what a file is, and never whose. The trust file is taken first:
 * what is taken after it shows that it continues it.
 */
export const NAMES = {
  trust: "careledger-trust.json",
  record: "careledger-record.json",
  looks: "careledger-looks.json",
  fhir: "careledger-fhir.json",
} as const;
export type Part = keyof typeof NAMES;

/** Record and looks in one file that she alone can open (docs/spec/copy.md). */
export const SEALED_NAME = "careledger-record.sealed";

/** The sealed copy, as the node makes it. Throws Refusal, Unreachable. */
export async function takeSealed(node: Node, patient: string): Promise<Bytes> {
  return await node.file(`/charts/${encodeURIComponent(patient)}/copy`);
}

/** The node's word that she has not wrapped the key of her copies, or not since it changed. */
export const NOT_PREPARED = "copy-not-prepared";

const PAGES_MAX = 500;

/** One file, whole; with what the witnesses of `trust` sign of it, the trust file that goes along. Throws Refusal, Unreachable. */
export async function take(node: Node, patient: string, part: Part, onPage: (count: number) => void = () => undefined, trust?: Bytes): Promise<Bytes> {
  const chart = `/charts/${encodeURIComponent(patient)}`;
  const cosigned = trust === undefined ? "" : cosignedBy(trust);
  if (part === "record") return await node.file(`${chart}/export${cosigned}`);
  if (part === "looks") return await node.file(`${chart}/access-export${cosigned}`);
  if (part === "trust") return await node.file("/checkpoint");
  return await takeEverything(node, patient, onPage);
}

/** The record as one FHIR Bundle for other programs, all pages of `$everything` in their order. */
async function takeEverything(node: Node, patient: string, onPage: (count: number) => void): Promise<Bytes> {
  const entry: unknown[] = [];
  let next = `/fhir/Patient/${encodeURIComponent(patient)}/$everything`;
  for (let page = 0; next !== "" && page < PAGES_MAX; page++) {
    const bundle = (await (await node.send(next)).json()) as Bundle;
    entry.push(...(bundle.entry ?? []).map(({ fullUrl, resource }) => ({ fullUrl, resource })));
    onPage(entry.length);
    const link = bundle.link?.find((one) => one.relation === "next")?.url;
    next = link === undefined ? "" : pathOf(link);
  }
  return new TextEncoder().encode(JSON.stringify({ resourceType: "Bundle", type: "collection", entry }));
}

function pathOf(link: string): string {
  const url = new URL(link, location.origin);
  return url.pathname + url.search;
}

/** What stands in the archive beside the files, for whoever opens it years later. */
export function explain(house: string, lines: readonly string[]): Bytes {
  return new TextEncoder().encode(["CareLedger", house, "", ...lines, ""].join("\n"));
}
