import { Trans } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { type ReactElement, useState } from "react";
import { Link } from "@tanstack/react-router";
import { sayCount, sayTime } from "../../lib/words.ts";
import { type Blocks, type Overview, useLedger } from "./ledger.ts";
import { BlockTable, Frame, Shown } from "./parts.tsx";
import { callParty, saySeconds } from "./words.ts";

const ROWS = 20;

/** The ledger as anybody of the network may read it: what it is, its newest blocks, who keeps it. */
export function Page(): ReactElement {
  const overview = useLedger<Overview>("/ledger", true);
  return (
    <Frame title={<Trans>The ledger</Trans>} json="/ledger">
      <p className="narrow"><Trans>Every change to every record leaves a seal here, in blocks each of which seals all before it: a later change shows. No name of a patient and nothing medical is in them: whoever has a record can prove with these seals that it is whole and unaltered.</Trans></p>
      <Shown asked={overview}>{(data) => <Facts overview={data} />}</Shown>
      {overview.data === undefined ? null : <Newest />}
    </Frame>
  );
}

function Facts({ overview }: { readonly overview: Overview }): ReactElement {
  return (
    <div className="cards">
      <section className="card">
        <h2><Trans>Now</Trans></h2>
        <dl className="facts">
          <dt><Trans>Newest block</Trans></dt><dd><Link to="/explorer/blocks/$height" params={{ height: String(overview.height) } as never}>{sayCount(overview.height)}</Link></dd>
          <dt><Trans>Sealed</Trans></dt><dd>{sayTime(overview.time_ms)}</dd>
          <dt><Trans>Since</Trans></dt><dd>{sayTime(overview.genesis_ms)}</dd>
          {overview.block_interval_ms === 0 ? null : <><dt><Trans>A block about every</Trans></dt><dd>{saySeconds(overview.block_interval_ms)}</dd></>}
        </dl>
      </section>
      <section className="card">
        <h2><Trans>Kept by</Trans></h2>
        {overview.mode === "embedded" ? (
          <p><Trans>One house keeps this ledger by itself; witnesses outside sign that it only ever goes on. With other organisations it becomes a network that none of them controls.</Trans></p>
        ) : (
          <p><Trans>{overview.validators} organisations; more than two thirds of their weight must sign each block. <Link to="/explorer/validators">Who they are</Link></Trans></p>
        )}
        <ul className="plain">{overview.organisations.map((one) => <li key={one.did}>{callParty(one)} {one.active ? null : <span className="tag bad"><Trans>ended</Trans></span>}<br /><span className="mono soft small">{one.did}</span></li>)}</ul>
      </section>
      <section className="card">
        <h2><Trans>Its identity</Trans></h2>
        <dl className="facts"><dt><Trans>Chain</Trans></dt><dd className="mono">{overview.chain}</dd><dt><Trans>State</Trans></dt><dd className="mono">{overview.hash}</dd></dl>
      </section>
    </div>
  );
}

function Newest(): ReactElement {
  const [before, setBefore] = useState<readonly number[]>([]);
  const last = before.at(-1);
  const blocks = useLedger<Blocks>(`/ledger/blocks?count=${ROWS}${last === undefined ? "" : `&before=${last}`}`, last === undefined);
  return (
    <section aria-labelledby="newest">
      <h2 id="newest"><Trans>Blocks</Trans></h2>
      <Shown asked={blocks}>
        {(data) => (
          <>
            <BlockTable blocks={data.blocks} />
            <div className="pager">
              <Button variant="default" disabled={before.length === 0} onClick={() => setBefore(before.slice(0, -1))}><Trans>Newer</Trans></Button>
              <Button variant="default" disabled={data.next === null} onClick={() => data.next !== null && setBefore([...before, data.next])}><Trans>Older</Trans></Button>
            </div>
          </>
        )}
      </Shown>
    </section>
  );
}
