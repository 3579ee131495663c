import { Trans } from "@lingui/react/macro";
import type { ReactElement } from "react";

/** Where an administrator begins. The pages themselves are the house's: they work without this application. */
export function Page(): ReactElement {
  return (
    <section className="narrow">
      <h1><Trans>Administration</Trans></h1>
      <p><Trans>Who administers the house reads no record. Dangerous acts need two people.</Trans></p>
      <div className="cards">
        <section className="card"><h2><Trans>People and invitations</Trans></h2><p><Trans>Invite, disable, and approve what another administrator asks for.</Trans></p><p><a href="/desk"><Trans>Open the desk</Trans></a></p></section>
        <section className="card"><h2><Trans>The house's log</Trans></h2><p><Trans>Sign-ins, refusals and acts of administrators, for whoever has the duty to audit.</Trans></p><p><a href="/desk/audit"><Trans>Open the log</Trans></a></p></section>
        <section className="card"><h2><Trans>Your own account</Trans></h2><p><Trans>Passkeys, where you are signed in, recovery.</Trans></p><p><a href="/me"><Trans>Open my account</Trans></a></p></section>
      </div>
    </section>
  );
}
