/** Somebody whom the patient wants to decide about: from the page where she saw them to the page where she decides. */
export interface Wish {
  readonly effect: "permit" | "deny";
  readonly kind: "organisation" | "practitioner" | "role";
  /** A DID, the logical id of a Practitioner here, or the name of a role. */
  readonly value: string;
  readonly name: string;
}

let open: Wish | undefined;

/** Keeps it in this page's memory: names stand in no address. */
export function wish(wanted: Wish): void {
  open = wanted;
}

/** What was wished for last; it is asked for once. */
export function takeWish(): Wish | undefined {
  const taken = open;
  open = undefined;
  return taken;
}
