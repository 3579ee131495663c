import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { useMaybePresent } from "./context.ts";
import type { Node } from "./node.ts";
import { Refusal } from "./refusal.ts";

/** The sizes of a chart, as `GET /api/charts/{patient}/head` tells them: they grow with every entry and every look. */
export interface Head {
  readonly records: number;
  readonly accesses: number;
  readonly height: number;
}

/** What a page wants to hear of. Whoever shows records must not watch accesses: its own reading would wake it. */
export type Watched = "records" | "accesses" | "height";

/** Hears of new sizes. May answer what its own reading made of them (reading a log is an entry of the log), and a pause. */
export type OnChange = (head: Head, stop: AbortSignal) => Promise<{ readonly head: Head; readonly pauseMs: number }> | void;

const WAIT_FIRST_MS = 1_000;
const WAIT_MOST_MS = 60_000;
const WAIT_BETWEEN_MS = 500;

/** How a chart is followed, where it is not as usual. */
export interface Following {
  /** Where it begins; else with the sizes that the node tells first, of which nothing is heard. */
  readonly begin?: Head;
  /** Nothing is asked for while this is so: by default, while nobody sees the page. */
  readonly isHidden?: () => boolean;
}

/**
 * Follows a chart until `stop` is aborted: `onChange` is called whenever one of the watched sizes differs from before. What it
 * answers is how many milliseconds are waited until the next question; the sizes are taken up where its own reading left them,
 * if it answers those too. One request waits at the node at a time, none while `isHidden()`; failures are tried again after
 * 1, 2, 4 … 60 seconds, a refusal (nobody signed in, no such chart) ends it quietly. Never throws.
 */
export async function follow(node: Node, patient: string, watched: readonly Watched[], onChange: OnChange, stop: AbortSignal, { begin, isHidden = () => document.hidden }: Following = {}): Promise<void> {
  let before = begin;
  let failures = 0;
  while (!stop.aborted) {
    if (isHidden()) await untilSeen(stop);
    if (stop.aborted) return;
    try {
      const head = await node.api<Head>(writePath(patient, before, watched), stop);
      const isNews = before !== undefined && differs(before, head, watched);
      const heard = isNews ? await onChange(head, stop) : undefined;
      failures = 0;
      if (before !== undefined) await pause(heard?.pauseMs ?? (isNews ? 0 : WAIT_BETWEEN_MS), stop);
      before = heard?.head ?? head;
    } catch (error) {
      if (stop.aborted || (error instanceof Refusal && error.status < 500 && error.status !== 429)) return;
      await pause(Math.min(WAIT_MOST_MS, WAIT_FIRST_MS * 2 ** failures), stop);
      failures += 1;
    }
  }
}

function writePath(patient: string, before: Head | undefined, watched: readonly Watched[]): string {
  const path = `/charts/${encodeURIComponent(patient)}/head`;
  if (before === undefined) return path;
  const part = (name: Watched): string => (watched.includes(name) ? String(before[name]) : "*");
  return `${path}?after=${part("records")}.${part("accesses")}.${part("height")}`;
}

function differs(before: Head, head: Head, watched: readonly Watched[]): boolean {
  return watched.some((name) => before[name] !== head[name]);
}

async function pause(ms: number, stop: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    if (ms <= 0 || stop.aborted) return resolve();
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      stop.removeEventListener("abort", done);
      resolve();
    }
    stop.addEventListener("abort", done);
  });
}

async function untilSeen(stop: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const look = (): void => {
      if (document.hidden && !stop.aborted) return;
      document.removeEventListener("visibilitychange", look);
      stop.removeEventListener("abort", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    stop.addEventListener("abort", look);
  });
}

/**
 * The page of this component shows what is new: when the patient's chart grows, what the queries of `["chart", patient, …]`
 * (or of `onChange`'s choice) hold is fetched again. "" as `patient`, or nobody signed in: nothing is followed. `by` asks
 * instead of the person's usual line to the node: whoever sees a chart in an emergency follows it in the emergency too.
 */
export function useLive(patient: string, watched: readonly Watched[] = ["records"], onChange?: (head: Head) => void, by?: Node): void {
  const present = useMaybePresent();
  const queries = useQueryClient();
  const told = useRef(onChange);
  told.current = onChange;
  const node = by ?? present?.node;
  const key = watched.join();
  useEffect(() => {
    if (patient === "" || node === undefined) return undefined;
    const stop = new AbortController();
    const hear = (head: Head): void => {
      if (told.current !== undefined) told.current(head);
      else void queries.invalidateQueries({ queryKey: ["chart", patient] });
    };
    void follow(node, patient, key.split(",") as Watched[], hear, stop.signal);
    return () => stop.abort();
  }, [patient, node, key, queries]);
}
