import { reach, readRefusal } from "./refusal.ts";

export type Kind = "patient" | "clinician" | "administrator";

/** Who is signed in at this browser, as `GET /session` tells our own pages. Times in seconds. */
export interface Session {
  readonly kind: Kind;
  readonly account: string;
  readonly name: string;
  /** "Patient/ID" or "Practitioner/ID"; "" for who is neither. */
  readonly fhirUser: string;
  readonly csrf: string;
  /** So long without a touch of key or screen, and the person is signed out. */
  readonly idle: number;
  /** So long yet no new verification is asked for. */
  readonly fresh: number;
  readonly isOnboarded: boolean;
}

/** What everybody may know of the house: its name, and whether it is a demo with people to try. */
export interface House {
  readonly name: string;
  readonly isDemo: boolean;
  /** Anybody may read the ledger here; otherwise whoever is signed in. */
  readonly isLedgerOpen: boolean;
  readonly language: "en" | "es";
  readonly session: Session | null;
}

/** Who is here. Throws Unreachable, Refusal. */
export async function readHouse(): Promise<House> {
  const answer = await reach("/session");
  if (!answer.ok) throw await readRefusal(answer);
  return (await answer.json()) as House;
}

/** A form of our own pages, sent by script; the node's guard wants token and origin. */
export async function post(path: string, csrf: string, fields: Readonly<Record<string, string>>): Promise<Response> {
  const body = new URLSearchParams({ ...fields, csrf });
  const answer = await reach(path, { method: "POST", body, redirect: "manual" });
  if (answer.type !== "opaqueredirect" && !answer.ok) throw await readRefusal(answer);
  return answer;
}

/** The session is over here and on the node; tokens of online access end with it. */
export async function signOut(session: Session): Promise<void> {
  await post("/sign-out", session.csrf, {});
}

/** Tells the node that somebody is there, so that the session does not become idle. False when it has ended. */
export async function stayAlive(): Promise<boolean> {
  return (await readHouse()).session !== null;
}
