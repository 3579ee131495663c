import { Trans, useLingui } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { type ReactElement, type ReactNode, useState } from "react";
import { Problem } from "../../components/states.tsx";
import { patientOf, usePresent } from "../../lib/context.ts";
import { sayCount } from "../../lib/words.ts";
import { CareReceipt } from "./care-receipt.tsx";
import { save } from "./saving.ts";
import { Refusal } from "../../lib/refusal.ts";
import { explain, NAMES, NOT_PREPARED, type Part, SEALED_NAME, take, takeSealed } from "./taking.ts";
import { pack } from "./zip.ts";
import "./proof.css";

/** Everything to take home, with its proofs; and a sheet of entries to print. */
export function Page(): ReactElement {
  const { t } = useLingui();
  const { node, session, house } = usePresent();
  const patient = patientOf(session);
  const lines = [
    `${NAMES.record}: ${t`the whole record, every entry and version, with its proofs`}`,
    `${NAMES.looks}: ${t`the log of who looked, with its proofs`}`,
    `${NAMES.trust}: ${t`the trust file: which ledger this is, and how far it was`}`,
    `${NAMES.fhir}: ${t`the same record in the form that other health programs read (FHIR R4)`}`,
    t`To check: choose these files on the page “Proof” of any CareLedger, or: careledger verify ${NAMES.record} --trust ${NAMES.trust}`,
  ];
  const all = async (onCount: (count: number) => void): Promise<void> => {
    const trust = await take(node, patient, "trust");
    const files = [{ name: NAMES.trust as string, data: trust }];
    for (const part of (Object.keys(NAMES) as Part[]).filter((one) => one !== "trust")) files.push({ name: NAMES[part], data: await take(node, patient, part, onCount, trust) });
    save("careledger.zip", pack([...files, { name: "README.txt", data: explain(house.name, lines) }]), "application/zip");
  };
  const one = (part: Part) => async (onCount: (count: number) => void): Promise<void> => save(NAMES[part], await take(node, patient, part, onCount));
  const sealed = async (): Promise<void> => save(SEALED_NAME, await takeSealed(node, patient), "application/octet-stream");
  return (
    <div className="proof">
      <div className="no-print">
        <h1><Trans>Download and print</Trans></h1>
        <p className="soft narrow"><Trans>It is your record: take it with you whenever you like. These files hold everything in it: keep them where nobody else reads them.</Trans></p>
      </div>
      <section className="card stack no-print">
        <h2><Trans>Everything at once</Trans></h2>
        <Take act={all} isMain name={t`Download everything`}><Trans>One archive (ZIP) with all files below and a page that explains them.</Trans></Take>
        <h2><Trans>Everything, sealed</Trans></h2>
        <Take act={sealed} name={t`Download a sealed copy`}><Trans>One file that only your passkey or its printed code opens, on the page “Proof”, offline too: keep it wherever you like. Take the trust file along.</Trans></Take>
        <h2><Trans>Or one by one</Trans></h2>
        <Take act={one("trust")} name={t`The trust file`}><Trans>Which ledger is meant, and how far it was today: take it first, what comes afterwards is checked against it. It holds nothing about you: give it to somebody independent to keep.</Trans></Take>
        <Take act={one("record")} name={t`The whole record, with proofs`}><Trans>Every entry and version, sealed together: whoever gets this file can check that nothing is missing.</Trans></Take>
        <Take act={one("looks")} name={t`Who looked, with proofs`}><Trans>The log of every look, without the record itself.</Trans></Take>
        <Take act={one("fhir")} name={t`For another health program`}><Trans>The record in the common form (FHIR R4), without proofs.</Trans></Take>
      </section>
      <CareReceipt />
    </div>
  );
}

interface TakeProps {
  readonly act: (onCount: (count: number) => void) => Promise<void>;
  readonly name: string;
  readonly isMain?: boolean;
  readonly children: ReactNode;
}

/** A button that takes a file, with what it is; says how far it has come, and why it did not work. */
function Take({ act, name, isMain = false, children }: TakeProps): ReactElement {
  const [state, setState] = useState<"" | "busy" | "done">("");
  const [count, setCount] = useState(0);
  const [error, setError] = useState<unknown>();
  const run = async (): Promise<void> => {
    setState("busy");
    setError(undefined);
    setCount(0);
    try {
      await act(setCount);
      setState("done");
    } catch (failed) {
      setError(failed);
      setState("");
    }
  };
  return (
    <div>
      <p className="row"><Button variant={isMain ? "filled" : "light"} loading={state === "busy"} onClick={() => void run()}>{name}</Button></p>
      <p className="soft small">{children}</p>
      <p role="status" className="small">{state === "busy" && count > 0 ? <Trans>{sayCount(count)} entries so far…</Trans> : state === "done" ? <Trans>Saved to your downloads.</Trans> : null}</p>
      {error === undefined ? null : error instanceof Refusal && error.code === NOT_PREPARED ? (
        <p role="alert" className="notice warn"><Trans>First make sealed copies possible: <a href="/me#decisions">My account</a>, “A key of your own”. It takes one touch and the printed code; again after something was erased from the record.</Trans></p>
      ) : <Problem error={error} onRetry={() => void run()} />}
    </div>
  );
}
