import { Trans } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import type { FhirResource } from "fhir/r4";
import type { ReactElement } from "react";
import { Loading, Problem } from "../../components/states.tsx";
import { usePresent } from "../../lib/context.ts";
import type { Node } from "../../lib/node.ts";
import { dateOf, sayDate, sayTitle } from "../../lib/words.ts";
import { type Entry, typeOf } from "./log.ts";
import { recordsOf } from "./words.tsx";

const MOST = 60;

/** The records that were shown in a look, by their names, as they are now. Asked for only when somebody wants to know. */
export function Shown({ entries }: { readonly entries: readonly Entry[] }): ReactElement {
  const { node } = usePresent();
  const wanted = [...new Set(entries.flatMap((entry) => entry.resources))].slice(0, MOST);
  const query = useQuery({ queryKey: ["looked", "shown", wanted], queryFn: () => readAll(node, wanted) });
  if (query.isPending) return <Loading />;
  if (query.isError) return <Problem error={query.error} onRetry={() => void query.refetch()} />;
  const versions = entries.reduce((sum, entry) => sum + entry.versions, 0);
  return (
    <>
      <ul>
        {query.data.map((one) => (
          <li key={`${one.resourceType}/${one.id}`}>
            {sayTitle(one)} <span className="soft small">{[recordsOf(one.resourceType), sayDate(dateOf(one))].filter((part) => part !== "").join(" · ")}</span>
          </li>
        ))}
      </ul>
      {versions > query.data.length ? <p className="soft small"><Trans>The log names the first of each look only; the copy with proofs (“Download and print”) names all.</Trans></p> : null}
    </>
  );
}

async function readAll(node: Node, wanted: readonly string[]): Promise<readonly FhirResource[]> {
  const byType = new Map<string, string[]>();
  for (const reference of wanted) {
    const [, id] = reference.split("/");
    if (id !== undefined) byType.set(typeOf(reference), [...(byType.get(typeOf(reference)) ?? []), id]);
  }
  const searches = [...byType].map(([type, ids]) => {
    const parameters: readonly (readonly [string, string])[] = [["_id", ids.join(",")], ["_count", String(MOST)]];
    return { type, parameters };
  });
  return searches.length === 0 ? [] : (await node.searches(searches)).flatMap((page) => page.resources);
}
