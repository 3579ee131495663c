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
  /** False while an administrator has switched this application off. */
  readonly isAppOn: boolean;
  readonly language: "en" | "es";
  readonly session: Session | null;
}

/** Who is here: as the node answers `asked`, where that was asked for already. Throws Unreachable, Refusal. */
export async function readHouse(asked: Promise<Response> = reach("/session")): Promise<House> {
  const answer = await asked;
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

/** So long a network that swallows everything keeps nobody's tabs open; the node ends an idle session by itself. */
const SIGN_OUT_MS = 3_000;

/** The session is over here, on the node and in every tab; tokens of online access end with it. */
export async function signOut(session: Session): Promise<void> {
  try {
    await Promise.race([post("/sign-out", session.csrf, {}), new Promise((resolve) => setTimeout(resolve, SIGN_OUT_MS))]);
  } finally {
    tellTabs("ended"); // only now: a tab that asked earlier would be told that somebody is signed in
  }
}

/** Tells the node that somebody is there, so that the session does not become idle. False when it has ended, or is another's. */
export async function stayAlive(session: Session): Promise<boolean> {
  const now = (await readHouse()).session;
  return now !== null && now.account === session.account && now.fhirUser === session.fhirUser;
}

/** What tabs of one browser say to each other: the session has ended; somebody is there. Nothing of anybody. */
type Told = "ended" | "alive";
const CHANNEL = "careledger-session";

/** Says it to every other tab of this origin. */
export function tellTabs(told: Told): void {
  if (typeof BroadcastChannel === "undefined") return;
  const channel = new BroadcastChannel(CHANNEL);
  channel.postMessage(told);
  channel.close();
}

/** Hears what other tabs say, until the function that it answers is called. */
export function hearTabs(hear: (told: Told) => void): () => void {
  if (typeof BroadcastChannel === "undefined") return () => undefined;
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = ({ data }: MessageEvent<unknown>) => {
    if (data === "ended" || data === "alive") hear(data);
  };
  return () => channel.close();
}
