import type { Coding, Grantee } from "../../lib/directives.ts";
import type { Node } from "../../lib/node.ts";

/** A decision of hers, as `GET /api/charts/{patient}/consents` tells it (docs/spec/api.md). */
export interface Decision {
  readonly id: string;
  readonly effect: "permit" | "deny";
  /** Each as KIND:VALUE. */
  readonly grantees: readonly string[];
  readonly purposes: readonly string[];
  readonly types: readonly string[];
  /** Each as SYSTEM|CODE or CODE. */
  readonly categories: readonly string[];
  readonly labels: readonly string[];
  readonly actions: readonly string[];
  /** YYYY-MM-DD; both days count. */
  readonly from: string;
  readonly until: string;
  readonly status: string;
  readonly bound: boolean;
  readonly supersedes: string;
  readonly granted: string;
  readonly language?: string;
  /** The lines that she signed; "" where a key file signed no lines. */
  readonly shown?: string;
  readonly names?: Readonly<Record<string, string>>;
}

export interface Decisions {
  /** Id of the key that decides; "" if there is none yet. */
  readonly key: string;
  readonly directives: readonly Decision[];
}

/** How a decision stands today. */
export type Standing = "holds" | "later" | "over" | "replaced" | "withdrawn" | "unbound";

const DAY_MS = 86_400_000;

export async function readDecisions(node: Node, patient: string, signal?: AbortSignal): Promise<Decisions> {
  return await node.api<Decisions>(`/charts/${encodeURIComponent(patient)}/consents`, signal);
}

/** How each stands on a day; a later one of hers that replaces it ends it whatever that one says. */
export function standingOf(one: Decision, all: readonly Decision[], today: number): Standing {
  if (one.status === "revoked") return "withdrawn";
  if (one.status !== "active" || !one.bound) return "unbound";
  if (all.some((other) => other.supersedes === one.id && other.id !== one.id && other.status === "active" && other.bound)) return "replaced";
  if (dayOf(one.until) < today) return "over";
  return today < dayOf(one.from) ? "later" : "holds";
}

/** Days since 1970-01-01 (UTC) of YYYY-MM-DD; NaN for anything else. */
export function dayOf(date: string): number {
  return /^\d{4}-\d{2}-\d{2}$/.test(date) ? Date.parse(`${date}T00:00:00Z`) / DAY_MS : Number.NaN;
}

export function todayOf(nowMs: number): number {
  return Math.floor(nowMs / DAY_MS);
}

/** YYYY-MM-DD of a day. */
export function dateOf(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10);
}

const GRANTEES = ["client", "organisation", "practitioner", "role"] as const;

/** KIND:VALUE in its two parts; undefined for a kind that this page does not know. */
export function readGrantee(text: string): Grantee | undefined {
  const at = text.indexOf(":");
  const kind = GRANTEES.find((one) => one === text.slice(0, at));
  return kind === undefined ? undefined : { kind, value: text.slice(at + 1) };
}

/** SYSTEM|CODE or CODE in its two parts. */
export function readCoding(text: string): Coding {
  const at = text.lastIndexOf("|");
  return { system: at < 0 ? "" : text.slice(0, at), code: text.slice(at + 1) };
}
