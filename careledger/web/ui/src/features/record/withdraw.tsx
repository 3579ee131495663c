import { Trans } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import type { FhirResource } from "fhir/r4";
import { type ReactElement, useState } from "react";
import { Problem } from "../../components/states.tsx";
import { usePresent } from "../../lib/context.ts";
import { statusOf } from "../../lib/words.ts";
import { markMistaken } from "./statements.ts";

/** The patient's own entry may be taken back: it is marked as a mistake, and stays readable as one. Asked twice. */
export function Withdraw({ entry, patient }: { readonly entry: FhirResource; readonly patient: string }): ReactElement | null {
  const { node } = usePresent();
  const queries = useQueryClient();
  const [isAsked, setAsked] = useState(false);
  const marked = markMistaken(entry);
  const act = useMutation({
    mutationFn: (resource: FhirResource) => node.update(resource),
    onSuccess: () => void queries.invalidateQueries({ queryKey: ["chart", patient] }),
  });
  if (marked === undefined || statusOf(entry) === "entered-in-error") return null;
  if (act.isError) return <Problem error={act.error} onRetry={() => act.mutate(marked)} />;
  if (!isAsked) return <Button variant="default" onClick={() => setAsked(true)}><Trans>Take it back</Trans></Button>;
  return (
    <div className="notice warn" role="alert">
      <p><Trans>It will be marked as entered by mistake. It stays readable as that.</Trans></p>
      <div className="row">
        <Button loading={act.isPending} onClick={() => act.mutate(marked)}><Trans>Mark it as a mistake</Trans></Button>
        <Button variant="default" onClick={() => setAsked(false)}><Trans>Leave it</Trans></Button>
      </div>
    </div>
  );
}
