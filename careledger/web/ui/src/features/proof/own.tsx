import { Plural, Trans } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { type ReactElement, useEffect, useState } from "react";
import { DAMAGED, Problem } from "../../components/states.tsx";
import { patientOf, usePresent } from "../../lib/context.ts";
import { Refusal } from "../../lib/refusal.ts";
import { sayCount, sayTime } from "../../lib/words.ts";
import { type Checked, checkNow, type Step } from "./checking.ts";
import { forget, type Kept, nameOf, readKept } from "./keeping.ts";
import { Offline } from "./offline.tsx";
import { save } from "./saving.ts";
import { ExportFactsList, Raw, Refused, Sentence } from "./verdict.tsx";

type State =
  | { readonly name: "idle" }
  | { readonly name: "busy"; readonly step: Step }
  | { readonly name: "failed"; readonly error: unknown }
  | { readonly name: "done"; readonly checked: Checked };

/** One button: is my record complete, unchanged, and the same past as when this device last looked? */
export function OwnRecord(): ReactElement {
  const { node, session } = usePresent();
  const patient = patientOf(session);
  const [state, setState] = useState<State>({ name: "idle" });
  const [kept, setKept] = useState<Kept>();
  const [wantsCopy, setWantsCopy] = useState(false);
  useEffect(() => {
    void nameOf(patient).then(readKept).then((found) => {
      setKept(found);
      setWantsCopy(found?.export !== undefined);
    });
  }, [patient, state.name]);
  const check = async (): Promise<void> => {
    try {
      const checked = await checkNow(node, patient, wantsCopy, (step) => setState({ name: "busy", step }));
      setState({ name: "done", checked });
    } catch (error) {
      setState({ name: "failed", error });
    }
  };
  return (
    <section className="card stack">
      <h2><Trans>My record</Trans></h2>
      <p>{kept === undefined ? <Trans>This device has not looked yet. From the first check on it remembers how the record stood.</Trans> : <Trans>This device looked last on {sayTime(kept.checkedMs, "long")}: {sayCount(kept.heads.record.size)} entries, {sayCount(kept.heads.access.size)} looks.</Trans>}</p>
      <p className="row">
        <Button size="md" loading={state.name === "busy"} onClick={() => void check()}><Trans>Check my record now</Trans></Button>
        <label className="row small"><input type="checkbox" checked={wantsCopy} onChange={(event) => setWantsCopy(event.target.checked)} /> <Trans>Keep a sealed copy on this device, to check without a network</Trans></label>
      </p>
      <p role="status" className="soft small">{state.name === "busy" ? <Doing step={state.step} /> : null}</p>
      {state.name === "failed" ? <Failed error={state.error} onRetry={() => void check()} /> : null}
      {state.name === "done" ? <Outcome checked={state.checked} /> : null}
      {kept?.export === undefined ? null : <Offline patient={patient} kept={kept} />}
      {kept === undefined ? null : <Forget patient={patient} onDone={() => { setKept(undefined); setState({ name: "idle" }); }} />}
    </section>
  );
}

function Doing({ step }: { readonly step: Step }): ReactElement {
  if (step === "asking") return <Trans>Looking at what this device remembers…</Trans>;
  return step === "fetching" ? <Trans>Fetching the whole record with its proofs…</Trans> : <Trans>Your browser is checking every entry…</Trans>;
}

/** Not reached, or not given: that is neither green nor a proof of a fault. A house that says that its store is damaged is red. */
function Failed({ error, onRetry }: { readonly error: unknown; readonly onRetry: () => void }): ReactElement {
  return (
    <>
      {error instanceof Refusal && error.code === DAMAGED ? <Refused refusal={{ ok: false, code: "withheld", sentence: "" }} isOwn /> : <Problem error={error} onRetry={onRetry} />}
      <p className="small"><Trans>The record could not be fetched whole, so nothing is confirmed. If that goes on, ask the house why: it must be able to give it.</Trans></p>
    </>
  );
}

function Outcome({ checked }: { readonly checked: Checked }): ReactElement {
  const { verdict, beforeMs, tookMs } = checked;
  if (!verdict.ok) {
    return (
      <>
        <Refused refusal={verdict} isOwn />
        <p><Trans>What this device remembered is kept. Keep the evidence as well, and show it to somebody who understands it.</Trans></p>
        <p className="row">
          <Button variant="light" onClick={() => save("careledger-record.json", checked.file)}><Trans>Save the record that was refused</Trans></Button>
          <Button variant="light" onClick={() => save("careledger-trust.json", checked.trust)}><Trans>Save what was trusted</Trans></Button>
        </p>
        <p className="small mono">{verdict.code}: {verdict.sentence}</p>
        <Raw value={verdict} />
      </>
    );
  }
  return (
    <>
      <Sentence isGood>
        {beforeMs === undefined ? (
          <Plural value={verdict.entryCount} one="Your record is complete and unaltered: its one entry is there." other="Your record is complete and unaltered: all # entries are there, and every look at it is listed." />
        ) : (
          <Trans>Your record is complete: all {sayCount(verdict.entryCount)} entries are there, and nothing was changed or removed since {sayTime(beforeMs, "long")}.</Trans>
        )}
      </Sentence>
      {checked.isKept ? null : <p className="small"><Trans>This browser keeps nothing (a private window?): the next check begins anew.</Trans></p>}
      <details>
        <summary><Trans>What was checked</Trans></summary>
        <ExportFactsList facts={verdict} />
        <p className="small"><Trans>Your browser did this itself, in {sayCount(Math.round(tookMs))} ms: it computed the fingerprint of every entry, checked that they make the one the ledger holds, that the ledger continues the past that this device trusts, and that every look was allowed.</Trans></p>
        {beforeMs === undefined ? <p className="small"><Trans>The first time, the device had to believe the house which ledger is the right one. To be surer, compare with a trust file that you got from somebody else (below).</Trans></p> : null}
        <p className="small"><Link to="/app/looked"><Trans>Who looked</Trans></Link> · <Link to="/app/download"><Trans>Download all of it</Trans></Link></p>
        <Raw value={verdict} />
      </details>
    </>
  );
}

function Forget({ patient, onDone }: { readonly patient: string; readonly onDone: () => void }): ReactElement {
  return (
    <details>
      <summary><Trans>What this device keeps</Trans></summary>
      <p className="small"><Trans>Sizes and fingerprints of your record, and the ledger's public keys: nothing of what is in it. The copy, if you wanted one, is sealed by a key that this browser gives out to nobody. On a device that others use, forget it all.</Trans></p>
      <p><Button variant="light" onClick={() => void nameOf(patient).then(forget).then(onDone)}><Trans>Forget it on this device</Trans></Button></p>
    </details>
  );
}
