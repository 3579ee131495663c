import type { Node } from "../../lib/node.ts";

/** One entry of a chart's access log, as `GET /api/charts/{patient}/accesses` tells it (docs/spec/api.md). */
export interface Entry {
  readonly index: number;
  readonly time_ms: number;
  readonly who: { readonly id: string; readonly subject: string; readonly name: string; readonly roles: readonly string[] };
  readonly client: string;
  readonly organisation: { readonly did: string; readonly name: string };
  readonly purpose: string;
  readonly action: string;
  readonly what: string;
  readonly reason: string;
  /** Of what left, the first ones; `versions` says how many there were. */
  readonly resources: readonly string[];
  readonly versions: number;
  readonly permitted: boolean;
  readonly rule: string;
  readonly directives: readonly string[];
  readonly height: number;
}

export interface Log {
  readonly entries: readonly Entry[];
  readonly total: number;
  readonly next: number | null;
}

/** What a look was, for the filter and its mark. */
export type Kind = "care" | "emergency" | "refused" | "mine" | "house" | "account";

/** One person's looks of one sitting: the same person, program, purpose and authority, without a long pause. Newest first. */
export interface Look {
  readonly key: string;
  readonly person: string;
  readonly kind: Kind;
  readonly first: Entry;
  readonly fromMs: number;
  readonly toMs: number;
  readonly entries: readonly Entry[];
}

/** How many of a type of record left in a look; "" is for those whose type the log does not say. */
export type Seen = ReadonlyMap<string, number>;

const PAUSE_MS = 30 * 60_000;
const SIZE = 100;
const EMERGENCY = new Set(["ETREAT", "BTG"]);

/** A page of the log, newest first; `before` is `next` of the page before. */
export async function readLog(node: Node, patient: string, before: number | null, signal?: AbortSignal): Promise<Log> {
  const page = before === null ? "" : `&before=${before}`;
  return await node.api<Log>(`/charts/${encodeURIComponent(patient)}/accesses?count=${SIZE}${page}`, signal);
}

export function kindOf(entry: Entry): Kind {
  if (!entry.permitted) return "refused";
  if (entry.action === "account") return "account";
  if (entry.rule === "emergency" || EMERGENCY.has(entry.purpose)) return "emergency";
  if (entry.rule === "own-chart") return "mine";
  return entry.rule === "operator" ? "house" : "care";
}

/** Whose look it was: people are told apart, whichever program they used; programs without a person, by program. */
export function personOf(entry: Entry): string {
  if (kindOf(entry) === "account") return "account"; // one choice of the filter, whoever did it: the line says who
  const id = entry.who.id === "" ? entry.client : entry.who.id;
  return `${entry.organisation.did} ${id}`;
}

/** The entries as looks, in the order of their newest entries. */
export function group(entries: readonly Entry[]): readonly Look[] {
  const open = new Map<string, Entry[]>();
  const looks: Entry[][] = [];
  for (const entry of entries) {
    const same = [personOf(entry), entry.client, entry.purpose, entry.rule, entry.permitted, ...entry.directives].join("\n");
    const known = kindOf(entry) === "account" ? undefined : open.get(same); // each says something of its own
    const last = known?.at(-1);
    if (known !== undefined && last !== undefined && last.time_ms - entry.time_ms <= PAUSE_MS) known.push(entry);
    else {
      const begun = [entry];
      open.set(same, begun);
      looks.push(begun);
    }
  }
  return looks.flatMap(toLook);
}

function toLook(entries: readonly Entry[]): readonly Look[] {
  const [first] = entries;
  const last = entries.at(-1);
  if (first === undefined || last === undefined) return [];
  const look = { person: personOf(first), kind: kindOf(first), first, fromMs: last.time_ms, toMs: first.time_ms, entries };
  return [{ key: `${last.index}`, ...look }];
}

/** What left in these looks, by type, most first. What was named twice counts twice: it was looked at twice. */
export function seenIn(entries: readonly Entry[]): Seen {
  const seen = new Map<string, number>();
  for (const entry of entries) {
    const named = new Map<string, number>();
    for (const resource of entry.resources) add(named, typeOf(resource), 1);
    const rest = entry.versions - entry.resources.length;
    const [only] = named.size === 1 ? [...named.keys()] : [""];
    if (rest > 0) add(named, named.size === 0 ? typeOf(entry.what) : (only ?? ""), rest);
    if (entry.versions > 0) for (const [type, count] of named) add(seen, type, count);
  }
  return new Map([...seen].sort(([, a], [, b]) => b - a));
}

function add(counts: Map<string, number>, type: string, count: number): void {
  counts.set(type, (counts.get(type) ?? 0) + count);
}

/** The type that a reference or a search begins with; "" where there is none. */
export function typeOf(what: string): string {
  return /^([A-Z][A-Za-z]{1,63})(?:[/?]|$)/.exec(what)?.[1] ?? "";
}

/** What the log holds, once each, newest first: what came again with a later page stands once. */
export function joinLogs(logs: readonly Log[]): readonly Entry[] {
  const all = new Map<number, Entry>();
  for (const log of logs) for (const entry of log.entries) all.set(entry.index, entry);
  return [...all.values()].sort((a, b) => b.index - a.index);
}

/** How a directive can name whose look it was; undefined for herself, and for the house's own command line. */
export function grantee(entry: Entry): { readonly kind: "practitioner" | "organisation"; readonly value: string } | undefined {
  if (kindOf(entry) === "mine" || kindOf(entry) === "account" || entry.rule === "operator") return undefined;
  if (entry.who.subject !== "" || entry.who.id.startsWith("did:")) return { kind: "practitioner", value: entry.who.id };
  return entry.organisation.did === "" ? undefined : { kind: "organisation", value: entry.organisation.did };
}
