import type { Parameters } from "fhir/r4";
import { useLocation } from "@tanstack/react-router";
import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { usePresent } from "../../lib/context.ts";
import type { Node } from "../../lib/node.ts";
import { parseDate } from "../../lib/words.ts";

export const EMERGENCY_PURPOSE = "ETREAT";
export const REASON_MIN = 10;
export const REASON_MAX = 1_000;

/** An emergency access of this practitioner to one chart. `node` asks for the purpose of an emergency. */
export interface Emergency {
  readonly patient: string;
  readonly untilMs: number;
  readonly node: Node;
}

let open: readonly Emergency[] = [];
const listeners = new Set<() => void>();

function keep(next: readonly Emergency[]): void {
  open = next;
  for (const listener of listeners) listener();
}

function watch(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** White space folded, as the node keeps it. */
export function foldReason(...parts: readonly string[]): string {
  return parts.map((part) => part.split(/\s+/).filter((word) => word !== "").join(" ")).filter((part) => part !== "").join(": ");
}

/** Opens the chart by break-glass: it is logged with the reason, and the patient is told, before this answers. Throws Refusal, Unreachable. */
export async function breakGlass(node: Node, patient: string, reason: string): Promise<Emergency> {
  const emergency = node.forPurpose(EMERGENCY_PURPOSE);
  const asked: Parameters = { resourceType: "Parameters", parameter: [{ name: "reason", valueString: reason }] };
  const answer = await emergency.operate<Parameters>(`/Patient/${encodeURIComponent(patient)}/$emergency-access`, asked);
  const until = answer.parameter?.find((one) => one.name === "until")?.valueInstant;
  const begun = { patient, untilMs: parseDate(until)?.getTime() ?? 0, node: emergency };
  keep([...open.filter((one) => one.patient !== patient), begun]);
  return begun;
}

/** This tab does not use it any more. The node's own time box goes on until its end. */
export function putAway(patient: string): void {
  keep(open.filter((one) => one.patient !== patient));
}

/** The emergency access to this chart that holds now, if one does; undefined from the moment on at which it ends. */
export function useEmergency(patient: string): Emergency | undefined {
  const { node } = usePresent();
  const kept = useLocation().state.emergency ?? 0;
  const all = useSyncExternalStore(watch, () => open);
  const [, wake] = useState(0);
  const known = all.find((one) => one.patient === patient);
  const renewed = useMemo(() => (kept > Date.now() ? { patient, untilMs: kept, node: node.forPurpose(EMERGENCY_PURPOSE) } : undefined), [patient, kept, node]);
  const found = known ?? renewed;
  const untilMs = found?.untilMs ?? 0;
  useEffect(() => {
    const left = untilMs - Date.now();
    if (left <= 0) return undefined;
    const timer = setTimeout(() => wake((count) => count + 1), left + 50);
    return () => clearTimeout(timer);
  }, [untilMs]);
  return untilMs > Date.now() ? found : undefined;
}

/** What is left, as "3:59:07" or "12:07". */
export function sayLeft(leftMs: number): string {
  const seconds = Math.max(0, Math.ceil(leftMs / 1000));
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (value: number): string => String(value).padStart(2, "0");
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
