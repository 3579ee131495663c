import { Trans, useLingui } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { type ReactElement, useState } from "react";
import { usePresent } from "../../lib/context.ts";
import { Changes } from "./change.tsx";
import { type Decision, readGrantee, type Standing, standingOf } from "./decisions.ts";
import { callerOf, compareWithdrawal } from "./effects.ts";
import { Failure } from "./failure.tsx";
import { withdraw, withdrawByCode } from "./signing.ts";
import { longDate, nameOf, Sentence, STANDINGS } from "./words.tsx";

interface Props {
  readonly one: Decision;
  readonly all: readonly Decision[];
  readonly patient: string;
  readonly house: string;
  /** "" where no passkey of hers can sign. */
  readonly credential: string;
  readonly today: number;
  readonly onDone: () => void;
  readonly onReplace: (one: Decision) => void;
}

const TONES: Readonly<Record<Standing, string>> = { holds: "good", later: "good", over: "", replaced: "", withdrawn: "", unbound: "bad" };

/** One decision in words; what was signed, word for word; one tap to withdraw it. */
export function DecisionCard(props: Props): ReactElement {
  const { one, all, today } = props;
  const { i18n } = useLingui();
  const standing = standingOf(one, all, today);
  const isOpen = standing === "holds" || standing === "later";
  return (
    <li className="card stack">
      <p className="row apart"><span><Sentence one={one} /></span> <span className={`tag ${TONES[standing]}`}>{i18n._(STANDINGS[standing])}</span></p>
      <p className="soft small"><Trans>Decided on {longDate(one.granted.slice(0, 10))}; it begins on {longDate(one.from)}.</Trans></p>
      {isOpen ? <Withdraw {...props} /> : null}
      <details>
        <summary><Trans>What was signed, word for word</Trans></summary>
        {one.shown === undefined || one.shown === "" ? <p className="small"><Trans>Signed with a key file, without lines for reading; the sentence above says the same.</Trans></p> : <pre className="signed" lang={one.language}>{one.shown}</pre>}
        <p className="small soft"><Trans>Number of the decision:</Trans> <span className="mono">{one.id}</span></p>
      </details>
    </li>
  );
}

function Withdraw({ one, all, patient, house, credential, today, onDone, onReplace }: Props): ReactElement {
  const { node } = usePresent();
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const [code, setCode] = useState("");
  const run = async (act: () => Promise<void>): Promise<void> => {
    setBusy(true);
    setError(undefined);
    try {
      await act();
      onDone();
    } catch (failed) {
      setError(failed);
      setBusy(false);
    }
  };
  const grantee = readGrantee(one.grantees[0] ?? "");
  const changes = grantee === undefined ? [] : compareWithdrawal(all, one, callerOf(grantee, house), ["TREAT", "HPAYMT", "HOPERAT"], today);
  return (
    <>
      <p className="row">
        {credential === "" ? null : <Button color="red" variant="light" loading={isBusy} onClick={() => void run(() => withdraw(node, patient, one.id, credential))}><Trans>Withdraw</Trans></Button>}
        {credential === "" || grantee === undefined || grantee.kind === "client" ? null : <Button variant="subtle" onClick={() => onReplace(one)}><Trans>Change</Trans></Button>}
      </p>
      {error === undefined ? null : <Failure error={error} />}
      <details open={credential === ""}>
        <summary><Trans>What withdrawing changes; with the printed code</Trans></summary>
        {grantee === undefined ? null : grantee.kind === "client" ? <p className="small"><Trans>This program's access ends at once, and it has to ask you anew.</Trans></p> : <Changes who={nameOf(grantee, one.names ?? {})} changes={changes} />}
        <form className="row" onSubmit={(event) => { event.preventDefault(); void run(() => withdrawByCode(node, patient, one.id, code)); }}>
          <label className="field grow"><Trans>Code that was printed when it was signed</Trans>
            <input value={code} autoComplete="off" spellCheck={false} onChange={(event) => setCode(event.target.value)} />
          </label>
          <Button type="submit" variant="light" disabled={code.trim() === ""} loading={isBusy}><Trans>Withdraw by code</Trans></Button>
        </form>
      </details>
    </>
  );
}
