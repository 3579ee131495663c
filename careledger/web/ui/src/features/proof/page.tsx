import { Trans } from "@lingui/react/macro";
import type { ReactElement } from "react";
import { patientOf, useMaybePresent } from "../../lib/context.ts";
import { EntryProof } from "./entry.tsx";
import { Files } from "./files.tsx";
import { OwnRecord } from "./own.tsx";
import "./proof.css";

/** The browser itself verifies: a patient's own record in one click, and anybody's proof files, offline too. */
export function Page(): ReactElement {
  const present = useMaybePresent();
  const hasRecord = present !== null && patientOf(present.session) !== "";
  return (
    <div className="proof">
      <div>
        <h1><Trans>Proof</Trans></h1>
        <p className="soft narrow"><Trans>You need not believe the house, nor this page's green lights: what is checked here is checked by your own device, with public rules that other programs check too.</Trans></p>
      </div>
      {present === null ? null : <EntryProof />}
      {hasRecord ? <OwnRecord /> : null}
      <Files />
      <section>
        <h2><Trans>What a proof shows, and what it does not</Trans></h2>
        <ul>
          <li><Trans>It shows that an entry stood in the record at that time, who entered it, and that nothing was changed, added in between or taken away since.</Trans></li>
          <li><Trans>It does not show that what somebody wrote is true, nor what nobody ever wrote down.</Trans></li>
          <li><Trans>The page itself comes from the house. Who distrusts that too uses the separate verifier (<span className="mono">careledger verify</span>, <span className="mono">verifier/verify.py</span>) with the same files.</Trans></li>
        </ul>
      </section>
    </div>
  );
}
