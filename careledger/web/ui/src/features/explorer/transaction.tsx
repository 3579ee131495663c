import { Trans } from "@lingui/react/macro";
import { Link, useParams } from "@tanstack/react-router";
import type { ReactElement } from "react";
import { sayCount, sayTime } from "../../lib/words.ts";
import { type Transaction, useLedger } from "./ledger.ts";
import { Frame, Messages, Result, Shown } from "./parts.tsx";
import { callParty } from "./words.ts";

type Whole = Transaction & { readonly chain: string; readonly raw: string };

/** One transaction: what was asked of the ledger, by whom, signed how, and what came of it. */
export function Page(): ReactElement {
  const { hash = "" } = useParams({ strict: false }) as { hash?: string };
  const path = `/ledger/transactions/${encodeURIComponent(hash)}`;
  const found = useLedger<Whole>(path);
  return (
    <Frame title={<Trans>Transaction</Trans>} json={path}>
      <Shown asked={found}>
        {(one) => (
          <>
            <p><Result transaction={one} /></p>
            <Messages messages={one.messages} />
            <dl className="facts">
              <dt><Trans>Its hash</Trans></dt><dd className="mono hash">{one.hash}</dd>
              <dt><Trans>In block</Trans></dt><dd><Link to="/explorer/blocks/$height" params={{ height: String(one.height) } as never}>{sayCount(one.height)}</Link></dd>
              <dt><Trans>For</Trans></dt><dd>{callParty(one.sponsor)}<br /><span className="mono small">{one.sponsor.did}</span></dd>
              <dt><Trans>Lane and place in it</Trans></dt><dd>{one.lane} · {sayCount(one.sequence)}</dd>
              <dt><Trans>Would have ended</Trans></dt><dd>{sayTime(one.valid_until_ms)}</dd>
              <dt><Trans>Size</Trans></dt><dd><Trans>{sayCount(one.bytes)} bytes</Trans></dd>
              <dt><Trans>Signatures</Trans></dt><dd><ul className="plain">{one.signatures.map((key) => <li key={key.fingerprint}>{key.algorithm} <span className="mono small">{key.fingerprint}</span></li>)}</ul></dd>
            </dl>
            <details><summary><Trans>All its bytes</Trans></summary><p className="mono hash">{one.raw}</p></details>
          </>
        )}
      </Shown>
    </Frame>
  );
}
