import { Trans, useLingui } from "@lingui/react/macro";
import { Link, useNavigate } from "@tanstack/react-router";
import { type ReactElement, useState } from "react";
import { usePresent } from "../../lib/context.ts";
import { wish } from "../../lib/wish.ts";
import { grantee, type Look } from "./log.ts";
import { houseOf, Person, purposeOf, timeOf } from "./words.tsx";

/** What somebody can do who thinks that a look should not have been: stop it from now on, and complain with proof. */
export function Complaint({ look }: { readonly look: Look }): ReactElement {
  const { house } = usePresent();
  const [isOpen, setOpen] = useState(false);
  const { t } = useLingui();
  const numbers = look.entries.map((entry) => entry.index);
  const range = numbers.length === 1 ? `${numbers[0]}` : `${Math.min(...numbers)}–${Math.max(...numbers)}`;
  const who = look.first.who.name === "" ? look.first.who.id : look.first.who.name;
  const when = timeOf(look.toMs, true);
  const purpose = purposeOf(look.first.purpose);
  const letter = t`I ask you to examine an access to my health record and to tell me, in writing, why it was necessary.
Who: ${who}, ${houseOf(look.first)}
When: ${when}
Purpose given: ${purpose}
Entries of the access log: ${range}
I hold a copy of this log with its cryptographic proof.`;
  if (!isOpen) {
    return (
      <p className="row">
        <button type="button" className="quiet-button bordered" onClick={() => setOpen(true)}><Trans>This should not have been</Trans></button>
        <Stop look={look} />
      </p>
    );
  }
  return (
    <section className="notice stack">
      <h3><Trans>If this should not have been</Trans></h3>
      <ol>
        <li><Trans>Stop it from now on.</Trans> <Stop look={look} /></li>
        <li><Trans>Keep the proof: <Link to="/app/download">download the log of who looked</Link>. Nobody can change it afterwards, neither you nor the house.</Trans></li>
        <li><Trans>Write to {house.name}: whoever is responsible for privacy there must answer you. A text to begin with:</Trans></li>
      </ol>
      <textarea readOnly rows={7} value={letter} aria-label={t`Text of a complaint`} />
      <Copy text={letter} />
      <p className="small"><Trans>No answer, or not a good one? In the United States the Office for Civil Rights takes complaints (HIPAA), in the European Union the data protection authority of your country.</Trans></p>
    </section>
  );
}

function Copy({ text }: { readonly text: string }): ReactElement {
  const [state, setState] = useState<"" | "done" | "failed">("");
  const copy = (): void => void navigator.clipboard.writeText(text).then(() => setState("done"), () => setState("failed"));
  return (
    <p className="row">
      <button type="button" className="quiet-button bordered" onClick={copy}><Trans>Copy the text</Trans></button>
      <span role="status">{state === "done" ? <Trans>Copied.</Trans> : state === "failed" ? <Trans>This browser does not let us: mark the text and copy it.</Trans> : null}</span>
    </p>
  );
}

/** One tap to the page that decides, with this person filled in. */
function Stop({ look }: { readonly look: Look }): ReactElement | null {
  const navigate = useNavigate();
  const named = grantee(look.first);
  if (named === undefined) return null;
  const stop = (): void => {
    wish({ effect: "deny", ...named, name: named.kind === "organisation" ? houseOf(look.first) : look.first.who.name });
    void navigate({ to: "/app/grants" });
  };
  return (
    <button type="button" className="quiet-button bordered" onClick={stop}>
      {named.kind === "organisation" ? <Trans>Refuse everybody of {houseOf(look.first)}</Trans> : <Trans>Stop <Person entry={look.first} /></Trans>}
    </button>
  );
}
