import { Trans } from "@lingui/react/macro";
import { useSearch } from "@tanstack/react-router";
import type { ReactElement } from "react";
import { Empty } from "../../components/states.tsx";
import { type Found, useLedger } from "./ledger.ts";
import { BlockTable, Frame, Shown, TransactionList } from "./parts.tsx";
import { callParty } from "./words.ts";

/** What the ledger has of a height, a hash, a DID, a kind of message or an organisation's name. */
export function Page(): ReactElement {
  const given = useSearch({ strict: false }) as { q?: unknown };
  const wanted = typeof given.q === "string" || typeof given.q === "number" ? String(given.q).slice(0, 128) : "";
  return (
    <Frame title={<Trans>Search the ledger</Trans>}>
      {wanted === "" ? <Empty><p><Trans>Type the number of a block, a hash, a DID, or a part of an organisation's name.</Trans></p></Empty> : <Results wanted={wanted} />}
    </Frame>
  );
}

function Results({ wanted }: { readonly wanted: string }): ReactElement {
  const found = useLedger<Found>(`/ledger/search?q=${encodeURIComponent(wanted)}`);
  return (
    <Shown asked={found}>
      {({ blocks, transactions, organisations }) => blocks.length + transactions.length + organisations.length === 0 ? (
        <Empty><p><Trans>The ledger has nothing of that.</Trans></p></Empty>
      ) : (
        <>
          {organisations.length === 0 ? null : <section><h2><Trans>Organisations</Trans></h2><ul className="plain rows">{organisations.map((one) => <li key={one.did}>{callParty(one)} <span className="mono small">{one.did}</span></li>)}</ul></section>}
          {blocks.length === 0 ? null : <section><h2><Trans>Blocks</Trans></h2><BlockTable blocks={blocks} /></section>}
          {transactions.length === 0 ? null : <section><h2><Trans>Transactions</Trans></h2><TransactionList list={transactions} /></section>}
        </>
      )}
    </Shown>
  );
}
