import { useQuery } from "@tanstack/react-query";
import type { FhirResource } from "fhir/r4";
import { usePresent } from "../../lib/context.ts";
import { parseDate } from "../../lib/words.ts";

const YOUNG_MS = 600_000;
const ASK_MS = 5_000;

/** When an entry was stored, in ms; 0 if it does not say. */
export function storedMs(entry: FhirResource): number {
  return parseDate(entry.meta?.lastUpdated)?.getTime() ?? 0;
}

/**
 * When the ledger's newest block was made, in ms: what was stored later is in no block yet. Asked only while there is an
 * entry of the last minutes; Infinity otherwise, and where the node does not say.
 */
export function useNewestBlock(entries: readonly FhirResource[]): number {
  const { node } = usePresent();
  const newest = Math.max(0, ...entries.map(storedMs));
  const isYoung = Date.now() - newest < YOUNG_MS;
  const asked = useQuery({
    queryKey: ["network", "newest-block"],
    queryFn: () => node.api<{ readonly time_ms: number }>("/network"),
    enabled: isYoung,
    retry: false,
    refetchInterval: (query) => ((query.state.data?.time_ms ?? Infinity) < newest ? ASK_MS : false),
  });
  return asked.data?.time_ms ?? Infinity;
}
