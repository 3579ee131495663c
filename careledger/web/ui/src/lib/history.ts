import type {} from "@tanstack/react-router";

/** What a history entry of this tab may hold besides its address: what is open, so that the address names nobody. */
declare module "@tanstack/react-router" {
  interface HistoryState {
    /** An entry of a record that is open, or to be checked: "Observation/ID". */
    entry?: string;
    /** An entry that the patient says is wrong: "Condition/ID". */
    wrong?: string;
  }
}

const REFERENCE = /^[A-Z][A-Za-z]{1,63}\/[A-Za-z0-9\-.]{1,64}$/;

/** The reference in two parts; undefined for what is none (a state may be of an older build). */
export function splitReference(reference: string | undefined): readonly [type: string, id: string] | undefined {
  if (reference === undefined || !REFERENCE.test(reference)) return undefined;
  const at = reference.indexOf("/");
  return [reference.slice(0, at), reference.slice(at + 1)];
}
