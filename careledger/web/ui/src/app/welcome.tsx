import { Trans } from "@lingui/react/macro";
import { Link } from "@tanstack/react-router";
import type { ReactElement } from "react";
import { Problem } from "../components/states.tsx";
import { Unreachable } from "../lib/refusal.ts";
import { useBeginning } from "./beginning-context.ts";

/** The first page of a stranger: what this is, how to come in, what may be looked at without. */
export function Welcome(): ReactElement {
  const { house } = useBeginning();
  const ended = new URLSearchParams(location.search).has("ended");
  return (
    <div className="welcome">
      {ended ? <p className="notice" role="status"><Trans>You are signed out. Nothing of the record is left on this screen.</Trans></p> : null}
      {house === undefined ? <Problem error={new Unreachable("")} onRetry={() => location.reload()} /> : null}
      <h1><Trans>A health record that nobody can quietly change</Trans></h1>
      <p className="lead"><Trans>Every entry, and everybody who looks at one, leaves a seal in a ledger: whoever changes one later is found out. You decide who sees what, and your own device checks that nothing is missing.</Trans></p>
      <p className="row">
        <a className="button-main" href="/sign-in?app=1"><Trans>Sign in with a passkey</Trans></a>
        {house?.isDemo === true ? <a href="/demo"><Trans>Try it as one of the demo's people</Trans></a> : null}
      </p>
      <div className="cards">
        <section className="card">
          <h2><Trans>You were given a code</Trans></h2>
          <p><Trans>Your practice gave you an invitation? Make your passkey with it; there is no password.</Trans></p>
          <p><a href="/enrol"><Trans>Use my invitation</Trans></a> · <a href="/recover"><Trans>I lost my passkey</Trans></a></p>
        </section>
        <section className="card">
          <h2><Trans>Check a receipt</Trans></h2>
          <p><Trans>Somebody gave you a proof file? Your browser checks it here by itself, even offline.</Trans></p>
          <p><Link to="/app/proof"><Trans>Check a file</Trans></Link></p>
        </section>
        <section className="card">
          <h2><Trans>Look at the ledger</Trans></h2>
          <p><Trans>Its blocks hold no name and no diagnosis, only seals. Anyone of the network may read them.</Trans></p>
          <p><Link to="/explorer"><Trans>Open the ledger</Trans></Link></p>
        </section>
      </div>
    </div>
  );
}
