import { useEffect } from "react";
import { follow, type OnChange } from "../../lib/live.ts";
import type { Node } from "../../lib/node.ts";
import { joinLogs, kindOf, type Log, readLog } from "./log.ts";

const FIRST_MS = 4_000;
const LAST_MS = 300_000;

/** News of the log while the page is seen: waits until the log has grown, then reads its newest page. */
export function useNews(node: Node, patient: string, total: number | undefined, onNews: (log: Log) => void): void {
  const isBegun = total !== undefined;
  useEffect(() => {
    if (total === undefined) return undefined;
    const stop = new AbortController();
    void follow(node, patient, ["accesses"], readNews(node, patient, total, onNews), stop.signal, { begin: { records: 0, accesses: total, height: 0 } });
    return () => stop.abort();
    // Each page begun anew begins a wait of its own; `onNews` is stable.
  }, [node, patient, isBegun, onNews]);
}

/**
 * Reads what is new. Reading the log is itself an entry of the log: so that two open pages do not wake each other for ever,
 * the pause doubles for as long as nothing but her own looks is new.
 */
export function readNews(node: Node, patient: string, begin: number, onNews: (log: Log) => void): OnChange {
  let known = begin;
  let pauseMs = FIRST_MS;
  return async (head, stop) => {
    const log = await readLog(node, patient, null, stop);
    const news = joinLogs([log]).filter((entry) => entry.index >= known);
    pauseMs = news.some((entry) => kindOf(entry) !== "mine") ? FIRST_MS : Math.min(2 * pauseMs, LAST_MS);
    known = log.total;
    onNews(log);
    return { head: { ...head, accesses: log.total }, pauseMs };
  };
}
