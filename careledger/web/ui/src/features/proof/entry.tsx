import { Trans } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { useRouterState } from "@tanstack/react-router";
import type { FhirResource } from "fhir/r4";
import type { ReactElement } from "react";
import { Loading, Problem } from "../../components/states.tsx";
import { patientOf, usePresent } from "../../lib/context.ts";
import { splitReference } from "../../lib/history.ts";
import type { Node } from "../../lib/node.ts";
import type { ReceiptFacts } from "../../lib/proof/index.ts";
import { dateOf, joinWords, sayCount, sayDate, sayKind, sayTime, sayTitle } from "../../lib/words.ts";
import { cosignedBy } from "./cosigned.ts";
import { nameOf, readKept } from "./keeping.ts";
import { Raw, ReceiptFactsList, Refused, Sentence } from "./verdict.tsx";
import { type Found, verify } from "./verifier.ts";

/** The entry from which somebody came here, checked at once: its receipt, and its content byte for byte. Nothing without one. */
export function EntryProof(): ReactElement | null {
  const opened = splitReference(useRouterState({ select: (state) => state.location.state.entry }));
  return opened === undefined ? null : <One key={opened.join("/")} type={opened[0]} id={opened[1]} />;
}

interface Checked {
  readonly entry: FhirResource;
  readonly found: Found<ReceiptFacts>;
}

/** What this device trusts of the patient's own record already; else the ledger's newest word. */
async function trustOf(node: Node, patient: string): Promise<Uint8Array<ArrayBuffer>> {
  const kept = patient === "" ? undefined : await readKept(await nameOf(patient));
  return kept?.trust ?? (await node.file("/checkpoint"));
}

/** The trust file first: what is fetched after it must agree with it. Throws Refusal, Unreachable. */
async function check(node: Node, patient: string, type: string, id: string): Promise<Checked> {
  const trust = await trustOf(node, patient);
  const body = new Uint8Array(await (await node.send(`/fhir/${type}/${encodeURIComponent(id)}`)).arrayBuffer());
  const entry = JSON.parse(new TextDecoder().decode(body)) as FhirResource;
  const file = await node.file(`/receipts/${type}/${encodeURIComponent(id)}/_history/${entry.meta?.versionId ?? "1"}${cosignedBy(trust)}`);
  return { entry, found: await verify<ReceiptFacts>({ kind: "receipt", files: { file, trust, body } }) };
}

function One({ type, id }: { readonly type: string; readonly id: string }): ReactElement {
  const { node, session } = usePresent();
  const patient = patientOf(session);
  const checked = useQuery({ queryKey: ["proof", "entry", type, id], queryFn: () => check(node, patient, type, id), gcTime: 0, staleTime: 0 });
  return (
    <section className="card stack">
      <h2><Trans>The entry you came from</Trans></h2>
      {checked.isPending ? <Loading /> : null}
      {checked.isError ? <Problem error={checked.error} onRetry={() => void checked.refetch()} /> : null}
      {checked.data === undefined ? null : <Outcome checked={checked.data} />}
    </section>
  );
}

function Outcome({ checked: { entry, found } }: { readonly checked: Checked }): ReactElement {
  const { verdict, tookMs } = found;
  return (
    <>
      <p><span className="strong">{sayTitle(entry)}</span> <span className="soft small">{joinWords([sayKind(entry.resourceType), sayDate(dateOf(entry))], " · ")}</span></p>
      {verdict.ok ? <Sentence isGood><Trans>Genuine: what you see is, letter by letter, what was recorded on {sayTime(verdict.time, "long")}.</Trans></Sentence> : <Refused refusal={verdict} />}
      <details>
        <summary><Trans>Details</Trans></summary>
        {verdict.ok ? <ReceiptFactsList facts={verdict} /> : <p className="small mono">{verdict.code}: {verdict.sentence}</p>}
        <p className="small soft"><Trans>Checked here in {sayCount(Math.round(tookMs))} ms.</Trans></p>
        <Raw value={verdict} />
      </details>
    </>
  );
}
