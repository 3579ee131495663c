import { createContext, useContext } from "react";
import type { Node } from "./node.ts";
import type { House, Session } from "./session.ts";

/** Who is here, and the node that answers them. */
export interface Present {
  readonly house: House;
  readonly session: Session;
  readonly node: Node;
}

export const PresentContext = createContext<Present | null>(null);

/** The person and the node. Only pages for somebody signed in may ask. */
export function usePresent(): Present {
  const present = useContext(PresentContext);
  if (present === null) throw new Error("this page is for somebody signed in");
  return present;
}

/** The same where a page is open to strangers too: null without a session. */
export function useMaybePresent(): Present | null {
  return useContext(PresentContext);
}

export const HouseContext = createContext<House | undefined>(undefined);

/** What everybody may know of the house; undefined if it was not reached. */
export function useHouse(): House | undefined {
  return useContext(HouseContext);
}

/** The id of the patient whose own record this is; "" for who is no patient. */
export function patientOf(session: Session): string {
  return session.fhirUser.startsWith("Patient/") ? session.fhirUser.slice(8) : "";
}
