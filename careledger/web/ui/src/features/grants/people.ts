import type { Practitioner } from "fhir/r4";
import type { Node } from "../../lib/node.ts";
import { writeName } from "../../lib/patients.ts";
import type { Wish } from "../../lib/wish.ts";

/** Somebody who can be named in a decision. */
export interface Candidate extends Pick<Wish, "kind" | "value"> {
  readonly name: string;
  readonly note: "looked" | "staff" | "organisation" | "house";
}

interface Looked {
  readonly who: { readonly id: string; readonly subject: string; readonly name: string };
  readonly organisation: { readonly did: string; readonly name: string };
  readonly rule: string;
}

const LOOKED = 100;

/** Who looked lately: each once, with the houses they came from. */
export async function listLooked(node: Node, patient: string, house: string): Promise<readonly Candidate[]> {
  const log = await node.api<{ readonly entries: readonly Looked[] }>(`/charts/${encodeURIComponent(patient)}/accesses?count=${LOOKED}`);
  const found = new Map<string, Candidate>();
  for (const { who, organisation, rule } of log.entries) {
    if (rule === "own-chart" || rule === "operator") continue;
    if (who.subject !== "" || who.id.startsWith("did:")) found.set(who.id, { kind: "practitioner", value: who.id, name: who.name || who.id, note: "looked" });
    if (organisation.did !== "" && organisation.did !== house) found.set(organisation.did, { kind: "organisation", value: organisation.did, name: organisation.name || organisation.did, note: "organisation" });
  }
  return [...found.values()];
}

/** Staff of the house by name. */
export async function findStaff(node: Node, text: string, signal: AbortSignal): Promise<readonly Candidate[]> {
  const page = await node.search<Practitioner>("Practitioner", [["name", text], ["_count", "8"], ["_elements", "name"]], signal);
  return page.resources.map((one) => ({ kind: "practitioner", value: one.id ?? "", name: writeName(one.name) || (one.id ?? ""), note: "staff" }));
}

interface Overview {
  readonly organisations: readonly { readonly did: string; readonly name: string; readonly active: boolean }[];
}

/** The organisations that the ledger knows. */
export async function listOrganisations(node: Node, house: string): Promise<readonly Candidate[]> {
  const { organisations } = await node.api<Overview>("/ledger");
  return organisations
    .filter((one) => one.active)
    .map((one) => ({ kind: "organisation", value: one.did, name: one.name || one.did, note: one.did === house ? "house" : "organisation" }));
}
