import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import type { Node } from "../../lib/node.ts";
import { joinLogs, kindOf, type Log, readLog } from "./log.ts";

const FIRST_MS = 4_000;
const LAST_MS = 300_000;

/**
 * News of the log while the page is seen: waits until the log has grown, then reads its newest page.
 *
 * Reading the log is itself an entry of the log. So that two open pages do not wake each other for ever, the pause doubles
 * for as long as nothing but her own looks is new.
 */
export function useNews(node: Node, patient: string, total: number | undefined, onNews: (log: Log) => void): void {
  const queries = useQueryClient();
  useEffect(() => {
    if (total === undefined) return undefined;
    const stop = new AbortController();
    void follow(node, patient, total, stop.signal, onNews);
    return () => stop.abort();
    // Each page begun anew begins a wait of its own; `onNews` is stable.
  }, [node, patient, total === undefined, queries, onNews]);
}

async function follow(node: Node, patient: string, begin: number, signal: AbortSignal, onNews: (log: Log) => void): Promise<void> {
  let known = begin;
  let pauseMs = FIRST_MS;
  while (!signal.aborted) {
    try {
      await whenSeen(signal);
      const head = await node.api<{ readonly accesses: number }>(`/charts/${encodeURIComponent(patient)}/head?after=*.${known}.*`, signal);
      if (head.accesses === known) continue;
      const log = await readLog(node, patient, null, signal);
      const news = joinLogs([log]).filter((entry) => entry.index >= known);
      pauseMs = news.some((entry) => kindOf(entry) !== "mine") ? FIRST_MS : Math.min(2 * pauseMs, LAST_MS);
      known = log.total;
      onNews(log);
      await pause(pauseMs, signal);
    } catch {
      // Offline, or the node is being restarted: the page that is shown stays, and is tried again later.
      pauseMs = Math.min(2 * pauseMs, LAST_MS);
      await pause(pauseMs, signal).catch(() => undefined);
    }
  }
}

/** Resolves once the page is seen: a page in the background asks for nothing. */
async function whenSeen(signal: AbortSignal): Promise<void> {
  if (document.visibilityState === "visible") return;
  await new Promise<void>((resolve, reject) => {
    document.addEventListener("visibilitychange", () => resolve(), { once: true, signal });
    signal.addEventListener("abort", () => reject(new DOMException("", "AbortError")), { once: true });
  });
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => { clearTimeout(timer); reject(new DOMException("", "AbortError")); }, { once: true });
  });
}
