import { Trans, useLingui } from "@lingui/react/macro";
import { useMutation } from "@tanstack/react-query";
import type { MedicationRequest } from "fhir/r4";
import { lazy, type ReactElement, Suspense, useState } from "react";
import { Problem } from "../../components/states.tsx";
import { sayDosage } from "../../lib/dosage.ts";
import type { Node, Page } from "../../lib/node.ts";
import { joinWords, nameMedicines, sayConcept, sayDate, sayForbidden, sayLimit, sayMedicine, sayStatus } from "../../lib/words.ts";
import { useKeys } from "./keys.ts";
import { Further } from "./lists.tsx";
import { Earlier, Line, Nothing, type Opener, Part } from "./parts.tsx";
import { join, readPast } from "./reading.ts";

const Prescribe = lazy(async () => ({ default: (await import("./prescribe.tsx")).Prescribe }));

/** What may be done with a prescription. */
export type Act = "stop" | "dose" | "renew" | "new";

/** An act that was begun, on a prescription (a new one has none). */
export interface Begun {
  readonly act: Act;
  readonly request: MedicationRequest | undefined;
}

interface Props {
  readonly page: Page<MedicationRequest>;
  readonly node: Node;
  readonly patient: string;
  readonly allergies: string;
  readonly onOpen: Opener;
}

/** What is taken now, each with its acts: one press opens the form, one more signs. What ended, on demand. */
export function Medicines({ page, node, patient, allergies, onOpen }: Props): ReactElement {
  const [begun, setBegun] = useState<Begun>();
  const [past, setPast] = useState<Page<MedicationRequest>>();
  const fetching = useMutation({
    mutationFn: async () => (past === undefined ? await readPast<MedicationRequest>(node, patient, "medicines") : join(past, await node.more<MedicationRequest>(past.next))),
    onSuccess: setPast,
  });
  const focused = (): MedicationRequest | undefined => {
    const id = document.activeElement?.closest<HTMLElement>("[data-medicine]")?.dataset["medicine"];
    return page.resources.find((one) => one.id === id);
  };
  const act = (name: Act) => (): void => {
    const request = focused();
    if (request !== undefined) setBegun({ act: name, request });
  };
  useKeys({ n: () => setBegun({ act: "new", request: undefined }), s: act("stop"), d: act("dose"), r: act("renew") });
  const names = nameMedicines([...page.included, ...(past?.included ?? [])]);
  return (
    <Part title={<Trans>Medicines ({page.total ?? page.resources.length})</Trans>} more={<button type="button" className="act strong" onClick={() => setBegun({ act: "new", request: undefined })}><Trans>New medicine</Trans></button>}>
      {page.resources.length === 0 ? <Nothing><Trans>No medicine is prescribed now.</Trans></Nothing> : (
        <ul>{page.resources.map((one) => <li key={one.id}><Medicine request={one} names={names} onOpen={onOpen} onAct={(name) => setBegun({ act: name, request: one })} /></li>)}</ul>
      )}
      <Further name="medicines" page={page} node={node} patient={patient} />
      {past === undefined ? null : <><h3 className="small soft">&ensp;<Trans>Ended</Trans></h3><ul>{past.resources.map((one) => <li key={one.id}><Medicine request={one} names={names} onOpen={onOpen} onAct={(name) => setBegun({ act: name, request: one })} /></li>)}</ul></>}
      {past !== undefined && past.resources.length === 0 ? <Nothing><Trans>Nothing earlier is on record.</Trans></Nothing> : null}
      {past === undefined || past.next !== "" ? <Earlier onPress={() => fetching.mutate()} isBusy={fetching.isPending}><Trans>Medicines that ended</Trans></Earlier> : null}
      {fetching.isError ? <Problem error={fetching.error} /> : null}
      {begun === undefined ? null : <Suspense fallback={null}><Prescribe begun={begun} node={node} patient={patient} allergies={allergies} names={names} onClose={() => setBegun(undefined)} /></Suspense>}
    </Part>
  );
}

/** The medicine of a prescription, in words: first of all whether it must not be given. */
export function nameMedicine(request: MedicationRequest, names: ReadonlyMap<string, string>): string {
  return sayForbidden(request, sayMedicine(request, names));
}

function Medicine({ request, names, onOpen, onAct }: { readonly request: MedicationRequest; readonly names: ReadonlyMap<string, string>; readonly onOpen: Opener; readonly onAct: (act: Act) => void }): ReactElement {
  const { t } = useLingui();
  const name = nameMedicine(request, names);
  const end = request.dispenseRequest?.validityPeriod?.end;
  const more = joinWords([sayLimit(request), sayDosage(request.dosageInstruction), request.requester?.display, end === undefined ? "" : t`until ${sayDate(end)}`, request.status === "active" ? "" : joinWords([sayStatus(request.status), sayConcept(request.statusReason)], ": ")], " · ");
  const isCurrent = request.status === "active" || request.status === "on-hold";
  return (
    <div className="medicine" data-medicine={request.id}>
      <Line what={name} when={sayDate(request.authoredOn)} more={more} onOpen={() => onOpen(request)} />
      <div className="acts">
        {isCurrent ? <button type="button" className="act" aria-label={t`Stop ${name}`} onClick={() => onAct("stop")}><Trans>Stop</Trans></button> : null}
        {isCurrent ? <button type="button" className="act" aria-label={t`Change the dose of ${name}`} onClick={() => onAct("dose")}><Trans>Dose</Trans></button> : null}
        {request.status === "entered-in-error" ? null : <button type="button" className="act" aria-label={t`Renew ${name}`} onClick={() => onAct("renew")}><Trans>Renew</Trans></button>}
      </div>
    </div>
  );
}
