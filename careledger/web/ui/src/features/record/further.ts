import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { FhirResource } from "fhir/r4";
import { usePresent } from "../../lib/context.ts";
import type { Page } from "../../lib/node.ts";

/** A list that began with one page and is read on by whoever wants more. */
export interface Further {
  readonly resources: readonly FhirResource[];
  /** Visits and medicines that came along, by reference. */
  readonly visits: ReadonlyMap<string, FhirResource>;
  readonly hasMore: boolean;
  readonly isReading: boolean;
  readonly error: unknown;
  readonly read: () => void;
}

/** Further pages stay while the first is fetched anew; an entry that came twice is shown once, as it came first. */
export function useFurther(first: Page<FhirResource>): Further {
  const { node } = usePresent();
  const queries = useQueryClient();
  const [pages, setPages] = useState<readonly Page<FhirResource>[]>([]);
  const [isReading, setReading] = useState(false);
  const [error, setError] = useState<unknown>(undefined);
  const next = (pages.at(-1) ?? first).next;
  const read = (): void => {
    setReading(true);
    setError(undefined);
    queries
      .fetchQuery({ queryKey: ["chart-further", next], queryFn: () => node.more<FhirResource>(next), staleTime: 0, gcTime: 0 })
      .then((page) => setPages((before) => [...before, page]), setError)
      .finally(() => setReading(false));
  };
  const each = new Map<string, FhirResource>();
  for (const one of [first, ...pages].flatMap((page) => page.resources)) {
    const key = `${one.resourceType}/${one.id}`;
    if (!each.has(key)) each.set(key, one);
  }
  const visits = new Map([first, ...pages].flatMap((page) => page.included).map((one) => [`${one.resourceType}/${one.id}`, one]));
  return { resources: [...each.values()], visits, hasMore: next !== "", isReading, error, read };
}
