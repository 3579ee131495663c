import type { HumanName, Patient } from "fhir/r4";
import { clip } from "./clip.ts";
import type { Node } from "./node.ts";

/** A patient in a list. */
export interface PatientRow {
  readonly id: string;
  readonly name: string;
  /** YYYY-MM-DD, as the record has it. */
  readonly born: string;
  readonly gender: string;
  readonly hasDied: boolean;
}

/** A name as people write it. */
export function writeName(names: readonly HumanName[] | undefined): string {
  const name = names?.find((one) => one.use === "official") ?? names?.[0];
  return clip(name?.text ?? [...(name?.given ?? []), name?.family ?? ""].filter((part) => part !== "").join(" "));
}

/** The row of a patient. */
export function toRow(patient: Patient): PatientRow {
  return { id: patient.id ?? "", name: writeName(patient.name), born: patient.birthDate ?? "", gender: patient.gender ?? "", hasDied: patient.deceasedBoolean === true || patient.deceasedDateTime !== undefined };
}

/** Patients of that name whom this person may see. */
export async function findPatients(node: Node, name: string, count: number, signal?: AbortSignal): Promise<readonly PatientRow[]> {
  const found = await node.search<Patient>("Patient", [["name", name], ["_count", String(count)]], signal);
  return found.resources.map(toRow);
}

/**
 * Which chart is open. It stands in this tab's memory and in the history entry's state, never in an address: addresses are kept
 * by proxies, histories and whoever looks over a shoulder.
 */
let open = "";
const listeners = new Set<() => void>();

/** The id of the patient whose chart is open, "" if none is. */
export function openChart(): string {
  return open;
}

/** This patient's chart is the open one from now on. */
export function rememberChart(id: string): void {
  open = id;
  for (const listener of listeners) listener();
}

/** For `useSyncExternalStore`. */
export function watchChart(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
