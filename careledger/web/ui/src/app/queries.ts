import { QueryClient } from "@tanstack/react-query";
import { DAMAGED } from "../components/states.tsx";
import { Refusal } from "../lib/refusal.ts";

/**
 * Answers stay in memory only, and go with the page. A refusal is an answer, and so is a damaged store: it is not asked again.
 * Without a network a page says so, and what was to be written fails at once: the library's own way is to wait and to send it
 * when the network is back, when whoever pressed has long looked away, or has another patient before them.
 */
export function createQueries(): QueryClient {
  const retry = (count: number, error: Error): boolean => !(error instanceof Refusal && (error.status < 500 || error.code === DAMAGED)) && count < 2;
  return new QueryClient({
    defaultOptions: {
      queries: { retry, staleTime: 15_000, gcTime: 300_000, refetchOnWindowFocus: false, refetchOnReconnect: true, networkMode: "always" },
      mutations: { networkMode: "always" },
    },
  });
}
