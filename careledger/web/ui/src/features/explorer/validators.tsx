import { Trans } from "@lingui/react/macro";
import type { ReactElement } from "react";
import { sayCount } from "../../lib/words.ts";
import { useLedger, type Validators } from "./ledger.ts";
import { Frame, Shown } from "./parts.tsx";
import { callParty } from "./words.ts";

/** Who keeps the ledger together: weight, and whether they signed of late. */
export function Page(): ReactElement {
  const found = useLedger<Validators>("/ledger/validators", true);
  return (
    <Frame title={<Trans>Validators</Trans>} json="/ledger/validators">
      <p className="narrow"><Trans>Validators are the organisations that execute every transaction by themselves and sign each block. It stands when more than two thirds of their weight signed it; whoever signs two different blocks loses their weight at once.</Trans></p>
      <Shown asked={found}>
        {(data) => data.validators.length === 0 ? <p className="notice"><Trans>This ledger is kept by one house; there are no validators. Witnesses outside sign that it only goes on.</Trans></p> : <Table validators={data} />}
      </Shown>
    </Frame>
  );
}

function Table({ validators }: { readonly validators: Validators }): ReactElement {
  const whole = validators.validators.reduce((sum, one) => sum + one.weight, 0);
  return (
    <div className="scroll" role="region" tabIndex={0} aria-labelledby="validators-caption">
      <table className="plain">
        <caption className="unseen" id="validators-caption"><Trans>Validators, the heaviest first</Trans></caption>
        <thead><tr><th scope="col"><Trans>Organisation</Trans></th><th scope="col"><Trans>Weight</Trans></th><th scope="col"><Trans>State</Trans></th><th scope="col"><Trans>Signed of the newest {validators.commits}</Trans></th><th scope="col"><Trans>Key</Trans></th></tr></thead>
        <tbody>
          {validators.validators.map((one) => (
            <tr key={one.address}>
              <td>{callParty(one.organisation)}</td>
              <td>{sayCount(one.weight)} ({whole === 0 ? 0 : Math.round((100 * one.weight) / whole)} %)</td>
              <td>{one.status === "active" ? <span className="tag good"><Trans>active</Trans></span> : <span className="tag bad"><Trans>jailed</Trans></span>}</td>
              <td>{sayCount(one.signed.commits)} {one.signed.newest + 1 < validators.height ? <span className="tag warn"><Trans>silent since block {sayCount(one.signed.newest)}</Trans></span> : null}</td>
              <td>{one.key.algorithm}<br /><span className="mono small">{one.key.fingerprint}</span></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
