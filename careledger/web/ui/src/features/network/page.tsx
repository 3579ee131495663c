import { Trans, useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactElement } from "react";
import { Loading, Problem } from "../../components/states.tsx";
import { usePresent } from "../../lib/context.ts";
import { locale } from "../../lib/i18n.ts";
import { sayTime } from "../../lib/words.ts";

interface Witness {
  readonly name: string;
  readonly lag_s: number | null;
  readonly trouble: string;
  readonly ok: boolean;
}

/** `GET /api/network` (docs/spec/api.md). */
interface Network {
  readonly mode: "embedded" | "network";
  readonly height: number;
  readonly time_ms: number;
  readonly age_ms: number;
  readonly stale_after_ms: number;
  readonly is_stale: boolean;
  readonly levels: readonly string[];
  readonly problems: readonly string[];
  readonly witnesses: readonly Witness[];
  readonly witnesses_needed: number;
  readonly anchoring: { readonly p50_ms: number; readonly p95_ms: number; readonly block_age_ms: number } | null;
  readonly engine: { readonly is_answering: boolean; readonly is_catching_up: boolean; readonly peers: readonly string[] } | null;
  readonly validators: readonly { readonly address: string; readonly organisation: { readonly name: string; readonly did: string }; readonly weight: number; readonly status: string; readonly signed: { readonly newest: number } }[];
}

const EVERY_MS = 5_000;

/** How far the seal of an entry has come, who keeps the ledger, and what it means when this node is behind; in words. */
export function Page(): ReactElement {
  const { node, house } = usePresent();
  const asked = useQuery({ queryKey: ["network"], queryFn: ({ signal }) => node.api<Network>("/network", signal), refetchInterval: EVERY_MS });
  return (
    <section className="narrow">
      <h1><Trans>How well the record is kept</Trans></h1>
      {asked.data === undefined ? (asked.isPending ? <Loading /> : <Problem error={asked.error} onRetry={() => void asked.refetch()} />) : <State network={asked.data} house={house.name} />}
    </section>
  );
}

function State({ network, house }: { readonly network: Network; readonly house: string }): ReactElement {
  return (
    <>
      <div role="status">
        {network.is_stale ? (
          <p className="notice warn"><Trans>This house has heard no new block for {Math.round(network.age_ms / 1000)} seconds. What you read here may be older than what the others have; what was decided elsewhere meanwhile (somebody's access ended, say) may not be known here yet. Nothing is lost: it catches up by itself.</Trans></p>
        ) : network.problems.length > 0 ? (
          <p className="notice bad"><Trans>The house cannot do everything just now. Its operator knows what to do.</Trans></p>
        ) : (
          <p className="notice good"><Trans>All is well: new entries are sealed as they come.</Trans></p>
        )}
      </div>
      <Levels network={network} house={house} />
      {network.mode === "network" ? <Validators network={network} /> : <Witnesses network={network} />}
      <p><Link to="/explorer"><Trans>Read the ledger itself</Trans></Link></p>
    </>
  );
}

function Levels({ network, house }: { readonly network: Network; readonly house: string }): ReactElement {
  return (
    <section>
      <h2><Trans>How far an entry's seal comes</Trans></h2>
      <dl className="facts">
        <dt><span className="tag warn"><Trans>pending</Trans></span></dt><dd><Trans>{house} has it, durably; its seal is on the way into the ledger.</Trans></dd>
        <dt><span className="tag"><Trans>anchored</Trans></span></dt><dd><Trans>Its seal stands in the ledger: whoever holds a later state of the ledger sees any change of the entry.</Trans></dd>
        {network.levels.includes("witnessed") ? <><dt><span className="tag good"><Trans>witnessed</Trans></span></dt><dd><Trans>Somebody outside signed that the ledger goes on from what it was: nobody can show you another one.</Trans></dd></> : null}
        {network.mode === "network" ? <><dt><span className="tag good"><Trans>final</Trans></span></dt><dd><Trans>Organisations with more than two thirds of the weight signed it. None of them alone can take it back.</Trans></dd></> : null}
      </dl>
      {network.anchoring === null ? null : <p className="soft"><Trans>Half of the new entries are anchored within {seconds(network.anchoring.p50_ms)} s, nearly all within {seconds(network.anchoring.p95_ms)} s.</Trans></p>}
      <p className="soft"><Trans>Newest block: {network.height}, {sayTime(network.time_ms)}</Trans></p>
    </section>
  );
}

function Validators({ network }: { readonly network: Network }): ReactElement {
  const { t } = useLingui();
  return (
    <section>
      <h2><Trans>The organisations that keep it</Trans></h2>
      {network.engine?.is_catching_up === true ? <p className="notice warn"><Trans>This node is catching up with the others.</Trans></p> : null}
      <ul className="plain rows" aria-label={t`Validators`}>
        {network.validators.map((one) => {
          const isSilent = one.signed.newest + 2 < network.height;
          return (
            <li key={one.address} className="row apart">
              <span>{one.organisation.name === "" ? one.organisation.did : one.organisation.name}</span>
              {one.status !== "active" ? <span className="tag bad"><Trans>excluded: it signed two different things</Trans></span> : isSilent ? <span className="tag warn"><Trans>silent since block {one.signed.newest}</Trans></span> : <span className="tag good"><Trans>signs</Trans></span>}
            </li>
          );
        })}
      </ul>
      <p className="soft"><Trans>As long as more than two thirds of the weight sign, the ledger goes on; a few may be silent or lie.</Trans></p>
    </section>
  );
}

function Witnesses({ network }: { readonly network: Network }): ReactElement {
  const { t } = useLingui();
  return (
    <section>
      <h2><Trans>Who watches this house</Trans></h2>
      {network.witnesses.length === 0 ? (
        <p><Trans>Nobody outside does yet. The house could show one history to you and another to somebody else, and only somebody who kept an old checkpoint would notice. Keep one: the proof page does it on this device.</Trans></p>
      ) : (
        <ul className="plain rows" aria-label={t`Witnesses`}>
          {network.witnesses.map((one) => (
            <li key={one.name} className="row apart">
              <span className="mono">{one.name}</span>
              {one.ok ? <span className="tag good"><Trans>has signed</Trans></span> : <span className="tag warn"><Trans>is behind</Trans></span>}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function seconds(ms: number): string {
  return (ms / 1000).toLocaleString(locale(), { maximumFractionDigits: 1 });
}
