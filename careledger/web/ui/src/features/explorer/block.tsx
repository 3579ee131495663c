import { Trans } from "@lingui/react/macro";
import { Link, useParams } from "@tanstack/react-router";
import type { ReactElement } from "react";
import { sayCount, sayTime } from "../../lib/words.ts";
import { type Block, useLedger } from "./ledger.ts";
import { Frame, Messages, Shown, TransactionList } from "./parts.tsx";

/** One block: when, what it did, in words, and the hash that seals everything up to it. */
export function Page(): ReactElement {
  const { height = "" } = useParams({ strict: false }) as { height?: string };
  const path = `/ledger/blocks/${encodeURIComponent(height)}`;
  const block = useLedger<Block>(path);
  return (
    <Frame title={<Trans>Block {height}</Trans>} json={path}>
      <Shown asked={block}>{(data) => <Whole block={data} />}</Shown>
    </Frame>
  );
}

function Whole({ block }: { readonly block: Block }): ReactElement {
  return (
    <>
      <dl className="facts">
        <dt><Trans>Sealed</Trans></dt><dd>{sayTime(block.time_ms)}</dd>
        <dt><Trans>Transactions</Trans></dt><dd>{sayCount(block.transactions)}{block.refused > 0 ? <> (<Trans>{block.refused} refused</Trans>)</> : null}</dd>
        <dt><Trans>State after it</Trans></dt><dd className="mono hash">{block.hash}</dd>
        <dt><Trans>Chain</Trans></dt><dd className="mono">{block.chain}</dd>
      </dl>
      <p className="row">
        {block.height > 0 ? <Link to="/explorer/blocks/$height" params={{ height: String(block.height - 1) } as never}><Trans>The block before</Trans></Link> : null}
        <Link to="/explorer/blocks/$height" params={{ height: String(block.height + 1) } as never}><Trans>The block after</Trans></Link>
      </p>
      {block.evidence.length === 0 ? null : <p className="notice bad"><Trans>This block holds evidence that a validator signed two different things. It lost its weight for that.</Trans></p>}
      {block.founding.length === 0 ? null : <section><h2><Trans>How the ledger began</Trans></h2><Messages messages={block.founding} /></section>}
      <section>
        <h2><Trans>Transactions</Trans></h2>
        {block.list.length === 0 ? <p className="soft"><Trans>None: a block may hold nothing but the time.</Trans></p> : <TransactionList list={block.list} />}
        {block.left_out === 0 ? null : <p><Trans>{block.left_out} more are not shown.</Trans></p>}
      </section>
    </>
  );
}
