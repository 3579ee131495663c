import type { Node } from "../../lib/node.ts";
import type { ExportFacts, LightFacts, Verdict } from "../../lib/proof/index.ts";
import { cosignedBy } from "./cosigned.ts";
import { keep, type Kept, nameOf, open, readKept, seal } from "./keeping.ts";
import { type Found, verify } from "./verifier.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** How a check of one's own record came out. */
export interface Checked {
  readonly verdict: Verdict<ExportFacts>;
  readonly tookMs: number;
  /** When this device looked before; undefined the first time. */
  readonly beforeMs: number | undefined;
  readonly nowMs: number;
  /** What was verified, and under which trust file: for whoever wants to keep or show them. */
  readonly file: Bytes;
  readonly trust: Bytes;
  /** Whether the device will remember it. */
  readonly isKept: boolean;
}

/** What is done just now, for a line that says so. */
export type Step = "asking" | "fetching" | "verifying";

const encoder = new TextEncoder();

/**
 * Fetches the whole chart with its proofs and has the browser verify it: complete, signed, continuing what this device
 * trusted and saw before. What is refused changes nothing of what is kept, so that the evidence stays. Throws Refusal,
 * Unreachable.
 */
export async function checkNow(node: Node, patient: string, wantsCopy: boolean, onStep: (step: Step) => void): Promise<Checked> {
  onStep("asking");
  const name = await nameOf(patient);
  const kept = await readKept(name);
  const fresh = kept === undefined ? await node.file("/checkpoint") : kept.trust;
  const light = await follow(node, fresh);
  onStep("fetching");
  const file = await node.file(`/charts/${encodeURIComponent(patient)}/export${cosignedBy(light.trust)}`);
  onStep("verifying");
  const nowMs = Date.now();
  const outcome = { beforeMs: kept?.checkedMs, nowMs, file, trust: light.trust };
  if (!light.found.verdict.ok) return { ...outcome, verdict: light.found.verdict, tookMs: light.found.tookMs, isKept: false };
  const earlier = await openKept(name, kept);
  const files = { file, trust: light.trust, ...(earlier === undefined ? {} : { earlier }) };
  const { verdict, tookMs } = await verify<ExportFacts>({ kind: "export", files, ...(kept === undefined ? {} : { since: kept.heads }) });
  const isSame = !verdict.ok || kept === undefined || kept.handle === verdict.handle;
  if (!isSame) return { ...outcome, verdict: { ok: false, code: "earlier-chart", sentence: "the chart is another one than before" }, tookMs, isKept: false };
  const isKept = verdict.ok && (await remember(name, verdict, light.trust, file, nowMs, wantsCopy));
  return { ...outcome, verdict, tookMs, isKept };
}

interface Followed {
  readonly trust: Bytes;
  readonly found: Pick<Found<LightFacts>, "tookMs"> & { readonly verdict: { readonly ok: true } | Extract<Verdict<LightFacts>, { ok: false }> };
}

/** On a network the light client goes to the newest header first; an embedded ledger's export shows the way itself. */
async function follow(node: Node, trust: Bytes): Promise<Followed> {
  const height = readHeight(trust);
  if (height === undefined) return { trust, found: { verdict: { ok: true }, tookMs: 0 } };
  const way = await node.api<{ readonly signed?: unknown }>(`/ledger/trust?height=${height}`);
  if (way.signed === undefined || way.signed === "") return { trust, found: { verdict: { ok: true }, tookMs: 0 } };
  const file = encoder.encode(typeof way.signed === "string" ? way.signed : JSON.stringify(way.signed));
  const found = await verify<LightFacts>({ kind: "light", files: { file, trust } });
  return found.verdict.ok ? { trust: new Uint8Array(found.verdict.trust), found } : { trust, found: { verdict: found.verdict, tookMs: found.tookMs } };
}

/** The height of a network's trusted header; undefined for an embedded ledger's checkpoint. */
export function readHeight(trust: Bytes): number | undefined {
  const said = JSON.parse(new TextDecoder().decode(trust)) as { readonly mode?: string; readonly header?: { readonly height?: number } };
  return said.mode === "network" ? said.header?.height : undefined;
}

async function openKept(name: string, kept: Kept | undefined): Promise<Bytes | undefined> {
  if (kept?.export === undefined) return undefined;
  return await open(name, kept.export).catch(() => undefined);
}

/** The device remembers what it saw, and trusts from now on what that led to. */
async function remember(name: string, facts: ExportFacts, trust: Bytes, file: Bytes, nowMs: number, wantsCopy: boolean): Promise<boolean> {
  const isNetwork = readHeight(trust) !== undefined;
  const moved = isNetwork ? undefined : (await verify<LightFacts>({ kind: "light", files: { file, trust } })).verdict;
  const newest = moved?.ok === true ? new Uint8Array(moved.trust) : trust;
  const base = { trust: newest, heads: facts.heads, handle: facts.handle, checkedMs: nowMs, height: facts.asOf.height };
  return await keep(name, wantsCopy ? { ...base, export: await seal(name, file) } : base);
}
