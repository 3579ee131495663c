import { Trans, useLingui } from "@lingui/react/macro";
import { type ReactElement, useState } from "react";
import { CLIENT } from "../../lib/oauth.ts";
import { AccountNews } from "./account.tsx";
import { Complaint } from "./complaint.tsx";
import { type Entry, type Look, seenIn, typeOf } from "./log.ts";
import { Shown } from "./seen.tsx";
import { actionOf, Amount, Authority, houseOf, Marks, Person, purposeOf, recordsOf, timeOf } from "./words.tsx";

/** One sitting of one person: who, when, why, by what right, and how much; the single entries behind a fold. Or news of her account. */
export function LookCard({ look }: { readonly look: Look }): ReactElement {
  if (look.kind === "account") return <AccountCard look={look} />;
  return <SittingCard look={look} />;
}

/** What happened to the account that opens the record: nothing of the record was shown, but whoever holds it may look. */
function AccountCard({ look }: { readonly look: Look }): ReactElement {
  return (
    <li className="look account">
      <p className="row apart"><span className="strong"><Person entry={look.first} /></span><span className="tag"><Trans>account</Trans></span></p>
      <p><Span look={look} /> · <AccountNews line={look.first.what} /></p>
      <p className="soft small"><Trans>Nothing of your record was shown. Entry no. {look.first.index} of the log.</Trans></p>
    </li>
  );
}

function SittingCard({ look }: { readonly look: Look }): ReactElement {
  const { first } = look;
  const reason = look.entries.find((entry) => entry.reason !== "")?.reason ?? "";
  const [isOpen, setOpen] = useState(false);
  return (
    <li className={`look ${look.kind}`}>
      <p className="row apart">
        <span><span className="strong"><Person entry={first} /></span> {look.kind === "mine" ? null : <span className="soft">· {houseOf(first)}</span>}</span>
        <Marks look={look} />
      </p>
      <p>
        <Span look={look} /> · <Trans>for {purposeOf(first.purpose)}</Trans>
        {first.client === "" || first.client === CLIENT || look.kind === "house" ? null : <span className="soft"> · <Trans>with the program “{first.client}”</Trans></span>}
      </p>
      {reason === "" ? null : <p><Trans>Reason given: “{reason}”</Trans></p>}
      <p><Amount seen={seenIn(look.entries)} /></p>
      <p className="soft small"><Authority entry={first} /></p>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary><Trans>Step by step, and what to do</Trans></summary>
        {isOpen ? <Steps look={look} /> : null}
      </details>
    </li>
  );
}

function Span({ look }: { readonly look: Look }): ReactElement {
  const [from, to] = [timeOf(look.fromMs, false), timeOf(look.toMs, false)];
  return <>{from === to ? <time>{to}</time> : <><time>{from}</time> – <time>{to}</time></>}</>;
}

/** What says by itself what it was about. */
const TOLD: ReadonlySet<string> = new Set(["audit", "consents", "copy-key", "everything", "export", "watch"]);

function Steps({ look }: { readonly look: Look }): ReactElement {
  const { t, i18n } = useLingui();
  const [isNamed, setNamed] = useState(false);
  const hasNames = look.entries.some((entry) => entry.resources.length > 0);
  const say = (entry: Entry): string => {
    const action = actionOf(entry);
    const type = TOLD.has(entry.action) ? "" : typeOf(entry.what);
    return [typeof action === "string" ? action : i18n._(action), type === "" ? "" : recordsOf(type)].filter((part) => part !== "").join(": ");
  };
  return (
    <div className="stack">
      <div className="scroll" tabIndex={0} role="group" aria-label={t`Single entries`}>
        <table className="plain small">
          <caption className="unseen"><Trans>Single entries</Trans></caption>
          <thead><tr><th scope="col"><Trans>When</Trans></th><th scope="col"><Trans>What was done</Trans></th><th scope="col"><Trans>Shown</Trans></th><th scope="col"><Trans>No.</Trans></th></tr></thead>
          <tbody>
            {look.entries.map((entry) => (
              <tr key={entry.index}><td>{timeOf(entry.time_ms, false)}</td><td>{say(entry)}</td><td>{entry.versions}</td><td>{entry.index}</td></tr>
            ))}
          </tbody>
        </table>
      </div>
      {isNamed ? <Shown entries={look.entries} /> : null}
      {hasNames && !isNamed ? <p><button type="button" className="quiet-button bordered" onClick={() => setNamed(true)}><Trans>Which records were these?</Trans></button></p> : null}
      {look.kind === "mine" ? null : <Complaint look={look} />}
    </div>
  );
}
