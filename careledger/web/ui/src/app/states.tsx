import { Trans } from "@lingui/react/macro";
import { Link } from "@tanstack/react-router";
import type { ReactElement } from "react";
import { Loading, Problem } from "../components/states.tsx";

/** A page is on its way. */
export function Waiting(): ReactElement {
  return <Loading />;
}

/** There is no page at this address, or it is not for whoever is here. */
export function Missing(): ReactElement {
  return (
    <section className="narrow">
      <h1><Trans>There is nothing here</Trans></h1>
      <p><Trans>This address has no page, or it is not for you.</Trans></p>
      <p><Link to="/"><Trans>To the beginning</Trans></Link></p>
    </section>
  );
}

/** A page broke. What was written stays written; nothing of anybody is shown. */
export function Stumbled({ error }: { readonly error: unknown }): ReactElement {
  return <Problem error={error} onRetry={() => location.reload()} />;
}
